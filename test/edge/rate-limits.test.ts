/**
 * How often anybody may ask: by address before somebody is known, by person, script and router afterwards.
 * T41, T42.
 */
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createTokenBuckets } from '../../src/http/limits/rate-limit.ts'
import { clientNetwork } from '../../src/network/client-network.ts'
import { expectProblem } from '../support/problems.ts'
import { openServer, type TestServer, worldOf } from '../support/world.ts'

async function serverWith(env: Record<string, string>): Promise<TestServer> {
  const server = await openServer(env)
  onTestFinished(server.close)
  return server
}
let last = 0
/** An address of its own (TEST-NET-2 and on), believed where the test's proxy is. */
const newAddress = () => {
  last += 1
  return `198.${18 + (last >> 16)}.${(last >> 8) & 255}.${last & 255}`
}
const from = (address: string) => ({ headers: { 'x-forwarded-for': address } })
const PROXY = { TRUST_PROXY: '127.0.0.1' }
const login = (server: TestServer, address: string) =>
  worldOf(server).send('POST', '/api/auth/login', {
    body: { email: 'nobody@example.com', password: 'x' },
    ...from(address),
  })
const LENIENT = { LOCKOUT_FAILURES: '1000' }

describe('sign-ins from one address', () => {
  it('are counted across servers, and the next one is refused with the time to wait, T42', async () => {
    const env = { RATE_LIMIT_SIGN_INS: '4', ...PROXY, ...LENIENT }
    const secrets = { secrets: { jwt: { current: SECRET }, pepper: { current: SECRET } } }
    const servers = await Promise.all([0, 1].map(() => openServer(env, undefined, secrets)))
    onTestFinished(async () => void (await Promise.all(servers.map((server) => server.close()))))
    const address = newAddress()
    const [here, there] = servers as [TestServer, TestServer]
    await withinOneWindow(async () => {
      const answers = await Promise.all(
        [here, there, here, there, here, there].map((server) => login(server, address)),
      )
      expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([401, 401, 401, 401, 429, 429])
      const refused = answers.filter(({ statusCode }) => statusCode === 429)
      for (const answer of refused) {
        expectProblem(answer, 429, 'rate-limited')
        expect(answer.headers).toMatchObject({
          'ratelimit-policy': '"sign-in";q=4;w=60',
          ratelimit: expect.stringMatching(/^"sign-in";r=0;t=\d+$/),
        })
        expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(60)
      }
      const left = answers
        .filter(({ statusCode }) => statusCode === 401)
        .map(({ headers }) => /r=(\d)/.exec(String(headers.ratelimit))?.[1])
      expect(left.sort()).toEqual(['0', '1', '2', '3'])
      expect((await login(here, newAddress())).statusCode).toBe(401)
    })
  })

  it('are not those of a forwarded header that nobody is trusted for, and are where a proxy is, T41', async () => {
    const [trusting, wary] = [
      await serverWith({ RATE_LIMIT_SIGN_INS: '2', ...PROXY, ...LENIENT }),
      await serverWith({ RATE_LIMIT_SIGN_INS: '2', ...LENIENT }),
    ]
    for (let n = 0; n < 5; n += 1) expect((await login(trusting, newAddress())).statusCode).toBe(401)
    const spoofed = await Promise.all(Array.from({ length: 5 }, () => login(wary, newAddress())))
    expect(spoofed.filter(({ statusCode }) => statusCode === 429).length).toBeGreaterThanOrEqual(1)
  })

  it('have nothing to do with registrations, which have a quota of their own, nor with refreshing', async () => {
    const server = await serverWith({
      RATE_LIMIT_REGISTRATIONS: '1',
      RATE_LIMIT_SIGN_INS: '1',
      ...PROXY,
      ...LENIENT,
    })
    const address = newAddress()
    const register = () =>
      worldOf(server).send('POST', '/api/auth/register', {
        body: { email: `${crypto.randomUUID()}@example.com`, password: 'a password nobody has' },
        ...from(address),
      })
    await withinOneWindow(async () => {
      const first = await register()
      expect(first.statusCode, first.body).toBe(201)
      expectProblem(await register(), 429, 'rate-limited')
      expect((await login(server, address)).statusCode).toBe(401)
      expectProblem(await login(server, address), 429, 'rate-limited')
      let { refreshToken } = first.json()
      for (let n = 0; n < 5; n += 1) {
        const answer = await worldOf(server).send('POST', '/api/auth/refresh', {
          body: { refreshToken },
          ...from(address),
        })
        expect(answer.statusCode).toBe(200)
        refreshToken = answer.json().refreshToken
      }
    })
  })

  it('count a /64 of IPv6 as one address, and an IPv4 address however it is written', () => {
    for (const address of [
      '2001:db8:1:2::1',
      '2001:db8:1:2:ffff:ffff:ffff:ffff',
      '2001:0db8:0001:0002::',
      '2001:db8:1:2::1%eth0',
    ])
      expect(clientNetwork(address)).toBe('2001:db8:1:2')
    expect(clientNetwork('2001:db8:1:3::1')).toBe('2001:db8:1:3')
    expect(clientNetwork('::1')).toBe('0:0:0:0')
    for (const address of ['192.0.2.7', '::ffff:192.0.2.7', '::FFFF:192.0.2.7'])
      expect(clientNetwork(address)).toBe('192.0.2.7')
  })
})

describe('requests', () => {
  it('of one person are limited whatever they ask for, and nobody else’s with them', async () => {
    const { person } = worldOf(await serverWith({ RATE_LIMIT_PERSON: '5' }))
    const [ada, bob] = [await person(), await person()]
    const answers = []
    for (const url of [
      '/api/routers',
      '/api/devices',
      '/api/auth/me',
      '/api/settings',
      '/api/users/profile',
      '/api/routers',
    ])
      answers.push(await ada.call('GET', url))
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 200, 200, 429])
    expect(answers[0]?.headers).toMatchObject({
      'ratelimit-policy': '"person";q=5;w=60',
      ratelimit: expect.stringMatching(/^"person";r=4;t=\d+$/),
    })
    expectProblem(answers[5] as never, 429, 'rate-limited')
    expect((await bob.call('GET', '/api/routers')).statusCode).toBe(200)
  })

  it('of one router are limited by its key, and who knows only the public part of it fills nobody’s bucket', async () => {
    const { person, send } = worldOf(await serverWith({ RATE_LIMIT_ROUTER: '3' }))
    const router = await (await person()).router()
    const forged = async () => {
      const { makeApiKey } = await import('../../src/auth/api-keys/format.ts')
      return makeApiKey('agent', router.owner.id).key
    }
    for (let n = 0; n < 5; n += 1)
      expect(
        (await send('GET', '/api/agent/verify', { headers: { 'x-api-key': await forged() } })).statusCode,
      ).toBe(401)
    const statuses = []
    for (let n = 0; n < 4; n += 1) statuses.push((await router.call('GET', '/api/agent/verify')).statusCode)
    expect(statuses).toEqual([200, 200, 200, 429])
  })
})

describe('a bucket', () => {
  it('never lets more through than its quota and what has filled up since, whatever the pace, and is never longer empty than it says', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 120 }),
        fc.array(fc.integer({ min: 0, max: 30_000 }), { minLength: 1, maxLength: 200 }),
        (quota, window, pauses) => {
          let now = 0
          const take = createTokenBuckets({ name: 'x', quota, window }, () => now)
          let allowed = 0
          for (const pause of pauses) {
            now += pause
            const state = take('key')
            allowed += state.isAllowed ? 1 : 0
            expect(allowed).toBeLessThanOrEqual(quota + (now * quota) / (window * 1_000) + 1e-6)
            if (state.isAllowed) continue
            now += state.retryAfter * 1_000
            expect(take('key').isAllowed).toBe(true)
            allowed += 1
          }
        },
      ),
    )
  })

  it('is dropped when it is the oldest of too many', () => {
    const take = createTokenBuckets({ name: 'x', quota: 1, window: 60 }, () => 0)
    expect([take('first').isAllowed, take('first').isAllowed]).toEqual([true, false])
    for (let n = 0; n < 20_000; n += 1) take(String(n))
    expect(take('first').isAllowed).toBe(true)
  })
})

const SECRET = 'a secret of a test, shared by two servers of it, 32 bytes and more'

/**
 * Counts begin anew with each minute of the database's clock: what must fall into one is asked again when it
 * did not.
 */
async function withinOneWindow(work: () => Promise<void>): Promise<void> {
  const minute = () => Math.floor(Date.now() / 60_000)
  const began = minute()
  try {
    await work()
  } catch (error) {
    if (minute() === began) throw error
    await work()
  }
}
