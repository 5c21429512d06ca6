/**
 * A stolen login session is not enough for a key: what each route that makes one takes, and what ends keys
 * again.
 */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { googleAccount, type StandInGoogle, startGoogle } from '../support/google.ts'
import { tokenIn } from '../support/mail.ts'
import { listOperations, type Operation, urlOf } from '../support/operations.ts'
import { expectProblem } from '../support/problems.ts'
import { enrolledIn, wrongCodeOf } from '../support/second-factor.ts'
import {
  type Answer,
  newSecrets,
  openServer,
  type Person,
  rowsOf,
  type TestServer,
  type World,
  worldOf,
} from '../support/world.ts'

let google: StandInGoogle
let server: TestServer
let world: World
let makers: Operation[]
beforeAll(async () => {
  google = await startGoogle()
  server = await openServer(google.env)
  world = worldOf(server)
  makers = (await listOperations(world)).filter(
    ({ method, path }) => method === 'POST' && path.includes('/keys'),
  )
})
afterAll(async () => void (await Promise.all([server.close(), google.close()])))

const SCOPES = ['routers:read']
const DAY_MS = 86_400_000
const age = ({ id }: { id: string }, minutes: number) =>
  rowsOf(`update user_login_sessions set proven_at = now() - make_interval(mins => $2) where user_id = $1`, [
    id,
    minutes,
  ])
const keysOf = ({ id }: Person) => rowsOf('select id from user_api_keys where user_id = $1', [id])
const addKey = (who: Person, more: object = {}) =>
  who.call('POST', '/api/users/keys', { body: { scopes: SCOPES, password: who.password, ...more } })
const reauthenticate = (who: Person, proof: object) =>
  who.call('POST', '/api/auth/reauthenticate', { body: proof })
const works = async ({ key }: { key: string }) =>
  (await world.send('GET', '/api/routers', { headers: { 'x-api-key': key } })).statusCode === 200
const mailOf = async (who: Person, kind: string) => {
  await server.settled()
  return server.mails
    .findLast((mail) => mail.to === who.email && mail.kind === kind)
    ?.text.replaceAll('\n', ' ')
}

describe('a new key', () => {
  /** Minutes since the last proof of the session, and what the request brings along. */
  const SITUATIONS = {
    fresh: { minutes: 0, proof: {} },
    'almost stale': { minutes: 14, proof: {} },
    stale: { minutes: 15, proof: {} },
    'stale, and the right password': { minutes: 15, proof: 'right' },
    'stale, and a wrong password': { minutes: 15, proof: { password: 'wrong' } },
    'fresh, and a wrong password': { minutes: 0, proof: { password: 'wrong' } },
    'fresh, and a wrong ID token': { minutes: 0, proof: { googleIdToken: 'wrong' } },
    'fresh, and two proofs': { minutes: 0, proof: { password: 'wrong', code: '123456' } },
  } as const
  type Situation = keyof typeof SITUATIONS

  /** What each route answers: with the proof in the request, by a recent one, or by either. */
  const inRequest = (without: number) => (situation: Situation) =>
    ({
      fresh: without,
      'almost stale': without,
      stale: without,
      'stale, and the right password': 201,
      'fresh, and two proofs': 400,
    })[situation as string] ?? 403
  const byRecentProof = (situation: Situation) =>
    ({ fresh: 201, 'almost stale': 201, stale: 403 })[situation as string] ?? 400 // a password is no field of theirs
  const byEither = (situation: Situation) =>
    situation.includes('proofs') ? 400 : situation.includes('wrong') || situation === 'stale' ? 403 : 201

  const ROUTES: [operationId: string, body: object, expected: (situation: Situation) => number][] = [
    ['addPersonalKey', { scopes: SCOPES }, inRequest(400)],
    ['rotatePersonalKey', { overlapMinutes: 0 }, inRequest(403)],
    ['rotatePersonalKey', { overlapMinutes: 5 }, byEither],
    ['addRouterKey', {}, byRecentProof],
    ['rotateRouterKey', { overlapMinutes: 0 }, byRecentProof],
    ['rotateRouterKey', { overlapMinutes: 5 }, byRecentProof],
  ]

  it('is made by these routes and no others', () => {
    const named = new Set(ROUTES.map(([operationId]) => operationId))
    expect(new Set(makers.map(({ operationId }) => operationId))).toEqual(named)
  })

  const cases = ROUTES.flatMap(([operationId, body, expected]) =>
    Object.keys(SITUATIONS).map(
      (name) => [operationId, JSON.stringify(body), name as Situation, expected(name as Situation)] as const,
    ),
  )
  it.each(cases)('of %s %s, when the proof is %s: %i', async (operationId, body, name, status) => {
    const ada = await world.person()
    const router = await ada.router()
    const isPersonal = operationId.includes('Personal')
    const old = isPersonal ? (await addKey(ada)).json() : { id: router.keyId }
    const before = await keysOf(ada)
    const { minutes, proof } = SITUATIONS[name]
    await age(ada, minutes)
    const url = urlOf(makers.find((maker) => maker.operationId === operationId) as Operation, {
      id: router.id,
      keyId: old.id,
    })
    const given = proof === 'right' ? { password: ada.password } : proof
    const answer = await ada.call('POST', url, { body: { ...JSON.parse(body), ...given } })
    if (status === 201) {
      expect(answer.statusCode, answer.body).toBe(201)
      expect(await keysOf(ada)).toHaveLength(before.length + 1)
    } else {
      const refused = name.includes('wrong') ? 'wrong-password' : 'proof-required'
      expectProblem(answer, status, status === 400 ? 'invalid-request' : refused)
      expect(await keysOf(ada)).toEqual(before)
    }
  })

  it('of a person ends in 90 days, or when they say, or never when they say so', async () => {
    const ada = await world.person()
    const end = (await addKey(ada)).json()
    expect(Date.parse(end.expiresAt) - Date.parse(end.createdAt)).toBeCloseTo(90 * DAY_MS, -4)
    const soon = new Date(Date.now() + DAY_MS).toISOString()
    expect((await addKey(ada, { expiresAt: soon })).json().expiresAt).toBe(soon)
    expect((await addKey(ada, { expiresAt: null })).json().expiresAt).toBeNull()
  })

  it('of a person is told to its owner, and so is one that replaces another; one that was refused is not', async () => {
    const ada = await world.person()
    await addKey(ada, { password: 'wrong' })
    expect(await mailOf(ada, 'key-added')).toBeUndefined()
    const { id } = (await addKey(ada, { expiresAt: null })).json()
    expect(await mailOf(ada, 'key-added')).toContain(
      'It allows: routers:read. It ends when it is revoked, and not before.',
    )
    await ada.call('POST', `/api/users/keys/${id}/rotate`, { body: {} })
    expect(await mailOf(ada, 'key-added')).toContain('in place of one that there was')
  })
})

describe('a proof', () => {
  const untilOf = (answer: Answer) => Date.parse(answer.json().provenUntil) - Date.now()
  const mayMakeKeys = async (who: Person) => {
    const { id } = (await who.call('POST', '/api/routers', { body: { name: 'Home' } })).json()
    return (await who.call('POST', `/api/routers/${id}/keys`, { body: {} })).statusCode === 201
  }

  it('is renewed by the password, for 15 minutes, and stands in the log', async () => {
    const ada = await world.person()
    await age(ada, 60)
    expect(await mayMakeKeys(ada)).toBe(false)
    expectProblem(await reauthenticate(ada, { password: 'wrong' }), 403, 'wrong-password')
    expect(await mayMakeKeys(ada)).toBe(false)
    const answer = await reauthenticate(ada, { password: ada.password })
    expect(untilOf(answer)).toBeGreaterThan(14 * 60_000)
    expect(untilOf(answer)).toBeLessThan(16 * 60_000)
    expect(await mayMakeKeys(ada)).toBe(true)
    const acts = await rowsOf(
      `select outcome from user_audit_log where user_id = $1 and act = 'reauthenticate' order by sequence`,
      [ada.id],
    )
    expect(acts).toEqual([{ outcome: 'failure' }, { outcome: 'success' }])
  })

  it('is renewed by a code of the second factor, good once, and not by a wrong one', async () => {
    const ada = await enrolledIn(world)
    await age(ada, 60)
    expectProblem(await reauthenticate(ada, { code: wrongCodeOf(ada.app) }), 403, 'wrong-code')
    expect(await mayMakeKeys(ada)).toBe(false)
    const code = await ada.code()
    expect((await reauthenticate(ada, { code })).statusCode).toBe(200)
    expect(await mayMakeKeys(ada)).toBe(true)
    expectProblem(await reauthenticate(ada, { code }), 403, 'wrong-code')
    expect((await addKey(ada, { password: undefined, code: ada.recoveryCodes[0] })).statusCode).toBe(201)
    expect(await mailOf(ada, 'recovery-code-used')).toContain('Codes left: 9.')
  })

  it('by codes is a guess: after five wrong ones the owner is told, and none is taken', async () => {
    const ada = await enrolledIn(world)
    for (let n = 0; n < 5; n += 1)
      expectProblem(await reauthenticate(ada, { code: wrongCodeOf(ada.app) }), 403, 'wrong-code')
    expectProblem(await reauthenticate(ada, { code: await ada.code() }), 429, 'locked-out')
    expect(await mailOf(ada, 'second-factor-locked')).toBeDefined()
  })

  it('is renewed by a fresh ID token of the account that is linked, and of no other', async () => {
    const account = googleAccount()
    const { accessToken, user } = (
      await world.send('POST', '/api/auth/google', { body: { idToken: google.idToken(account) } })
    ).json()
    const headers = { authorization: `Bearer ${accessToken}` }
    const prove = (claims: object) =>
      world.send('POST', '/api/auth/reauthenticate', {
        headers,
        body: { googleIdToken: google.idToken(claims as never) },
      })
    await age(user, 60)
    expectProblem(await prove(googleAccount()), 403, 'wrong-password')
    expect((await prove(account)).statusCode).toBe(200)
  })

  it('takes exactly one of them, and a login session that is live', async () => {
    const ada = await world.person()
    for (const body of [{}, { password: ada.password, code: '123456' }, { password: '' }])
      expectProblem(await reauthenticate(ada, body), 400, 'invalid-request')
    expectProblem(await reauthenticate(ada, { code: '123456' }), 409, 'conflict')
    await ada.call('POST', '/api/auth/logout')
    expectProblem(await reauthenticate(ada, { password: ada.password }), 401, 'unauthenticated')
  })

  it('is of one login session, on every server, and a refresh does not renew it', async () => {
    const secrets = newSecrets()
    const servers = await Promise.all([
      openServer({}, undefined, { secrets }),
      openServer({}, undefined, { secrets }),
    ])
    onTestFinished(async () => void (await Promise.all(servers.map((each) => each.close()))))
    const [here, there] = servers.map(worldOf) as [World, World]
    const ada = await here.person()
    const { id } = (await ada.call('POST', '/api/routers', { body: { name: 'Home' } })).json()
    const make = (accessToken: string) =>
      there.send('POST', `/api/routers/${id}/keys`, {
        headers: { authorization: `Bearer ${accessToken}` },
        body: {},
      })
    await age(ada, 60)
    const other = (
      await here.send('POST', '/api/auth/login', { body: { email: ada.email, password: ada.password } })
    ).json()
    const { accessToken } = (
      await here.send('POST', '/api/auth/refresh', { body: { refreshToken: ada.refreshToken } })
    ).json()
    expectProblem(await make(accessToken), 403, 'proof-required')
    expect((await make(other.accessToken)).statusCode).toBe(201)
    expect((await reauthenticate(ada, { password: ada.password })).statusCode).toBe(200)
    expect((await make(accessToken)).statusCode).toBe(201)
  })

  it('is asked for before Google is unlinked', async () => {
    const ada = await world.person()
    const link = { idToken: google.idToken(googleAccount()), password: ada.password }
    expect((await ada.call('POST', '/api/auth/google/link', { body: link })).statusCode).toBe(204)
    await age(ada, 15)
    expectProblem(await ada.call('DELETE', '/api/auth/google'), 403, 'proof-required')
    await reauthenticate(ada, { password: ada.password })
    expect((await ada.call('DELETE', '/api/auth/google')).statusCode).toBe(204)
  })
})

describe('a new password', () => {
  const NEW = 'a new long password'
  const reset = async (who: Person, more: object = {}) => {
    await world.send('POST', '/api/auth/forgot-password', { body: { email: who.email } })
    await server.settled()
    const mail = server.mails.findLast(({ to, kind }) => to === who.email && kind === 'reset-password')
    const token = mail && tokenIn(mail)
    expect(
      (await world.send('POST', '/api/auth/reset-password', { body: { token, newPassword: NEW, ...more } }))
        .statusCode,
    ).toBe(204)
  }
  const change = (who: Person, more: object = {}) =>
    who.call('POST', '/api/users/change-password', {
      body: { currentPassword: who.password, newPassword: NEW, ...more },
    })

  it.each([
    ['by mail ends them', (who: Person) => reset(who), false],
    ['by mail leaves them when told to', (who: Person) => reset(who, { keepKeys: true }), true],
    ['by the old one leaves them', (who: Person) => change(who), true],
    ['by the old one ends them when told to', (who: Person) => change(who, { revokeKeys: true }), false],
  ])('%s: personal keys, told by mail; keys of routers stay', async (_how, choose, stay) => {
    const ada = await world.confirmedPerson()
    const router = await ada.router()
    const keys = [(await addKey(ada)).json(), (await addKey(ada)).json()]
    await choose(ada)
    for (const key of keys) expect(await works(key)).toBe(stay)
    expect((await router.call('GET', '/api/agent/verify')).statusCode).toBe(200)
    expect((await mailOf(ada, 'password-changed'))?.includes('2 personal keys for scripts')).toBe(!stay)
  })

  it('by mail ends them whatever it says where nobody had confirmed the address', async () => {
    const ada = await world.person()
    const key = (await addKey(ada)).json()
    await reset(ada, { keepKeys: true })
    expect(await works(key)).toBe(false)
  })
})
