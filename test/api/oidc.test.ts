/**
 * A provider that is added by configuration alone: people come from an issuer that runs as a process of its
 * own, and whatever that issuer or somebody in between does wrong signs nobody in.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  beginAt,
  comeBackTo,
  type Issuer,
  issuerAccount,
  OIDC_FRONTEND,
  outcomeOf,
  startIssuer,
  walkTo,
} from '../support/oidc-issuer.ts'
import type { Control } from '../support/oidc-issuer-process.ts'
import { expectProblem } from '../support/problems.ts'
import {
  linkProvider,
  openServer,
  type Person,
  rowsOf,
  sharedWorld,
  type TestServer,
  testConfig,
  type World,
  worldOf,
} from '../support/world.ts'

type Claims = Record<string, unknown>

let issuer: Issuer
let server: TestServer
let world: World
beforeAll(async () => {
  issuer = await startIssuer()
  server = await openServer({ ...issuer.env, LOG_LEVEL: 'warn' })
  world = worldOf(server)
})
afterAll(async () => {
  await server.close()
  await issuer.close()
})

const now = () => Math.floor(Date.now() / 1_000)
const walk = (account?: Claims) => walkTo(issuer, world.send, account && { account })
const outcome = async (account?: Claims) => outcomeOf(await walk(account))
const exchange = (code: string | undefined) =>
  world.send('POST', '/api/auth/exchange', { body: { code: code ?? 'none' } })
/** All the way. @returns the body of the tokens */
async function signIn(account: Claims) {
  const { code, error } = await outcome(account)
  expect(error).toBeUndefined()
  const answer = await exchange(code)
  expect(answer.statusCode, answer.body).toBe(200)
  return answer.json()
}
const proofOf = async (account: Claims) =>
  outcomeOf(await walkTo(issuer, world.send, { account, purpose: 'prove' })).code
/** A server that knows nothing of the issuer yet, for as long as the work takes. */
async function withServer<T>(
  env: Record<string, string>,
  work: (world: World, server: TestServer) => Promise<T>,
): Promise<T> {
  const another = await openServer({ ...issuer.env, ...env })
  try {
    return await work(worldOf(another), another)
  } finally {
    await another.close()
    await issuer.control({})
  }
}
const linksOf = (id: string) =>
  rowsOf('select provider, subject from user_providers where user_id = $1', [id])
const deactivate = (id: string) => rowsOf('update users set is_active = false where id = $1', [id])

describe('an issuer that is configured', () => {
  it('signs somebody in: the first time with a new account, from then on with that one', async () => {
    const account = issuerAccount()
    const { user, accessToken } = await signIn(account)
    expect(user).toMatchObject({
      email: account.email,
      fullName: 'Ada Lovelace',
      emailVerified: true,
      hasPassword: false,
    })
    expect((await signIn({ ...account, email: 'changed@example.org' })).user).toEqual(user)
    const status = await world.send('GET', '/api/users/account-status', {
      headers: { authorization: `Bearer ${accessToken}` },
    })
    expect(status.json()).toMatchObject({ providers: ['oidc'], hasGoogle: false })
    expect(await rowsOf('select act, outcome from user_audit_log where user_id = $1', [user.id])).toEqual(
      Array(2).fill({ act: 'exchangeCode', outcome: 'success' }),
    )
  })

  it('is among the options, with its name', async () => {
    const providersOf = async ({ send }: World) =>
      (await send('GET', '/api/auth/options')).json().providers.oidc
    expect(await providersOf(world)).toEqual({ redirect: true, name: 'Pocket ID' })
    expect(await providersOf(await sharedWorld())).toEqual({ redirect: false, name: null })
  })

  it('is not there until it is configured', async () => {
    const off = await sharedWorld()
    const ada = await off.person()
    for (const answer of [
      (await beginAt(off.send)).answer,
      await off.send('GET', '/api/auth/oidc/callback', { query: { state: 'x', code: 'y' } }),
      await ada.call('POST', '/api/auth/oidc/link', { body: { providerCode: 'x', password: ada.password } }),
      await ada.call('DELETE', '/api/auth/oidc'),
    ])
      expectProblem(answer, 404, 'not-found')
  })

  it('is asked with PKCE, a state and a nonce, each new each time; the cookie is of this host and out of reach of scripts', async () => {
    const [first, second] = [await beginAt(world.send), await beginAt(world.send)]
    const asked = ({ answer }: typeof first) => new URL(String(answer.headers.location)).searchParams
    expect(Object.fromEntries(asked(first))).toEqual({
      client_id: 'netpilot',
      redirect_uri: 'https://netpilot.example.com/api/auth/oidc/callback',
      response_type: 'code',
      scope: 'openid email profile',
      code_challenge_method: 'S256',
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
    })
    for (const name of ['state', 'nonce', 'code_challenge'])
      expect(asked(first).get(name)).not.toBe(asked(second).get(name))
    expect(first.answer.cookies).toMatchObject([
      { name: '__Host-netpilot-oidc', path: '/', secure: true, httpOnly: true, sameSite: 'Lax', maxAge: 600 },
    ])
  })

  it('works over plain HTTP on a private network, where browsers drop cookies that are Secure', async () => {
    const query = { returnTo: `${OIDC_FRONTEND}/x` }
    const lan = { host: '192.168.1.10:3000' }
    const started = await world.send('GET', '/api/auth/oidc/start', { query, headers: lan })
    const [cookie] = started.cookies as { name: string; value: string; secure?: boolean; path: string }[]
    expect(cookie).toMatchObject({ name: 'netpilot-oidc', path: '/api/auth/', httpOnly: true })
    expect(cookie?.secure).toBeUndefined()
    const { pathname, search } = await issuer.consent(String(started.headers.location))
    const back = await world.send('GET', pathname + search, {
      headers: { ...lan, cookie: `${cookie?.name}=${cookie?.value}` },
    })
    expect(outcomeOf(back).code).toMatch(/^npt_/)
  })
})

describe('somebody at this issuer', () => {
  it.each<[string, Control, Claims]>([
    ['whose token somebody else signed', { signer: 'foreign' }, {}],
    ['whose token nobody signed', { signer: 'nobody' }, {}],
    ['whose token is signed with the client secret', { signer: 'client secret' }, {}],
    ['whose token names a key that the issuer does not have', { header: { kid: 'unknown' } }, {}],
    ['whose token demands what we do not know', { header: { crit: ['exp'] } }, {}],
    ['whose token is of another issuer', {}, { iss: 'https://issuer.example.com' }],
    ['whose token is for another client', {}, { aud: 'another' }],
    ['whose token another client got', {}, { aud: ['netpilot', 'another'], azp: 'another' }],
    ['whose token has another nonce', {}, { nonce: 'of another flow' }],
    ['whose token has no nonce', {}, { nonce: null }],
    ['whose token has expired', {}, { exp: now() - 120 }],
    ['whose token never expires', {}, { exp: null }],
    ['whose token is of two minutes ahead', {}, { iat: now() + 120 }],
    ['whose token is not good yet', {}, { nbf: now() + 120 }],
    ['whose token is eleven minutes old', {}, { iat: now() - 660 }],
    ['who has no subject', {}, { sub: null }],
    ['whose subject is empty', {}, { sub: '' }],
    ['whose subject PostgreSQL cannot hold', {}, { sub: 'a\0' }],
    ['whose subject has no end', {}, { sub: 'a'.repeat(256) }],
    ['who has no address anywhere', {}, { email: null }],
    ['whose address is none', {}, { email: 'not-an-address' }],
    ['whose address brings a header along', {}, { email: 'a\r\nBcc: x@y.z@example.com' }],
    [
      'whose address the issuer tells of somebody else',
      { atUserInfo: ['email'], userInfoSub: 'another' },
      {},
    ],
  ])('is nobody for us %s', async (_what, control, claims) => {
    await issuer.control(control)
    const account = issuerAccount(claims)
    expect(await outcome(account)).toEqual({ error: 'invalid-credentials' })
    await issuer.control({})
    // Why, only the operator is told, and nothing of whom.
    const said = server.logged.splice(0).filter((line) => line.includes('identity provider refused'))
    expect(said).toHaveLength(1)
    expect(JSON.parse(said[0] ?? '{}').reason).toMatch(/^[\w "().,-]{10,200}$/)
    for (const secret of [account.sub, account.email].filter((text) => typeof text === 'string' && text))
      expect(said[0]).not.toContain(secret)
    if (typeof account.sub === 'string' && !account.sub.includes('\0'))
      expect(
        await rowsOf(`select from user_identities where subject like '% ' || $1`, [account.sub]),
      ).toEqual([])
  })

  it.each<[string, Claims]>([
    ['of a clock that is half a minute ahead', { iat: now() + 30 }],
    ['that expired half a minute ago', { exp: now() - 30 }],
    ['for several clients, got by ours', { aud: ['netpilot', 'another'], azp: 'netpilot' }],
  ])('is taken with a token %s', async (_what, claims) => {
    expect((await outcome(issuerAccount(claims))).code).toMatch(/^npt_/)
  })

  it('is asked for where the address is told at another endpoint only', async () => {
    await issuer.control({ atUserInfo: ['email', 'email_verified', 'name'] })
    const account = issuerAccount()
    const { user } = await signIn(account)
    await issuer.control({})
    expect(user).toMatchObject({ email: account.email, emailVerified: true, fullName: 'Ada Lovelace' })
  })

  it('comes back as they were asked: another state, another browser, another issuer, or twice is nobody', async () => {
    const [ada, eve] = [await beginAt(world.send), await beginAt(world.send)]
    const back = await issuer.consent(String(ada.answer.headers.location))
    for (const cookie of ['', eve.cookie, ada.cookie.replace('-oidc=', '-google=')])
      expectProblem(await comeBackTo(world.send, back, cookie), 400, 'invalid-request')
    for (const iss of ['https://issuer.example.com', undefined]) {
      const mixedUp = new URL(back)
      mixedUp.searchParams.delete('iss')
      if (iss) mixedUp.searchParams.set('iss', iss)
      expect(outcomeOf(await comeBackTo(world.send, mixedUp, ada.cookie))).toEqual({
        error: 'invalid-credentials',
      })
    }
    expect(outcomeOf(await comeBackTo(world.send, back, ada.cookie)).code).toMatch(/^npt_/)
    expect(outcomeOf(await comeBackTo(world.send, back, ada.cookie))).toEqual({
      error: 'invalid-credentials',
    })
  })

  it('cannot bring the code of another browser’s flow', async () => {
    const [ada, eve] = [await beginAt(world.send), await beginAt(world.send)]
    const [back, injected] = [
      await issuer.consent(String(ada.answer.headers.location)),
      await issuer.consent(String(eve.answer.headers.location)),
    ]
    back.searchParams.set('code', injected.searchParams.get('code') ?? '')
    expect(outcomeOf(await comeBackTo(world.send, back, ada.cookie))).toEqual({
      error: 'invalid-credentials',
    })
  })

  it('may decline', async () => {
    expect(await outcome({ error: 'access_denied' })).toEqual({ error: 'invalid-credentials' })
  })
})

describe('another issuer in its place', () => {
  it('signs nobody in to what somebody with the same subject has at the first', async () => {
    const [next, account] = [await startIssuer(), issuerAccount()]
    const { user } = await signIn(account)
    await withServer(next.env, async ({ send }) => {
      const stranger = issuerAccount({ sub: account.sub })
      const { code } = outcomeOf(await walkTo(next, send, { account: stranger }))
      const answer = await send('POST', '/api/auth/exchange', { body: { code } })
      expect(answer.json().user).toMatchObject({ email: stranger.email })
      expect(answer.json().user.id).not.toBe(user.id)
    })
    await next.close()
  })
})

describe('an address', () => {
  const claimsOf: [string, Claims][] = [
    ['is not verified', { email_verified: false }],
    ['is of unknown standing', { email_verified: null }],
    ['is verified as text', { email_verified: 'true' }],
  ]
  it.each(claimsOf)('that %s links to no account that has it', async (_what, claims) => {
    for (const person of [await world.person(), await world.confirmedPerson()]) {
      const account = issuerAccount({ ...claims, email: person.email })
      expect(await outcome(account)).toEqual({ error: 'conflict' })
      expect(await linksOf(person.id)).toEqual([])
    }
  })

  it.each(claimsOf)('that %s makes an account that has yet to confirm it', async (_what, claims) => {
    const account = issuerAccount(claims)
    expect((await signIn(account)).user).toMatchObject({ email: account.email, emailVerified: false })
    const mails = server.mails.filter(({ to }) => to === account.email)
    expect(mails.map(({ kind }) => kind)).toEqual(['verify-email'])
  })

  it('that the issuer vouches for links to the account that has it, and who registered it unproven loses it', async () => {
    const [ada, eve] = [await world.confirmedPerson(), await world.person()]
    expect((await signIn(issuerAccount({ email: ada.email }))).user).toMatchObject({
      id: ada.id,
      hasPassword: true,
    })
    expect((await ada.call('GET', '/api/auth/me')).statusCode).toBe(200)
    // Eve's own account at another provider would let her come back.
    await linkProvider(eve.id, 'google', `of ${eve.id}`)
    const account = issuerAccount({ email: eve.email })
    expect((await signIn(account)).user).toMatchObject({ id: eve.id, hasPassword: false })
    expectProblem(await eve.call('GET', '/api/auth/me'), 401, 'unauthenticated')
    expect(await linksOf(eve.id)).toEqual([{ provider: 'oidc', subject: `${issuer.issuer} ${account.sub}` }])
    expect(await rowsOf('select provider from user_identities where user_id = $1', [eve.id])).toEqual([
      { provider: 'oidc' },
    ])
    expect(server.mails.findLast(({ to }) => to === eve.email)?.text).toContain('Pocket ID')
  })

  it('goes to one account, however many come with it at once', async () => {
    const account = issuerAccount()
    const users = await Promise.all(Array.from({ length: 8 }, () => signIn(account)))
    expect(new Set(users.map(({ user }) => user.id)).size).toBe(1)
  })

  it('of a deactivated account signs nobody in', async () => {
    const account = issuerAccount()
    const { user } = await signIn(account)
    await deactivate(user.id)
    expect(await outcome(account)).toEqual({ error: 'invalid-credentials' })
  })
})

describe('a link', () => {
  const link = (person: Person, providerCode: string | undefined, password = person.password) =>
    person.call('POST', '/api/auth/oidc/link', { body: { providerCode, password } })

  it('takes a flow with that purpose and the password, whatever the address; it can be undone', async () => {
    const [ada, account] = [await world.person(), issuerAccount()]
    expectProblem(await link(ada, await proofOf(account), 'not the password'), 403, 'wrong-password')
    expect((await link(ada, await proofOf(account))).statusCode).toBe(204)
    expect((await signIn(account)).user.id).toBe(ada.id)
    expect((await ada.call('DELETE', '/api/auth/oidc')).statusCode).toBe(204)
    expectProblem(await ada.call('DELETE', '/api/auth/oidc'), 404, 'not-found')
    const linked = `select act, outcome from user_audit_log where user_id = $1 and act like '%Oidc' order by sequence`
    expect(await rowsOf(linked, [ada.id])).toEqual([
      { act: 'linkOidc', outcome: 'failure' },
      { act: 'linkOidc', outcome: 'success' },
      { act: 'unlinkOidc', outcome: 'success' },
    ])
    expect((await signIn(account)).user.id).not.toBe(ada.id)
  })

  it('is for one account there and one account here', async () => {
    const [ada, bob, account] = [await world.person(), await world.person(), issuerAccount()]
    expect((await link(ada, await proofOf(account))).statusCode).toBe(204)
    expect((await link(ada, await proofOf(account))).statusCode).toBe(204)
    expectProblem(await link(ada, await proofOf(issuerAccount())), 409, 'conflict')
    expectProblem(await link(bob, await proofOf(account)), 409, 'conflict')
    expect(await linksOf(bob.id)).toEqual([])
  })

  it('is removed after a recent proof of the owner only', async () => {
    const ada = await world.person()
    expect((await link(ada, await proofOf(issuerAccount()))).statusCode).toBe(204)
    await rowsOf(`update user_login_sessions set proven_at = now() - interval '1 hour' where user_id = $1`, [
      ada.id,
    ])
    expectProblem(await ada.call('DELETE', '/api/auth/oidc'), 403, 'proof-required')
    expect(await linksOf(ada.id)).toHaveLength(1)
  })

  it('is not what a sign-in ends with, nor the other way round', async () => {
    const [ada, account] = [await world.person(), issuerAccount()]
    const { code } = await outcome(issuerAccount())
    expectProblem(await link(ada, code), 401, 'invalid-credentials')
    expectProblem(await exchange(await proofOf(account)), 401, 'invalid-credentials')
  })

  it('stays while nothing else would sign in', async () => {
    const account = issuerAccount()
    const { user, accessToken } = await signIn(account)
    const headers = { authorization: `Bearer ${accessToken}` }
    expectProblem(await world.send('DELETE', '/api/auth/oidc', { headers }), 409, 'conflict')
    expect(await linksOf(user.id)).toHaveLength(1)
  })
})

describe('what a flow with the purpose prove comes back with', () => {
  it('proves the owner, as a password would: to leave for a while, to come back, and to leave for good', async () => {
    const account = issuerAccount()
    const { user, accessToken } = await signIn(account)
    const headers = { authorization: `Bearer ${accessToken}` }
    const somebodyElses = { providerCode: await proofOf(issuerAccount()) }
    expectProblem(
      await world.send('POST', '/api/users/deactivate', { headers, body: somebodyElses }),
      403,
      'wrong-password',
    )
    const left = await world.send('POST', '/api/users/deactivate', {
      headers,
      body: { providerCode: await proofOf(account) },
    })
    expect(left.statusCode, left.body).toBe(204)
    const back = await world.send('POST', '/api/users/reactivate', {
      body: { providerCode: await proofOf(account) },
    })
    expect(back.statusCode, back.body).toBe(200)
    const gone = await world.send('DELETE', '/api/users/account', {
      headers: { authorization: `Bearer ${back.json().accessToken}` },
      body: { providerCode: await proofOf(account) },
    })
    expect(gone.statusCode, gone.body).toBe(204)
    for (const table of ['user_emails', 'user_identities'])
      expect(await rowsOf(`select from ${table} where user_id = $1`, [user.id]), table).toEqual([])
    expect((await signIn(account)).user.id).not.toBe(user.id)
  })

  it('is good for five minutes, and needs that the issuer has just asked', async () => {
    const account = issuerAccount()
    const { accessToken } = await signIn(account)
    const headers = { authorization: `Bearer ${accessToken}` }
    const providerCode = await proofOf(account)
    const prove = () => world.send('POST', '/api/auth/reauthenticate', { headers, body: { providerCode } })
    expect((await prove()).statusCode).toBe(200)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 301_000 })
    try {
      expectProblem(await prove(), 403, 'wrong-password')
    } finally {
      vi.useRealTimers()
    }
    const { answer, cookie } = await beginAt(world.send, 'prove')
    const asked = new URL(String(answer.headers.location))
    expect(asked.searchParams.get('prompt')).toBe('login')
    // The issuer let a session of long ago do.
    const back = await issuer.consent(asked.href, { ...account, auth_time: now() - 3_600 })
    expect(outcomeOf(await comeBackTo(world.send, back, cookie))).toEqual({ error: 'invalid-credentials' })
  })
})

describe('an issuer that fails', () => {
  it('is 503 with Retry-After while it is away, signing in by password goes on, and so does it when it is back', async () => {
    await withServer({ OIDC_TIMEOUT_MS: '300' }, async ({ send, person }, { logged }) => {
      for (const status of [0, 500, 302, 404]) {
        await issuer.control({ status: { '/.well-known/openid-configuration': status } })
        const { answer } = await beginAt(send)
        expectProblem(answer, 503, 'unavailable')
        expect(answer.headers['retry-after']).toMatch(/^\d+$/)
      }
      const { email, password } = await person()
      expect((await send('POST', '/api/auth/login', { body: { email, password } })).statusCode).toBe(200)
      await issuer.control({})
      for (const path of ['/token', '/jwks']) {
        const { answer, cookie } = await beginAt(send)
        const back = await issuer.consent(String(answer.headers.location))
        await issuer.control({ status: { [path]: 500 } })
        expectProblem(await comeBackTo(send, back, cookie), 503, 'unavailable')
        await issuer.control({})
        expect(logged.join('')).not.toContain(back.searchParams.get('code'))
      }
      expect(outcomeOf(await walkTo(issuer, send)).code).toMatch(/^npt_/)
    })
  })

  it.each<[string, Claims]>([
    ['names another issuer', { issuer: 'https://issuer.example.com' }],
    ['names no issuer', { issuer: null }],
    ['sends passwords in the clear', { authorization_endpoint: 'http://issuer.example.com/authorize' }],
    ['has nowhere to sign in', { authorization_endpoint: null }],
  ])('is not believed when its discovery document %s', async (_what, metadata) => {
    await withServer({}, async ({ send }) => {
      await issuer.control({ metadata })
      const { answer } = await beginAt(send)
      expectProblem(answer, 503, 'unavailable')
      expect(answer.cookies).toEqual([])
    })
  })

  it('is not given the secret over the clear', async () => {
    await withServer({}, async ({ send }) => {
      await issuer.control({ metadata: { token_endpoint: 'http://issuer.example.com/token' } })
      expectProblem(await walkTo(issuer, send), 503, 'unavailable')
    })
  })

  it('may change its key: the new one is fetched when a token names it', async () => {
    await withServer({}, async ({ send }) => {
      expect(outcomeOf(await walkTo(issuer, send)).code).toMatch(/^npt_/)
      await issuer.control({ rotate: true })
      // At most once a minute, so that made-up keys do not make us ask all the time.
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 })
      try {
        const account = issuerAccount({ iat: now(), exp: now() + 300 })
        expect(outcomeOf(await walkTo(issuer, send, { account })).code).toMatch(/^npt_/)
      } finally {
        vi.useRealTimers()
      }
    })
  })

  it('is asked what it says about itself once, not with each sign-in', async () => {
    await withServer({}, async ({ send }) => {
      await issuer.control({})
      await Promise.all(Array.from({ length: 5 }, () => beginAt(send)))
      for (let n = 0; n < 3; n += 1) await walkTo(issuer, send)
      const asked = await issuer.control({})
      expect(asked.filter((path) => path.startsWith('/.well-known'))).toHaveLength(1)
      expect(asked.filter((path) => path === '/jwks')).toHaveLength(1)
      expect(asked.filter((path) => path === '/token')).toHaveLength(3)
    })
  })
})

describe('the configuration', () => {
  const settings = (env: Record<string, string>) => testConfig(env).oidc
  const ENV = {
    OIDC_ISSUER: 'https://id.example.com',
    OIDC_CLIENT_ID: 'netpilot',
    OIDC_CLIENT_SECRET: 'very secret',
    PUBLIC_URL: 'https://netpilot.example.com',
  }

  it('takes an issuer, a client and its secret, and the address of this server', () => {
    expect(settings({})).toBeUndefined()
    expect(settings({ PUBLIC_URL: ENV.PUBLIC_URL })).toBeUndefined()
    expect(settings(ENV)).toEqual({
      issuer: ENV.OIDC_ISSUER,
      clientId: 'netpilot',
      clientSecret: 'very secret',
      name: 'OpenID Connect',
      scopes: 'openid email profile',
      redirectUri: 'https://netpilot.example.com/api/auth/oidc/callback',
      returnOrigins: ['https://netpilot.example.com'],
      allowHttp: false,
      timeoutMs: 5_000,
    })
    const pages = { APP_URL: 'https://app.example.com/pilot', CORS_ORIGINS: 'https://other.example.com' }
    expect(settings({ ...ENV, ...pages })?.returnOrigins).toEqual([
      'https://other.example.com',
      'https://app.example.com',
      'https://netpilot.example.com',
    ])
    expect(settings({ ...ENV, OIDC_RETURN_TO: 'https://app.example.com' })?.returnOrigins).toEqual([
      'https://app.example.com',
    ])
  })

  it.each(Object.keys(ENV))('is refused without %s, and the fault repeats no value', (name) => {
    expect(() => settings({ ...ENV, [name]: '' })).toThrow(
      new RegExp(`^(?!.*very secret).*${name} is missing`, 's'),
    )
  })

  it.each([
    ['http://id.example.com', {}],
    ['http://id.example.com', { OIDC_ALLOW_HTTP: 'on' }],
    ['http://8.8.8.8', { OIDC_ALLOW_HTTP: 'on' }],
    ['http://192.168.1.20:9091', {}],
    ['http://authelia.lan', {}],
    ['http://127.0.0.1.example.com', { OIDC_ALLOW_HTTP: 'on' }],
    ['ftp://id.example.com', {}],
    ['https://ada:secret@id.example.com', {}],
    ['https://id.example.com/?x=1', {}],
    ['id.example.com', {}],
  ])('refuses the issuer %s with %j', (issuer, more) => {
    expect(() => settings({ ...ENV, ...more, OIDC_ISSUER: issuer })).toThrow(/OIDC_ISSUER must be/)
  })

  it.each([
    ['http://localhost:9091', {}],
    ['http://127.0.0.1:9091', {}],
    ['http://[::1]:9091', {}],
    ['http://192.168.1.20:9091', { OIDC_ALLOW_HTTP: 'on' }],
    ['http://authelia.lan', { OIDC_ALLOW_HTTP: 'on' }],
    ['https://id.example.com/realms/home', {}],
  ])('takes the issuer %s with %j', (issuer, more) => {
    expect(settings({ ...ENV, ...more, OIDC_ISSUER: issuer })?.issuer).toBe(issuer)
  })

  it('refuses scopes without openid, and a callback elsewhere', () => {
    expect(() => settings({ ...ENV, OIDC_SCOPES: 'email' })).toThrow(/OIDC_SCOPES must have openid/)
    expect(() => settings({ ...ENV, OIDC_REDIRECT_URI: 'https://netpilot.example.com/x' })).toThrow(
      /OIDC_REDIRECT_URI must be/,
    )
    expect(() => settings({ ...ENV, OIDC_RETURN_TO: 'https://app.example.com/x' })).toThrow(/exact origin/)
  })
})
