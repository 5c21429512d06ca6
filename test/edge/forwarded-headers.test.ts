/**
 * What a request says of its own origin: a claim, unless a proxy that the configuration names made it. T41.
 */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expectProblem } from '../support/problems.ts'
import { openServer, type TestServer, type World, worldOf } from '../support/world.ts'

const SPOOFED = '203.0.113.9'
/** Each says in its own way that the request came from elsewhere. */
const CLAIMS: Record<string, string>[] = [
  { 'x-forwarded-for': SPOOFED },
  { 'x-forwarded-for': `${SPOOFED}, 127.0.0.1` },
  { forwarded: `for=${SPOOFED};proto=https;host=evil.example` },
  { 'x-real-ip': SPOOFED },
  { 'x-client-ip': SPOOFED },
  { 'true-client-ip': SPOOFED },
  { 'cf-connecting-ip': SPOOFED },
  { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https', 'x-forwarded-port': '443' },
]

let [wary, behindProxy, behindAnother]: TestServer[] = []
let worlds: Record<'wary' | 'behindProxy' | 'behindAnother', World>
beforeAll(async () => {
  ;[wary, behindProxy, behindAnother] = await Promise.all([
    openServer(),
    openServer({ TRUST_PROXY: '127.0.0.1' }),
    // Trust is for a proxy that this request does not come through.
    openServer({ TRUST_PROXY: '10.0.0.0/8' }),
  ])
  worlds = { wary: worldOf(wary), behindProxy: worldOf(behindProxy), behindAnother: worldOf(behindAnother) }
})
afterAll(
  async () => void (await Promise.all([wary, behindProxy, behindAnother].map((server) => server?.close()))),
)

/** Signs in with these headers. @returns the addresses in the list of login sessions and in the log */
async function addressesWith({ person, send }: World, headers: Record<string, string>) {
  const { email, password } = await person()
  const { accessToken } = (
    await send('POST', '/api/auth/login', { body: { email, password }, headers })
  ).json()
  const authorization = `Bearer ${accessToken}`
  await send('POST', '/api/routers', { body: { name: 'Home' }, headers: { ...headers, authorization } })
  const read = async (url: string) => (await send('GET', url, { headers: { authorization } })).json().items
  const [session] = (await read('/api/auth/sessions')).filter(({ current }: { current: boolean }) => current)
  const acts: { act: string; address: string }[] = await read('/api/users/audit-logs')
  const logged = ['login', 'addRouter'].map((name) => acts.find(({ act }) => act === name)?.address)
  return [session.address, ...logged]
}
const three = (address: string) => [address, address, address]

describe('a forwarded address', () => {
  it.each(CLAIMS)(
    'is believed from nobody by default, nor from who is not the proxy: %j, T41',
    async (headers) => {
      expect(await addressesWith(worlds.wary, headers)).toEqual(three('127.0.0.1'))
      expect(await addressesWith(worlds.behindAnother, headers)).toEqual(three('127.0.0.1'))
    },
  )

  it('is believed of the proxy in X-Forwarded-For alone, and only the part that the proxy itself added', async () => {
    for (const headers of CLAIMS.slice(2))
      expect(await addressesWith(worlds.behindProxy, headers)).toEqual(three('127.0.0.1'))
    expect(await addressesWith(worlds.behindProxy, { 'x-forwarded-for': '198.51.100.7' })).toEqual(
      three('198.51.100.7'),
    )
    expect(
      await addressesWith(worlds.behindProxy, { 'x-forwarded-for': `${SPOOFED}, 198.51.100.7` }),
    ).toEqual(three('198.51.100.7'))
    expect(
      await addressesWith(worlds.behindProxy, {
        'x-forwarded-for': `127.0.0.1, ${SPOOFED}, 198.51.100.7, 127.0.0.1`,
      }),
    ).toEqual(three('198.51.100.7'))
  })
})

describe('a forwarded host', () => {
  /** Goes on with the refresh cookie, from a page at this origin. */
  async function refreshFrom({ person, send }: World, origin: string, headers: Record<string, string>) {
    const { email, password } = await person()
    const cookieMode = { 'x-token-transport': 'cookie' }
    const answer = await send('POST', '/api/auth/login', { body: { email, password }, headers: cookieMode })
    const cookie = String([answer.headers['set-cookie']].flat()[0]).split(';', 1)[0] ?? ''
    const sent = { cookie, 'x-csrf-token': answer.json().csrfToken, origin, ...headers }
    return send('POST', '/api/auth/refresh', { body: {}, headers: sent })
  }
  const FORWARDED = { 'x-forwarded-host': 'home.example', 'x-forwarded-proto': 'https' }

  it('makes no page the own one, unless the proxy says so, T27 T41', async () => {
    for (const world of [worlds.wary, worlds.behindAnother])
      expectProblem(await refreshFrom(world, 'https://home.example', FORWARDED), 403, 'cross-site')
    expect((await refreshFrom(worlds.behindProxy, 'https://home.example', FORWARDED)).statusCode).toBe(200)
    expectProblem(await refreshFrom(worlds.behindProxy, 'https://evil.example', FORWARDED), 403, 'cross-site')
    expectProblem(await refreshFrom(worlds.behindProxy, 'http://home.example', FORWARDED), 403, 'cross-site')
    const twice = {
      ...FORWARDED,
      'x-forwarded-host': 'evil.example, home.example',
      'x-forwarded-proto': 'http, https',
    }
    expect((await refreshFrom(worlds.behindProxy, 'https://home.example', twice)).statusCode).toBe(200)
    expectProblem(await refreshFrom(worlds.behindProxy, 'https://evil.example', twice), 403, 'cross-site')
  })

  it('appears in no answer', async () => {
    for (const world of Object.values(worlds)) {
      for (const url of [
        '/openapi.json',
        '/docs/',
        '/nothing',
        '/api/routers',
        `/api/routers/${randomUUID()}`,
      ]) {
        const headers = {
          ...FORWARDED,
          'x-original-url': '/api/admin/users',
          'x-rewrite-url': '/api/admin/users',
          host: 'evil.example',
        }
        const { body, headers: answered } = await world.send('GET', url, { headers })
        expect(`${JSON.stringify(answered)}${body}`, url).not.toMatch(/home\.example|evil\.example/)
      }
    }
  })
})
