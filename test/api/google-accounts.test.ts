/**
 * Accounts and Google, through HTTP: who gets which account, by an ID token and by the redirect flow, and
 * what linking takes.
 */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { asAdmin } from '../support/database.ts'
import { type Claims, FRONTEND, googleAccount, type StandInGoogle, startGoogle } from '../support/google.ts'
import { comparable, expectProblem } from '../support/problems.ts'
import {
  type Answer,
  openServer,
  type Person,
  rowsOf,
  sharedWorld,
  type TestServer,
  type World,
  worldOf,
} from '../support/world.ts'

let standIn: StandInGoogle
let server: TestServer
let world: World
beforeAll(async () => {
  standIn = await startGoogle()
  server = await openServer(standIn.env)
  world = worldOf(server)
})
afterAll(async () => {
  await server.close()
  await standIn.close()
})

const newEmail = (domain = 'gmail.com') => `${randomUUID()}@${domain}`
const signIn = (account: Claims, { send } = world) =>
  send('POST', '/api/auth/google', { body: { idToken: standIn.idToken(account) } })
const login = ({ email, password }: Pick<Person, 'email' | 'password'>) =>
  world.send('POST', '/api/auth/login', { body: { email, password } })
const refresh = (refreshToken: string) => world.send('POST', '/api/auth/refresh', { body: { refreshToken } })
const as = (accessToken: string) => ({ headers: { authorization: `Bearer ${accessToken}` } })
const me = (accessToken: string) => world.send('GET', '/api/auth/me', as(accessToken))
const userOf = async (id: string) =>
  (
    await rowsOf(
      `select u.*, c.password_version, (select subject from user_providers where user_id = u.id and provider = 'google') as google_id
        from users u join user_credentials c on c.user_id = u.id where u.id = $1`,
      [id],
    )
  )[0]
const verifyAddressOf = ({ id }: Person) =>
  rowsOf('update users set email_verified_at = now() where id = $1', [id])
const deactivate = (id: string) => rowsOf('update users set is_active = false where id = $1', [id])
const addSecondFactor = ({ email }: Claims | Person) =>
  rowsOf(
    `update user_credentials set totp_secret = '\\x00', totp_confirmed_at = now() where user_id = (select id from users where email = $1)`,
    [email],
  )
const actsOf = (id: string) =>
  rowsOf(
    'select act, outcome, detail from user_audit_log where user_id = $1 and act <> $2 order by sequence',
    [id, 'register'],
  )
const expectRefused = (answer: Answer) => expectProblem(answer, 401, 'invalid-credentials')
const expectIs = (answer: Answer, id: string, status = 200) => {
  expect([answer.statusCode, answer.json().user?.id], answer.body).toEqual([status, id])
  return answer.json()
}

describe('signing in with Google', () => {
  it('makes an account the first time, and opens it from then on', async () => {
    const account = googleAccount({ email: newEmail().toUpperCase() })
    const first = await signIn(account)
    expect(first.statusCode).toBe(201)
    const { user, accessToken, ...rest } = first.json()
    expect(rest).toEqual({
      refreshToken: expect.stringMatching(/^npr_/),
      tokenType: 'Bearer',
      expiresIn: 600,
    })
    expect(user).toMatchObject({
      email: account.email.toLowerCase(),
      fullName: 'Ada Lovelace',
      role: 'user',
      emailVerified: true,
      hasPassword: false,
    })
    expect((await me(accessToken)).json()).toEqual(user)
    expect((await refresh(rest.refreshToken)).statusCode).toBe(200)
    expectIs(await signIn(account), user.id)
    expect(await userOf(user.id)).toMatchObject({ google_id: account.sub, avatar_url: account.picture })
    expectRefused(await login({ email: user.email, password: 'no password at all' }))
    const act = { act: 'signInWithGoogle', outcome: 'success', detail: null }
    expect((await actsOf(user.id)).slice(0, 2)).toEqual([act, act])
  })

  it('makes one account, however often it begins at once', async () => {
    const account = googleAccount()
    const answers = await Promise.all(Array.from({ length: 10 }, () => signIn(account)))
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([...Array(9).fill(200), 201])
    expect(new Set(answers.map((answer) => answer.json().user.id)).size).toBe(1)
  })

  it('fails alike for a token that does not hold, whyever, and for a deactivated account, T8 T17', async () => {
    const known = googleAccount()
    await deactivate((await signIn(known)).json().user.id)
    const addressed = await world.person({ email: newEmail() })
    await deactivate(addressed.id)
    const refused = [
      await signIn(known),
      await signIn(googleAccount({ email: addressed.email })),
      await signIn(googleAccount({ aud: 'somebody-else' })),
      await signIn(googleAccount({ email_verified: 'true' })),
      await signIn(googleAccount({ iat: 1 })),
      await world.send('POST', '/api/auth/google', { body: { idToken: 'no.token.atall' } }),
      await world.send('POST', '/api/auth/google', {
        body: { idToken: standIn.idToken(googleAccount({ nonce: 'a' })), nonce: 'b' },
      }),
    ]
    const [first] = refused as [Answer]
    expectRefused(first)
    expect(refused.map(comparable)).toEqual(refused.map(() => comparable(first)))
    expect(await userOf(addressed.id)).toMatchObject({ google_id: null, is_active: false })
  })

  it('holds a token against the nonce that comes with it, T8', async () => {
    const idToken = standIn.idToken(googleAccount({ nonce: 'n-1' }))
    expect(
      (await world.send('POST', '/api/auth/google', { body: { idToken, nonce: 'n-1' } })).statusCode,
    ).toBe(201)
  })

  it('is no way round a second factor', async () => {
    const account = googleAccount()
    const { user } = (await signIn(account)).json()
    await addSecondFactor(account)
    const { challenge } = expectProblem(await signIn(account), 401, 'second-factor-required')
    expect(challenge).toMatch(/^npt_/)
    expect(await rowsOf('select id from user_login_sessions where user_id = $1', [user.id])).toHaveLength(1)
  })

  it('works while guesses at the password are locked out, T19', async () => {
    const person = await world.person({ email: newEmail() })
    await verifyAddressOf(person)
    for (let guess = 0; guess < 5; guess += 1) await login({ ...person, password: 'not the password' })
    expectProblem(await login(person), 429, 'locked-out')
    expectIs(await signIn(googleAccount({ email: person.email })), person.id)
  })

  it('is 503 while Google’s keys cannot be had, and logs neither tokens, addresses nor codes, T9 T39', async () => {
    const watched = await openServer({ ...standIn.env, LOG_LEVEL: 'trace' })
    onTestFinished(watched.close)
    const { send } = worldOf(watched)
    const account = googleAccount({ name: 'A name of her own' })
    const tokens = [
      account,
      { ...account, aud: 'x' },
      { ...account, iat: 1 },
      { ...account, email_verified: 1 },
      { ...account, exp: 1e308 },
    ]
      .map((claims) => standIn.idToken(claims))
      .flatMap((token) => [token, `${token}x`, token.slice(0, -20), token.replace('.', '..'), `e30.${token}`])
    standIn.faults['/certs'] = { status: 500, body: { error: tokens[0] } }
    expectProblem(
      await send('POST', '/api/auth/google', { body: { idToken: tokens[0] } }),
      503,
      'unavailable',
    )
    delete standIn.faults['/certs']
    for (const idToken of tokens) await send('POST', '/api/auth/google', { body: { idToken } })
    const { cookie, location } = await begin(FRONTEND, send)
    standIn.faults['/token'] = { status: 500, body: { error: account.email } }
    const back = await standIn.consent(location, account)
    expectProblem(await comeBack(back, cookie, send), 503, 'unavailable')
    delete standIn.faults['/token']
    const lines = watched.logged.join('')
    // The first is logged; the second is only counted.
    expect(watched.logged.filter((line) => line.includes('Google was asked in vain: 500'))).toHaveLength(1)
    const parts = tokens.flatMap((token) => token.split('.').filter((part) => part.length > 20))
    for (const secret of [
      ...parts,
      account.sub,
      account.email,
      account.name,
      back.searchParams.get('code'),
      cookie,
      standIn.clientSecret,
    ])
      expect(lines.includes(String(secret)), String(secret)).toBe(false)
  })

  it('is not there until it is configured, and the flow only where it is', async () => {
    const idTokensOnly = await openServer({
      ...standIn.env,
      GOOGLE_CLIENT_SECRET: '',
      GOOGLE_REDIRECT_URI: '',
      GOOGLE_RETURN_TO: '',
    })
    onTestFinished(idTokensOnly.close)
    const [off, half] = [await sharedWorld(), worldOf(idTokensOnly)]
    const ada = await off.person()
    const flow = (everywhere: World) => [
      everywhere.send('GET', '/api/auth/google/start', { query: { returnTo: FRONTEND } }),
      everywhere.send('GET', '/api/auth/google/callback', { query: { state: 'x', code: 'y' } }),
      everywhere.send('POST', '/api/auth/exchange', { body: { code: 'npt_x' } }),
    ]
    const answers = await Promise.all([
      ...flow(off),
      ...flow(half),
      signIn(googleAccount(), off),
      ada.call('DELETE', '/api/auth/google'),
      ada.call('POST', '/api/auth/google/link', {
        body: { idToken: standIn.idToken(), password: ada.password },
      }),
    ])
    for (const answer of answers) expectProblem(answer, 404, 'not-found')
    expect((await signIn(googleAccount(), half)).statusCode).toBe(201)
  })
})

describe('an account', () => {
  it('that somebody else registered with an address loses all that opens it when the owner of the address comes, T10', async () => {
    const eve = await world.person({ email: newEmail() })
    const router = await eve.router()
    const script = (
      await eve.call('POST', '/api/users/keys', {
        body: { name: 'back door', scopes: ['routers:read'], password: eve.password },
      })
    ).json().key
    const list = () => world.send('GET', '/api/routers', { headers: { 'x-api-key': script } })
    expect((await list()).statusCode).toBe(200)

    const { user, accessToken } = expectIs(await signIn(googleAccount({ email: eve.email })), eve.id)
    expect(user).toMatchObject({ emailVerified: true, hasPassword: false })
    expect((await me(accessToken)).json()).toEqual(user)
    expectProblem(await eve.call('GET', '/api/auth/me'), 401, 'unauthenticated')
    expectProblem(await refresh(eve.refreshToken), 401, 'unauthenticated')
    expectProblem(await list(), 401, 'unauthenticated')
    expectRefused(await login(eve))
    // What was mailed or handed out before dies with the version; a router's own key sees that router only,
    // and stays.
    expect(await userOf(eve.id)).toMatchObject({ password_version: 2 })
    expect((await router.call('GET', '/api/agent/verify')).statusCode).toBe(200)
    expect(await actsOf(eve.id)).toContainEqual({
      act: 'signInWithGoogle',
      outcome: 'success',
      detail: { linked: true, dispossessed: true },
    })
  })

  it.each<[string, (email: string) => Claims]>([
    ['at Gmail', (email) => ({ email })],
    ['of a Workspace domain', (email) => ({ email, hd: email.split('@')[1] })],
  ])(
    'with a verified address %s is linked and keeps its password and its sessions, T10',
    async (what, claims) => {
      const ada = await world.person({ email: newEmail(what === 'at Gmail' ? 'gmail.com' : 'example.com') })
      await verifyAddressOf(ada)
      const account = googleAccount(claims(ada.email))
      expect(expectIs(await signIn(account), ada.id).user).toMatchObject({ hasPassword: true })
      expect((await ada.call('GET', '/api/auth/me')).statusCode).toBe(200)
      expectIs(await login(ada), ada.id)
      expect(await userOf(ada.id)).toMatchObject({ google_id: account.sub, password_version: 1 })
    },
  )

  it('whose address Google does not give out wants its password first, verified or not, T10', async () => {
    for (const isVerified of [false, true]) {
      const ada = await world.person({ email: newEmail('example.com') })
      if (isVerified) await verifyAddressOf(ada)
      const account = googleAccount({ email: ada.email })
      expect(expectProblem(await signIn(account), 409, 'conflict').detail).toMatch(/link/)
      expect(await userOf(ada.id)).toMatchObject({ google_id: null, password_version: 1 })
      expect((await ada.call('GET', '/api/auth/me')).statusCode).toBe(200)
      expect(await actsOf(ada.id)).toEqual([
        { act: 'signInWithGoogle', outcome: 'failure', detail: { reason: 'not linked' } },
      ])

      const body = { idToken: standIn.idToken(account), password: ada.password }
      expect((await ada.call('POST', '/api/auth/google/link', { body })).statusCode).toBe(204)
      expect(expectIs(await signIn(account), ada.id).user).toMatchObject({
        emailVerified: true,
        hasPassword: true,
      })
    }
  })

  it('is the same one when the address at Google has changed, also to somebody else’s, T10', async () => {
    const [account, bob] = [googleAccount(), await world.person({ email: newEmail() })]
    const { user } = (await signIn(account)).json()
    for (const email of [newEmail(), bob.email]) expectIs(await signIn({ ...account, email }), user.id)
    expect(await userOf(user.id)).toMatchObject({ email: user.email })
    expect(await userOf(bob.id)).toMatchObject({ google_id: null })
  })

  it.each([
    ['Google gives it out', {}],
    ['its domain has moved to Workspace', { hd: 'example.com' }],
    ['it is of another provider', {}],
  ])('is not for the next one who has its address at Google, where %s, T10', async (what, claims) => {
    const email = newEmail(what === 'Google gives it out' ? 'gmail.com' : 'example.com')
    const [first, second] = [googleAccount({ email }), googleAccount({ email, ...claims })]
    const { user } = (await signIn(first)).json()
    expectProblem(await signIn(second), 409, 'conflict')
    expectIs(await signIn(first), user.id)
    expect(await userOf(user.id)).toMatchObject({ google_id: first.sub, password_version: 1 })
  })

  it('that moves to another address in the same moment is not linked: what was found is held, T10', async () => {
    const [eve, account] = [await world.person({ email: newEmail() }), googleAccount()]
    const arriving = await asAdmin(inject('database').adminUrl, async (client) => {
      const moveTo = async (email: string) => {
        await client.query('select from user_credentials where user_id = $1 for no key update', [eve.id])
        await client.query('update user_emails set email = $2 where user_id = $1', [eve.id, email])
        await client.query('update users set email = $2 where id = $1', [eve.id, email])
      }
      await moveTo(account.email)
      await client.query('begin')
      await moveTo(eve.email)
      const { rows } = await client.query('select pg_backend_pid() as pid')
      const answer = signIn(account)
      const waits = 'select 1 from pg_locks where not granted and $1 = any(pg_blocking_pids(pid))'
      while ((await client.query(waits, [rows[0].pid])).rowCount === 0);
      await client.query('commit')
      return answer
    })
    expect(arriving.statusCode).toBe(201)
    expect(await userOf(eve.id)).toMatchObject({ google_id: null, password_version: 1 })
  })

  it('goes to one of two who come for its address at once, T10', async () => {
    const ada = await world.person({ email: newEmail() })
    await verifyAddressOf(ada)
    const answers = await Promise.all([1, 2].map(() => signIn(googleAccount({ email: ada.email }))))
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([200, 409])
  })
})

const COOKIE = '__Host-netpilot-google'
/** As a browser that is sent to Google. */
async function begin(returnTo = `${FRONTEND}/signed-in?attempt=1`, send = world.send) {
  const answer = await send('GET', '/api/auth/google/start', { query: { returnTo } })
  expect(answer.statusCode, answer.body).toBe(302)
  const [cookie] = answer.cookies as { name: string; value: string }[]
  return { answer, location: String(answer.headers.location), cookie: cookie?.value ?? '' }
}
/** And comes back. */
const comeBack = ({ pathname, search }: URL, cookie = '', send = world.send) =>
  send('GET', pathname + search, { headers: cookie ? { cookie: `${COOKIE}=${cookie}` } : {} })
const exchange = (code: string | null) =>
  world.send('POST', '/api/auth/exchange', { body: { code: code ?? 'none' } })
/** All the way, up to the address that the frontend gets. */
async function walk(account: Claims = googleAccount(), returnTo?: string) {
  const { location, cookie } = await begin(returnTo)
  const answer = await comeBack(await standIn.consent(location, account), cookie)
  expect(answer.statusCode, answer.body).toBe(302)
  return new URL(String(answer.headers.location))
}
const tokenRequests = () => standIn.asked.filter((path) => path === '/token').length

describe('the way to Google and back', () => {
  it('ends at the frontend with a code, and the code with tokens', async () => {
    const account = googleAccount()
    const back = await walk(account)
    expect(back.href).toMatch(/^https:\/\/app\.example\.com\/signed-in\?attempt=1&code=npt_\w+$/)
    const { user } = (await exchange(back.searchParams.get('code'))).json()
    expect(user).toMatchObject({ email: account.email, hasPassword: false })
    expectIs(await exchange((await walk(account)).searchParams.get('code')), user.id)
    expectIs(await signIn(account), user.id)
  })

  it('is kept in a cookie for ten minutes, of this host and out of reach of scripts, until it comes back', async () => {
    const { answer, location, cookie } = await begin()
    expect(answer.headers['set-cookie']).toMatch(
      /^__Host-netpilot-google=[\w-]+; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    )
    expect(answer.headers['cache-control']).toBe('no-store')
    const over = await comeBack(await standIn.consent(location), cookie)
    expect(over.headers['set-cookie']).toMatch(
      /^__Host-netpilot-google=; .*Path=\/; Expires=Thu, 01 Jan 1970/,
    )
  })

  it('does not end where its state is missing or of another browser, or the cookie is; and the cookie ends with the attempt, T11', async () => {
    const [ada, eve] = [await begin(), await begin()]
    const back = await standIn.consent(ada.location)
    const stateless = new URL(back)
    stateless.searchParams.delete('state')
    const before = tokenRequests()
    for (const answer of [
      await comeBack(stateless, ada.cookie),
      await comeBack(back, eve.cookie),
      await comeBack(back),
    ]) {
      expectProblem(answer, 400, 'invalid-request')
      expect(answer.headers['set-cookie']).toMatch(/^__Host-netpilot-google=;/)
      expect(answer.headers).not.toHaveProperty('location')
    }
    expect(tokenRequests()).toBe(before)
  })

  it('ends once: the same way back again gives no code, T11', async () => {
    const { location, cookie } = await begin()
    const back = await standIn.consent(location)
    const [first, again] = [await comeBack(back, cookie), await comeBack(back, cookie)]
    expect(first.headers.location).toMatch(/[?&]code=npt_/)
    expect(again.headers.location).toBe(`${FRONTEND}/signed-in?attempt=1&error=invalid-credentials`)
    expectProblem(await comeBack(back), 400, 'invalid-request')
  })

  it('ends with an error where somebody declines, is not taken, or has to link first', async () => {
    const ada = await world.person({ email: newEmail('example.com') })
    const errorOf = async (account: Claims) => (await walk(account)).searchParams.get('error')
    expect(await errorOf({ error: 'access_denied' })).toBe('invalid-credentials')
    expect(await errorOf(googleAccount({ email_verified: false }))).toBe('invalid-credentials')
    expect(await errorOf(googleAccount({ email: ada.email }))).toBe('conflict')
  })

  it('hands on no code or error that was in the address before', async () => {
    const returnTo = `${FRONTEND}/?code=of-somebody-else&error=x&code=again`
    expect((await walk({ error: 'access_denied' }, returnTo)).search).toBe('?error=invalid-credentials')
    expect((await walk(googleAccount(), returnTo)).search).toMatch(/^\?code=npt_\w+$/)
  })

  it.each([
    'https://evil.example',
    'https://app.example.com.evil.example',
    '//evil.example',
    '/path',
    'javascript:alert(1)',
  ])('does not begin for somebody who wants to return to %s, T11', async (returnTo) => {
    const answer = await world.send('GET', '/api/auth/google/start', { query: { returnTo } })
    expect(expectProblem(answer, 400, 'invalid-request').errors).toMatchObject([
      { path: '/querystring/returnTo' },
    ])
    for (const header of ['location', 'set-cookie']) expect(answer.headers).not.toHaveProperty(header)
  })

  it('is 503 while Google is away, and can be begun again', async () => {
    const { location, cookie } = await begin()
    const back = await standIn.consent(location)
    standIn.faults['/token'] = { status: 503, body: {} }
    const answer = await comeBack(back, cookie)
    delete standIn.faults['/token']
    expectProblem(answer, 503, 'unavailable')
    expect((await walk()).searchParams.get('code')).not.toBeNull()
  })
})

describe('an exchange code', () => {
  const newCode = async (account = googleAccount()) => {
    const code = (await walk(account)).searchParams.get('code')
    const [user] = await rowsOf<{ id: string }>(
      'select user_id as id from user_identities where subject = $1',
      [account.sub],
    )
    return { code, id: user?.id ?? '' }
  }
  const expectVoid = async (code: string | null) => expectRefused(await exchange(code))

  it('is good once, also for twenty at once', async () => {
    const { code, id } = await newCode()
    const answers = await Promise.all(Array.from({ length: 20 }, () => exchange(code)))
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([200, ...Array(19).fill(401)])
    await expectVoid(code)
    expect(await rowsOf('select id from user_login_sessions where user_id = $1', [id])).toHaveLength(1)
  })

  it('is good for a minute', async () => {
    const { code, id } = await newCode()
    const left =
      'select extract(epoch from expires_at - created_at)::int as seconds from user_tokens where user_id = $1'
    expect(await rowsOf(left, [id])).toEqual([{ seconds: 60 }])
    await rowsOf(
      `update user_tokens set expires_at = expires_at - interval '60 seconds' where user_id = $1`,
      [id],
    )
    await expectVoid(code)
  })

  it('is void for an account that was deactivated, or got another password or address, meanwhile', async () => {
    for (const change of [
      'update users set is_active = false where id = $1',
      'update user_credentials set password_version = password_version + 1 where user_id = $1',
      `update users set email = 'x' || email where id = $1`,
    ]) {
      const { code, id } = await newCode()
      await rowsOf(change, [id])
      await expectVoid(code)
    }
  })

  it('is stored as a hash only', async () => {
    const { code, id } = await newCode()
    const [row] = await rowsOf('select * from user_tokens where user_id = $1', [id])
    expect(row).toMatchObject({ purpose: 'exchange', used_at: null })
    expect(JSON.stringify({ ...row, hex: row?.token_sha256.toString('hex') })).not.toContain(
      String(code).split('_')[2],
    )
  })

  it('asks for the second factor of who has one, and what answers that is no code itself', async () => {
    const account = googleAccount()
    await signIn(account)
    await addSecondFactor(account)
    const { code } = await newCode(account)
    const { challenge = '' } = expectProblem(await exchange(code), 401, 'second-factor-required')
    for (const other of [code, challenge, `${code}x`, String(code).slice(0, -1), 'x']) await expectVoid(other)
  })
})

describe('linking', () => {
  const link = (person: Person, account: Claims, password = person.password) =>
    person.call('POST', '/api/auth/google/link', { body: { idToken: standIn.idToken(account), password } })

  it('lets a Google account with any address sign in, and is in the log', async () => {
    const [ada, account] = [await world.person(), googleAccount()]
    expect((await link(ada, account)).statusCode).toBe(204)
    expect((await link(ada, account)).statusCode).toBe(204)
    expect(expectIs(await signIn(account), ada.id).user).toMatchObject({
      email: ada.email,
      emailVerified: false,
    })
    expect((await actsOf(ada.id)).map(({ act, outcome }) => [act, outcome])).toEqual([
      ['linkGoogle', 'success'],
      ['linkGoogle', 'success'],
      ['signInWithGoogle', 'success'],
    ])
  })

  it('takes the password, and locks out who guesses at it', async () => {
    const [ada, account] = [await world.person(), googleAccount()]
    for (let guess = 0; guess < 5; guess += 1)
      expectProblem(await link(ada, account, 'not the password'), 403, 'wrong-password')
    expectProblem(await link(ada, account), 429, 'locked-out')
    expect(await userOf(ada.id)).toMatchObject({ google_id: null })
    // Only here: signing in is guarded by itself.
    expectIs(await login(ada), ada.id)
  })

  it('takes a token that holds', async () => {
    const ada = await world.person()
    expectRefused(await link(ada, googleAccount({ aud: 'somebody-else' })))
    expectRefused(await link(ada, googleAccount({ iat: 1 })))
    expect(await userOf(ada.id)).toMatchObject({ google_id: null })
  })

  it('is for one Google account and one account of ours', async () => {
    const [ada, bob] = await Promise.all([world.person(), world.person()])
    const account = googleAccount()
    await link(ada, account)
    expectProblem(await link(ada, googleAccount()), 409, 'conflict')
    expectProblem(await link(bob, account), 409, 'conflict')
    expectIs(await signIn(account), ada.id)
    expect(await userOf(bob.id)).toMatchObject({ google_id: null })
  })

  it('can be undone, unless nothing else would be left to sign in with', async () => {
    const [ada, account] = [await world.person(), googleAccount()]
    expectProblem(await ada.call('DELETE', '/api/auth/google'), 404, 'not-found')
    await link(ada, account)
    expect((await ada.call('DELETE', '/api/auth/google')).statusCode).toBe(204)
    expect(await userOf(ada.id)).toMatchObject({ google_id: null })
    expect((await actsOf(ada.id)).at(-1)).toMatchObject({ act: 'unlinkGoogle', outcome: 'success' })
    expect((await signIn(account)).json().user.id).not.toBe(ada.id)
    expectIs(await login(ada), ada.id)

    const { accessToken, user } = (await signIn(googleAccount())).json()
    const unlink = () => world.send('DELETE', '/api/auth/google', as(accessToken))
    expect(expectProblem(await unlink(), 409, 'conflict').detail).toMatch(/password/)
    expect((await userOf(user.id))?.google_id).not.toBeNull()
  })
})

describe('a fresh ID token of the linked Google account', () => {
  const minutesOld = (minutes: number) => ({ iat: Math.floor(Date.now() / 1_000) - minutes * 60 })
  const newcomer = async () => {
    const account = googleAccount()
    const { user, accessToken } = (await signIn(account)).json()
    const call = (method: 'POST' | 'DELETE', path: string, claims: Claims) =>
      world.send(method, `/api/users/${path}`, {
        body: { googleIdToken: standIn.idToken({ ...account, ...claims }) },
        ...as(accessToken),
      })
    return { id: user.id as string, account, call, accessToken: accessToken as string }
  }

  it('proves its owner, as a password would, to leave for a while, to come back, and to leave for good', async () => {
    const { id, account, call, accessToken } = await newcomer()
    expect((await call('POST', 'deactivate', {})).statusCode).toBe(204)
    expectProblem(await me(accessToken), 401, 'unauthenticated')
    expectRefused(await signIn(account))
    const back = await world.send('POST', '/api/users/reactivate', {
      body: { googleIdToken: standIn.idToken(account) },
    })
    const signedIn = as(expectIs(back, id).accessToken)
    const body = { googleIdToken: standIn.idToken(account) }
    expect((await world.send('DELETE', '/api/users/account', { body, ...signedIn })).statusCode).toBe(204)
    expect(await userOf(id)).toBeUndefined()
    expect((await signIn(account)).statusCode).toBe(201)
  })

  it('proves nothing when it is more than five minutes old, or somebody else’s', async () => {
    const { id, account, call, accessToken } = await newcomer()
    for (const claims of [minutesOld(6), { sub: '1' }, { aud: 'somebody-else' }])
      for (const [method, path] of [
        ['POST', 'deactivate'],
        ['DELETE', 'account'],
      ] as const)
        expectProblem(await call(method, path, claims), 403, 'wrong-password')
    expect((await me(accessToken)).statusCode).toBe(200)
    await deactivate(id)
    for (const claims of [minutesOld(6), { sub: '1' }])
      expectRefused(
        await world.send('POST', '/api/users/reactivate', {
          body: { googleIdToken: standIn.idToken({ ...account, ...claims }) },
        }),
      )
    expect(await userOf(id)).toMatchObject({ is_active: false })
  })
})
