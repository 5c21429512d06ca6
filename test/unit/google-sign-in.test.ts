/**
 * Google as a proof of who somebody is: which ID tokens count, what the redirect flow holds against whom, and
 * how it is configured.
 */
import { createHmac, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGoogle, type Google } from '../../src/auth/providers/google/google.ts'
import type { GoogleSettings } from '../../src/config/google.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { createCookieSeal } from '../../src/crypto/seal.ts'
import { Problem } from '../../src/http/problem.ts'
import {
  type Claims,
  FOREIGN_KEY,
  FRONTEND,
  GOOGLE_PEM,
  googleAccount,
  type StandInGoogle,
  startGoogle,
} from '../support/google.ts'
import { testConfig } from '../support/world.ts'

const keyring = createKeyring({ current: randomBytes(32).toString('base64') })
const now = Math.floor(Date.now() / 1_000)
const WEEK = 604_800
const [ANOTHER_APP, MOBILE] = [
  '9999-other.apps.googleusercontent.com',
  '1234-mobile.apps.googleusercontent.com',
]

let standIn: StandInGoogle
let google: Google
beforeAll(async () => {
  standIn = await startGoogle()
  google = await open()
})
afterAll(() => standIn.close())

/** As a server with these settings, besides those of the stand-in. */
const open = (env: Record<string, string> = {}) =>
  createGoogle({ ...(testConfig({ ...standIn.env, ...env }).google as GoogleSettings), keyring })

describe('an ID token', () => {
  it('says who somebody is', async () => {
    const ada = googleAccount({ email: 'Ada.Lovelace@GMAIL.com' })
    expect(await google.verify(standIn.idToken(ada))).toEqual({
      sub: ada.sub,
      email: 'ada.lovelace@gmail.com',
      emailVerified: true,
      isAuthoritative: true,
      fullName: 'Ada Lovelace',
      avatarUrl: 'https://lh3.example.com/ada.png',
    })
  })

  it.each<[string, Claims, boolean]>([
    ['of Gmail', { email: 'ada@gmail.com' }, true],
    ['of a Workspace domain', { email: 'ada@example.com', hd: 'example.com' }, true],
    ['of another provider', { email: 'ada@example.com' }, false],
    ['that only looks like Gmail', { email: 'ada@gmail.com.example.com' }, false],
    ['that only ends like Gmail', { email: 'ada@notgmail.com' }, false],
    ['with an empty domain', { email: 'ada@example.com', hd: '' }, false],
    ['with a domain that is none', { email: 'ada@example.com', hd: true }, false],
  ])('with an address %s tells whether Google gives it out, T10', async (_what, claims, isAuthoritative) => {
    expect(await google.verify(standIn.idToken(googleAccount(claims)))).toMatchObject({
      email: claims.email,
      isAuthoritative,
    })
  })

  it.each<[string, Claims]>([
    ['for the second client', { aud: MOBILE, azp: MOBILE }],
    ['for one client, got by another of ours', { azp: MOBILE }],
    ['without an authorized party', { azp: undefined }],
    ['with Google’s short name', { iss: '' }],
    ['with a nonce that nobody asks about', { nonce: 'of a mobile library' }],
    ['that is good from now on', { nbf: now }],
    ['almost ten minutes old', { iat: now - 540 }],
    ['of a clock that is half a minute ahead', { iat: now + 30 }],
    ['that expired half a minute ago', { exp: now - 30, iat: now - 500 }],
    ['that lives for twelve hours', { exp: now + 43_200 }],
    ['with claims of no interest', { at_hash: 'x', locale: 'en', __proto__: { sub: 'x' }, constructor: 'x' }],
    ['without a name or a picture', { name: undefined, picture: undefined }],
  ])('is taken %s, T8', async (_what, claims) => {
    const iss = claims.iss === '' ? standIn.issuer.replace('https://', '') : standIn.issuer
    expect(await google.verify(standIn.idToken(googleAccount({ ...claims, iss })))).toMatchObject({
      emailVerified: true,
    })
  })

  it.each<[string, Claims]>([
    ['for another application', { aud: ANOTHER_APP, azp: ANOTHER_APP }],
    ['for no application', { aud: undefined }],
    ['for several applications', { aud: ['1234-web.apps.googleusercontent.com', ANOTHER_APP] }],
    ['got by another application', { azp: ANOTHER_APP }],
    ['got by an application without a name', { azp: '' }],
    ['got by nothing', { azp: null }],
    ['of another issuer', { iss: 'https://accounts.example.com' }],
    ['of Google’s cloud, which the library would take', { iss: 'googleapis.com' }],
    ['of no issuer', { iss: undefined }],
    ['of nobody', { sub: undefined }],
    ['of an empty subject', { sub: '' }],
    ['of a numeric subject', { sub: 12 }],
    ['of a subject that PostgreSQL cannot hold', { sub: 'a\0' }],
    ['of a subject without end', { sub: 'a'.repeat(256) }],
    ['without an address', { email: undefined }],
    ['with an address that is no text', { email: ['ada@gmail.com'] }],
    ['with an address that PostgreSQL cannot hold', { email: 'ada\0@gmail.com' }],
    ['with an address that is none', { email: 'nobody' }],
    ['with an address of a machine', { email: 'ada@localhost' }],
    ['with an address that brings a header along', { email: 'a\r\nBcc: x@y.z@gmail.com' }],
    ['with an address that is not verified', { email_verified: false }],
    ['with an address of which nothing is said', { email_verified: undefined }],
    ['with an address verified as text', { email_verified: 'true' }],
    ['with an address verified as a number', { email_verified: 1 }],
    ['that is not good yet for two minutes', { nbf: now + 120 }],
    ['that is good from a time that is text', { nbf: String(now) }],
    ['issued eleven minutes ago', { iat: now - 660 }],
    ['issued at no time', { iat: undefined }],
    ['issued in two minutes', { iat: now + 120 }],
    ['issued at a time that is text', { iat: String(now) }],
    ['issued at a fraction', { iat: now - 0.5 }],
    ['expired for two minutes', { exp: now - 120, iat: now - 500 }],
    ['that never expires', { exp: undefined }],
    ['that expires at a time that is text', { exp: String(now + 60) }],
    ['that expires in a week', { exp: now + WEEK }],
    ['that expires at the end of time', { exp: 1e308 }],
    ['that is longer than any of Google’s', { locale: 'x'.repeat(8_000) }],
  ])('is refused %s, T8', async (_what, claims) => {
    expect(await google.verify(standIn.idToken(googleAccount(claims)))).toBeUndefined()
  })

  it('for anybody else is refused, however the audience is left out, T7', async () => {
    const foreign = standIn.idToken(googleAccount({ aud: ANOTHER_APP, azp: undefined }))
    expect(await google.verify(foreign)).toBeUndefined()
    const { redirect: _, ...idTokensOnly } = testConfig(standIn.env).google as GoogleSettings
    // @ts-expect-error: settings without a client id do not compile.
    const careless: GoogleSettings = { ...idTokensOnly, clientIds: [] }
    expect(await (await createGoogle({ ...careless, keyring })).verify(foreign)).toBeUndefined()
  })

  it('carries the nonce that was asked for, T8', async () => {
    const token = standIn.idToken(googleAccount({ nonce: 'n-1' }))
    expect(await google.verify(token, { nonce: 'n-1' })).toBeDefined()
    expect(await google.verify(token, { nonce: 'n-2' })).toBeUndefined()
    expect(await google.verify(standIn.idToken(), { nonce: 'n-1' })).toBeUndefined()
    expect(
      await google.verify(standIn.idToken(googleAccount({ nonce: ['n-1'] })), { nonce: 'n-1' }),
    ).toBeUndefined()
  })

  it('is as fresh as was asked for', async () => {
    const token = standIn.idToken(googleAccount({ iat: now - 90 }))
    expect(await google.verify(token, { maxAgeSeconds: 120 })).toBeDefined()
    expect(await google.verify(token, { maxAgeSeconds: 60 })).toBeUndefined()
  })

  it('of a Workspace domain is asked for where only its members may sign in, T8', async () => {
    const ours = await open({ GOOGLE_HOSTED_DOMAIN: 'Example.com, example.org' })
    expect(
      await ours.verify(standIn.idToken(googleAccount({ email: 'ada@example.org', hd: 'example.org' }))),
    ).toBeDefined()
    for (const hd of [undefined, 'example.net', '', ['example.com']])
      expect(
        await ours.verify(standIn.idToken(googleAccount({ email: 'ada@example.com', hd }))),
      ).toBeUndefined()
  })

  it('brings a name and a picture only as they can be kept and shown', async () => {
    const odd = { name: 'a'.repeat(201), picture: 'javascript:alert(1)' }
    expect(await google.verify(standIn.idToken(googleAccount(odd)))).toMatchObject({
      fullName: null,
      avatarUrl: null,
    })
    const malformed = { name: 'Ada\0', picture: 5 }
    expect(await google.verify(standIn.idToken(googleAccount(malformed)))).toMatchObject({
      fullName: null,
      avatarUrl: null,
    })
  })

  it('is nothing that somebody else signed, or nobody, or that is no token at all, T8', async () => {
    const token = standIn.idToken()
    const [header = '', payload = '', signature = ''] = token.split('.')
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString())
    const symmetric = `${encode({ alg: 'HS256', kid, typ: 'JWT' })}.${payload}`
    const hostile = [
      standIn.idToken(googleAccount(), { key: FOREIGN_KEY }),
      standIn.idToken(googleAccount(), { header: { kid: 'unknown' } }),
      standIn.idToken(googleAccount(), { header: { kid: undefined } }),
      standIn.idToken(googleAccount(), { header: { kid: '__proto__' } }),
      standIn.idToken(googleAccount(), { header: { alg: 'ES256' } }),
      standIn.idToken(googleAccount(), { header: { alg: undefined } }),
      standIn.idToken(googleAccount(), { header: { alg: ['RS256'] } }),
      `${encode({ alg: 'none', kid })}.${payload}.`,
      `${symmetric}.${createHmac('sha256', GOOGLE_PEM).update(symmetric).digest('base64url')}`,
      `${header}.${encode({ ...JSON.parse(Buffer.from(payload, 'base64url').toString()), email_verified: 1 })}.${signature}`,
      `${header}.${payload}.`,
      `${header}.${payload}`,
      `${token}.${signature}`,
      `${header}.${encode(null)}.${signature}`,
      `${encode(null)}.${payload}.${signature}`,
      `a${token}`,
      '',
      '..',
      'null',
    ]
    for (const text of hostile) expect(await google.verify(text), text.slice(0, 200)).toBeUndefined()
  })

  it.each(['<html>a captive portal</html>', {}, ['x'], null, 7, { kid: '<html>' }])(
    'cannot be judged with %j for Google’s keys, T9',
    async (body) => {
      const unlucky = await open()
      standIn.faults['/certs'] = { status: 200, body }
      const failure = await unlucky.verify(standIn.idToken()).catch((error: unknown) => error)
      delete standIn.faults['/certs']
      expect(failure).toMatchObject({ code: 'unavailable' })
      expect(await unlucky.verify(standIn.idToken())).toBeDefined()
    },
  )

  it('cannot be judged by keys from where Google’s address leads on to', async () => {
    const unlucky = await open()
    standIn.faults['/certs'] = { status: 302, headers: { location: `${standIn.issuer}/elsewhere` } }
    standIn.faults['/elsewhere'] = { status: 200, body: { x: GOOGLE_PEM } }
    const before = standIn.asked.length
    await expect(unlucky.verify(standIn.idToken())).rejects.toMatchObject({ code: 'unavailable' })
    expect(standIn.asked.slice(before)).toEqual(['/certs'])
    delete standIn.faults['/certs']
    delete standIn.faults['/elsewhere']
  })

  it('cannot be judged while Google’s keys cannot be fetched, and can as soon as they can; nothing of it is told, T9', async () => {
    const unlucky = await open()
    const token = standIn.idToken()
    for (const status of [500, 404]) {
      standIn.faults['/certs'] = { status, body: { error: { message: token } } }
      const failure = await unlucky.verify(token).catch((error: unknown) => error)
      delete standIn.faults['/certs']
      expect(failure).toBeInstanceOf(Problem)
      const { code, cause, options } = failure as Problem
      expect([code, (cause as Error).message]).toEqual(['unavailable', `Google was asked in vain: ${status}`])
      expect(`${(cause as Error).stack} ${JSON.stringify([cause, options])}`).not.toContain(
        token.slice(0, 20),
      )
    }
    expect(await unlucky.verify(token)).toBeDefined()
    const slow = await open({ GOOGLE_TIMEOUT_MS: '100' })
    standIn.faults['/certs'] = { status: 0 }
    const failure = slow.verify(token).catch((error: unknown) => error)
    expect(await failure).toMatchObject({
      code: 'unavailable',
      cause: { message: 'Google was asked in vain: TimeoutError' },
    })
    delete standIn.faults['/certs']
    const away = await open({ GOOGLE_CERTIFICATES_URL: 'http://127.0.0.1:1/certs' })
    await expect(away.verify(token)).rejects.toMatchObject({
      code: 'unavailable',
      cause: { message: expect.stringMatching(/ECONNREFUSED$/) },
    })
  })

  it('costs a call to Google now and then, not each time and not each at once', async () => {
    const fresh = await open()
    const before = standIn.asked.length
    await Promise.all(Array.from({ length: 20 }, () => fresh.verify(standIn.idToken())))
    await fresh.verify(standIn.idToken(googleAccount(), { header: { kid: 'unknown' } }))
    expect(standIn.asked.slice(before)).toEqual(['/certs'])
  })
})

describe('the redirect flow', () => {
  const RETURN_TO = `${FRONTEND}/signed-in?theme=dark#top`
  const begin = async (returnTo = RETURN_TO, { flow } = google) => {
    const started = await flow?.start(returnTo)
    if (!started) throw new Error('the flow did not start')
    return { ...started, asked: new URL(started.location).searchParams }
  }
  const resume = (state: string | null, cookie: string, { flow } = google) =>
    flow?.resume(state ?? '', cookie)
  /** Through Google and back. */
  async function walk(account?: Claims) {
    const { location, cookie } = await begin()
    const { searchParams } = await standIn.consent(location, account)
    return { cookie, state: searchParams.get('state') ?? '', code: searchParams.get('code') ?? '' }
  }
  /** What the cookie holds, which only the server can read. */
  const { unseal, seal } = createCookieSeal(keyring.googleFlows)

  it('goes to Google and comes back with who somebody is', async () => {
    const ada = googleAccount()
    const { cookie, state, code } = await walk(ada)
    const resumed = resume(state, cookie)
    expect(resumed?.returnTo).toBe(RETURN_TO)
    expect(await resumed?.redeem(code)).toMatchObject({ sub: ada.sub, email: ada.email })
  })

  it('asks with PKCE by S256, never plain, with a state and a nonce, each new each time, T11', async () => {
    const [first, second] = [await begin(), await begin()]
    const constant = {
      client_id: standIn.clientIds[0],
      redirect_uri: standIn.redirectUri,
      response_type: 'code',
      scope: 'openid email profile',
      code_challenge_method: 'S256',
      prompt: 'select_account',
    }
    const random = expect.stringMatching(/^[\w-]{43}$/)
    expect(Object.fromEntries(first.asked)).toEqual({
      ...constant,
      state: random,
      nonce: random,
      code_challenge: random,
    })
    for (const name of ['state', 'nonce', 'code_challenge'])
      expect(first.asked.get(name)).not.toBe(second.asked.get(name))
  })

  it('keeps its secrets in a cookie that says nothing to who holds it', async () => {
    const { cookie, asked } = await begin()
    const { verifier, state } = unseal(cookie) as { verifier: string; state: string }
    expect(state).toBe(asked.get('state'))
    const bytes = Buffer.from(cookie, 'base64url').toString('latin1')
    for (const secret of [verifier, state, 'app.example.com']) expect(bytes + cookie).not.toContain(secret)
  })

  it('cannot be resumed without its state, T11', async () => {
    const { cookie, state } = await walk()
    for (const other of [
      '',
      state.slice(1),
      `${state}A`,
      state.toLowerCase() === state ? 'x' : state.toLowerCase(),
    ])
      expect(resume(other, cookie)).toBeUndefined()
    expect(resume(state, cookie)).toBeDefined()
  })

  it('cannot be resumed with the state of another browser, nor without the cookie, T11', async () => {
    const [ada, eve] = await Promise.all([walk(), walk()])
    expect(resume(eve.state, ada.cookie)).toBeUndefined()
    expect(resume(ada.state, eve.cookie)).toBeUndefined()
    expect(resume(ada.state, '')).toBeUndefined()
  })

  it('cannot be resumed with a cookie that is made up, changed or sealed for something else, T11', async () => {
    const { cookie, state } = await walk()
    const flow = unseal(cookie)
    const forged = [
      createCookieSeal(createKeyring({ current: randomBytes(32).toString('base64') }).googleFlows).seal(flow),
      createCookieSeal(keyring.refreshTokens).seal(flow),
      Buffer.from(JSON.stringify(flow)).toString('base64url'),
      `${cookie}A`,
      ` ${cookie}`,
      cookie.slice(0, 40),
      seal(null),
      seal('text'),
    ]
    for (const text of forged) expect(resume(state, text)).toBeUndefined()
    for (let at = 0; at < cookie.length; at += 1) {
      const changed = cookie.slice(0, at) + (cookie[at] === 'A' ? 'B' : 'A') + cookie.slice(at + 1)
      expect(resume(state, changed), String(at)).toBeUndefined()
    }
  })

  it('goes on under the key that the current one replaced', async () => {
    const [old, current] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')]
    const settings = testConfig(standIn.env).google as GoogleSettings
    const [before, after] = await Promise.all([
      createGoogle({ ...settings, keyring: createKeyring({ current: old }) }),
      createGoogle({ ...settings, keyring: createKeyring({ current, previous: old }) }),
    ])
    const { cookie, asked } = await begin(RETURN_TO, before)
    expect(resume(asked.get('state'), cookie, after)?.returnTo).toBe(RETURN_TO)
  })

  it('is over after ten minutes', async () => {
    const { cookie } = await begin()
    const flow = unseal(cookie) as { state: string; startedAt: number }
    const aged = (seconds: number) =>
      resume(flow.state, seal({ ...flow, startedAt: flow.startedAt - seconds }))
    expect(aged(590)).toBeDefined()
    expect(aged(610)).toBeUndefined()
  })

  it('signs nobody in a second time: Google’s code is spent, T11', async () => {
    const { cookie, state, code } = await walk()
    expect(await resume(state, cookie)?.redeem(code)).toBeDefined()
    expect(await resume(state, cookie)?.redeem(code)).toBeUndefined()
  })

  it('redeems no code without the verifier of the browser that it was made for, T11', async () => {
    const eve = await walk()
    const { location, cookie, asked } = await begin()
    // Eve's code, put into Ada's flow, and even with the nonce that Ada's flow asks for.
    const injected = await standIn.consent(
      (await begin()).location,
      googleAccount({ nonce: asked.get('nonce') }),
    )
    expect(
      await resume(asked.get('state'), cookie)?.redeem(injected.searchParams.get('code') ?? ''),
    ).toBeUndefined()
    expect(await resume(asked.get('state'), cookie)?.redeem(eve.code)).toBeUndefined()
    // A flow that lost its verifier.
    const { searchParams } = await standIn.consent(location)
    const bare = seal({ ...(unseal(cookie) as object), verifier: undefined })
    expect(await resume(asked.get('state'), bare)?.redeem(searchParams.get('code') ?? '')).toBeUndefined()
  })

  it('takes no token with another nonce, even for its own code, T11', async () => {
    const { cookie, state, code } = await walk(googleAccount({ nonce: 'of another flow' }))
    expect(await resume(state, cookie)?.redeem(code)).toBeUndefined()
  })

  it('takes no token that would not be taken otherwise', async () => {
    const { cookie, state, code } = await walk(googleAccount({ email_verified: false }))
    expect(await resume(state, cookie)?.redeem(code)).toBeUndefined()
  })

  it('fails as unavailable, and tells nothing, when Google fails or does not know the client, T9', async () => {
    for (const [status, body] of [
      [500, { error: 'server_error' }],
      [401, { error: 'invalid_client', error_description: 'secrets' }],
    ] as const) {
      const { cookie, state, code } = await walk()
      const before = standIn.asked.length
      standIn.faults['/token'] = { status, body }
      const failure = (await resume(state, cookie)
        ?.redeem(code)
        .catch((error: unknown) => error)) as Problem
      delete standIn.faults['/token']
      // A code that is shown twice is void.
      expect(standIn.asked.slice(before)).toEqual(['/token'])
      expect([failure.code, (failure.cause as Error).message]).toEqual([
        'unavailable',
        `Google was asked in vain: ${status}`,
      ])
      const told = `${(failure.cause as Error).stack} ${JSON.stringify([failure.cause, failure.options])}`
      for (const secret of [code, standIn.clientSecret, 'secrets']) expect(told).not.toContain(secret)
    }
  })

  it.each([
    ['another site', 'https://evil.example'],
    ['a site whose name begins alike', 'https://app.example.com.evil.example/'],
    ['a site whose name ends alike', 'https://evilapp.example.com/'],
    ['a subdomain', 'https://www.app.example.com/'],
    ['the address before an @', 'https://app.example.com@evil.example/'],
    ['a backslash for a slash', 'https://evil.example\\@app.example.com/'],
    ['somebody’s name and password', 'https://ada:secret@app.example.com/'],
    ['another port', 'https://app.example.com:8443/'],
    ['no TLS', 'http://app.example.com/'],
    ['no scheme', '//app.example.com/'],
    ['a path only', '/signed-in'],
    ['a script', 'javascript:alert(1)//https://app.example.com'],
    ['data', 'data:text/html,https://app.example.com'],
    ['a blob', 'blob:https://evil.example/1'],
    ['a blob of the allowed site', 'blob:https://app.example.com/x'],
    ['two addresses', 'https://evil.example, https://app.example.com'],
    ['nothing', ''],
    ['more than a cookie holds', `https://app.example.com/${'a'.repeat(2_000)}`],
  ])('does not go back to %s, T11', async (_what, returnTo) => {
    expect(await google.flow?.start(returnTo)).toBeUndefined()
  })

  it('goes back to the URL as it was understood, in its one spelling', async () => {
    const { cookie, asked } = await begin('https:\\\\APP.example.com/a/../b\n?x= ')
    expect(resume(asked.get('state'), cookie)?.returnTo).toBe('https://app.example.com/b?x=')
  })
})

describe('Google sign-in', () => {
  const settings = (env: Record<string, string>) => testConfig(env).google
  const ID = 'abc.apps.googleusercontent.com'
  const REDIRECT = {
    GOOGLE_CLIENT_SECRET: 'GOCSPX-x',
    GOOGLE_REDIRECT_URI: 'https://netpilot.example.com/api/auth/google/callback',
  }

  it('is off until it is configured', () => {
    expect(settings({})).toBeUndefined()
    expect(settings({ CORS_ORIGINS: 'https://app.example.com' })).toBeUndefined()
  })

  it('takes ID tokens with a client id alone', async () => {
    const idTokensOnly = settings({
      GOOGLE_CLIENT_ID: `${ID}, other`,
      GOOGLE_HOSTED_DOMAIN: 'Example.com',
    }) as GoogleSettings
    expect(idTokensOnly).toEqual({
      clientIds: [ID, 'other'],
      hostedDomains: ['example.com'],
      timeoutMs: 5_000,
      endpoints: {
        issuer: 'https://accounts.google.com',
        authorizationUrl: 'https://accounts.google.com/o/oauth2/v2/auth',
        tokenUrl: 'https://oauth2.googleapis.com/token',
        certificatesUrl: 'https://www.googleapis.com/oauth2/v1/certs',
      },
    })
    expect((await createGoogle({ ...idTokensOnly, keyring })).flow).toBeUndefined()
  })

  it('redirects with a secret, an address and somewhere to return to, which is where browser apps are unless told otherwise', () => {
    const [mine, theirs] = ['https://mine.example.com', 'https://app.example.com']
    const env = { GOOGLE_CLIENT_ID: ID, ...REDIRECT, CORS_ORIGINS: theirs }
    expect(settings(env)?.redirect).toEqual({
      clientSecret: 'GOCSPX-x',
      redirectUri: REDIRECT.GOOGLE_REDIRECT_URI,
      returnOrigins: [theirs],
    })
    expect(settings({ ...env, GOOGLE_RETURN_TO: mine })?.redirect?.returnOrigins).toEqual([mine])
  })

  it.each<[string, Record<string, string>, RegExp]>([
    ['a secret without a client id', REDIRECT, /GOOGLE_CLIENT_ID is missing/],
    ['a domain without a client id', { GOOGLE_HOSTED_DOMAIN: 'example.com' }, /GOOGLE_CLIENT_ID is missing/],
    [
      'somewhere to return to without a client id',
      { GOOGLE_RETURN_TO: FRONTEND },
      /GOOGLE_CLIENT_ID is missing/,
    ],
    [
      'a secret without an address',
      { GOOGLE_CLIENT_ID: ID, GOOGLE_CLIENT_SECRET: 'x' },
      /GOOGLE_REDIRECT_URI is missing/,
    ],
    [
      'an address without a secret',
      { GOOGLE_CLIENT_ID: ID, GOOGLE_REDIRECT_URI: REDIRECT.GOOGLE_REDIRECT_URI },
      /GOOGLE_CLIENT_SECRET is missing/,
    ],
    [
      'somewhere to return to and no flow',
      { GOOGLE_CLIENT_ID: ID, GOOGLE_RETURN_TO: FRONTEND },
      /GOOGLE_CLIENT_SECRET is missing.*\n.*GOOGLE_REDIRECT_URI is/,
    ],
    ['a flow that leads nowhere', { GOOGLE_CLIENT_ID: ID, ...REDIRECT }, /GOOGLE_RETURN_TO is missing/],
    [
      'a return to a path',
      { GOOGLE_CLIENT_ID: ID, ...REDIRECT, GOOGLE_RETURN_TO: `${FRONTEND}/x` },
      /GOOGLE_RETURN_TO: .*exact origin/,
    ],
    [
      'a return to anywhere',
      { GOOGLE_CLIENT_ID: ID, ...REDIRECT, GOOGLE_RETURN_TO: '*' },
      /GOOGLE_RETURN_TO: .*exact origin/,
    ],
    [
      'a stand-in that is no URL',
      { GOOGLE_CLIENT_ID: ID, GOOGLE_TOKEN_URL: 'google' },
      /GOOGLE_TOKEN_URL must be a URL/,
    ],
  ])('refuses to start half configured: %s', (_what, env, fault) => {
    expect(() => settings(env)).toThrow(fault)
  })

  it.each([
    'http://netpilot.example.com/api/auth/google/callback',
    'https://netpilot.example.com/callback',
    'https://netpilot.example.com/api/auth/google/callback?x=1',
    'https://netpilot.example.com/api/auth/google/callback#x',
    '/api/auth/google/callback',
  ])('refuses to start with the callback %s', (redirectUri) => {
    const env = {
      GOOGLE_CLIENT_ID: ID,
      ...REDIRECT,
      GOOGLE_RETURN_TO: FRONTEND,
      GOOGLE_REDIRECT_URI: redirectUri,
    }
    expect(() => settings(env)).toThrow(/GOOGLE_REDIRECT_URI must be/)
  })

  it.each([
    'http://localhost:3000',
    'http://127.0.0.1:3000',
    'http://[::1]:3000',
    'https://example.com/netpilot',
  ])('takes a callback at %s', (base) => {
    const env = {
      GOOGLE_CLIENT_ID: ID,
      ...REDIRECT,
      GOOGLE_RETURN_TO: FRONTEND,
      GOOGLE_REDIRECT_URI: `${base}/api/auth/google/callback`,
    }
    expect(settings(env)?.redirect?.redirectUri).toContain(base)
  })

  it('knows no stand-in for Google in production, and its faults repeat no value', () => {
    const production = {
      NODE_ENV: 'production',
      BCRYPT_COST: '12',
      GOOGLE_CLIENT_ID: ID,
      GOOGLE_CLIENT_SECRET: 'very secret',
    }
    for (const [name, url] of Object.entries(standIn.env).filter(([, value]) =>
      value.startsWith(standIn.issuer),
    )) {
      expect(() => settings({ ...production, [name]: url })).toThrow(
        new RegExp(`^(?!.*very secret).*${name} is for tests and trials`, 's'),
      )
    }
  })
})
