/** Where somebody is signed in, and how that ends: at the very next request, on every server. */
import { beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { comparable, expectProblem } from '../support/problems.ts'
import { openServer, type Person, rowsOf, sharedWorld, type World, worldOf } from '../support/world.ts'

let world: World
beforeAll(async () => {
  world = await sharedWorld()
})

type Session = {
  id: string
  client: string | null
  device: string | null
  address: string
  createdAt: string
  lastUsedAt: string
  current: boolean
}
const login = async ({ email, password }: Person, device = 'Firefox on Linux') =>
  (
    await world.send('POST', '/api/auth/login', {
      body: { email, password },
      headers: { 'user-agent': device },
    })
  ).json()
const as = (accessToken: string) => ({ headers: { authorization: `Bearer ${accessToken}` } })
const me = (accessToken: string) => world.send('GET', '/api/auth/me', as(accessToken))
const refresh = (refreshToken: string) => world.send('POST', '/api/auth/refresh', { body: { refreshToken } })
const list = async (person: Person): Promise<Session[]> =>
  (await person.call('GET', '/api/auth/sessions')).json().items

describe('login sessions', () => {
  it('are fifty at most, also when many sign in at once: those end that were used least lately', async () => {
    const ada = await world.person()
    const values = `select $1, now() + interval '1 day', now() + interval '1 day', now() - n * interval '1 minute' from generate_series(1, 49) n`
    await rowsOf(
      `insert into user_login_sessions (user_id, idle_expires_at, expires_at, last_used_at) ${values}`,
      [ada.id],
    )
    expect((await me(ada.accessToken)).statusCode).toBe(200)
    const others = await Promise.all(Array.from({ length: 5 }, () => login(ada)))
    const live = await rowsOf<{ oldest: number }>(
      `select extract(epoch from now() - last_used_at)::int / 60 as oldest from user_login_sessions where user_id = $1 and ended_at is null order by 1 desc`,
      [ada.id],
    )
    expect(live).toHaveLength(50)
    expect(live[0]?.oldest).toBe(44)
    for (const { accessToken } of [ada, ...others]) expect((await me(accessToken)).statusCode).toBe(200)
    const ended = await rowsOf(
      `select end_reason from user_login_sessions where user_id = $1 and ended_at is not null`,
      [ada.id],
    )
    expect(ended).toEqual(Array.from({ length: 5 }, () => ({ end_reason: 'too-many' })))
  })

  it('are listed with their device, address and times, and which one asks; not by what opens transactions, T24', async () => {
    const ada = await world.person()
    const { accessToken } = await login(ada)
    const answer = await world.send('GET', '/api/auth/sessions', as(accessToken))
    const { items, total } = answer.json()
    expect(total).toBe(2)
    const current = items.filter((session: Session) => session.current)
    expect(current).toEqual([
      {
        id: expect.any(String),
        client: 'Firefox on Linux',
        device: 'Firefox on Linux',
        address: '127.0.0.1',
        createdAt: expect.stringMatching(/Z$/),
        lastUsedAt: expect.stringMatching(/Z$/),
        current: true,
      },
    ])
    for (const { id } of await rowsOf('select id from user_login_sessions where user_id = $1', [ada.id]))
      expect(answer.body).not.toContain(id)
  })

  it.each([
    [
      'Firefox on Windows',
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0',
    ],
    [
      'Safari on iOS',
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1',
    ],
    [
      'Microsoft Edge on Windows',
      `Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0${' x'.repeat(5_000)}`,
    ],
    [null, 'curl/8.5.0'],
    [null, ''],
    // The library takes such a name from the header.
    [null, '<b>me</b>/1.0 (it) '],
    [null, `\x1b[31m\x01a/${'a/'.repeat(5_000)} `],
    ['Firefox', '<script>alert(1)</script>\x01 Firefox/1.0'],
  ])('have a name for people, which says nothing of its own: %s', async (client, device) => {
    const ada = await world.person()
    await login(ada, device)
    const root = await world.administrator()
    const seen = (await root.call('GET', '/api/admin/sessions', { query: { userId: ada.id } })).json().items
    for (const sessions of [await list(ada), seen])
      expect(sessions.find((session: Session) => session.device === device.slice(0, 200))?.client).toBe(
        client,
      )
  })

  it('end one by one: access and refresh token are dead at the next request, T22', async () => {
    const ada = await world.person()
    const { accessToken, refreshToken } = await login(ada, 'phone')
    const [phone] = (await list(ada)).filter(({ device }) => device === 'phone')
    expect((await ada.call('DELETE', `/api/auth/sessions/${phone?.id}`)).statusCode).toBe(204)
    expectProblem(await me(accessToken), 401, 'unauthenticated')
    expectProblem(await refresh(refreshToken), 401, 'unauthenticated')
    expect((await me(ada.accessToken)).statusCode).toBe(200)
    expectProblem(await ada.call('DELETE', `/api/auth/sessions/${phone?.id}`), 404, 'not-found')
    expect((await list(ada)).map(({ device }) => device)).not.toContain('phone')
  })

  it('end all at once, or all others', async () => {
    const ada = await world.person()
    const others = await Promise.all([login(ada), login(ada)])
    expect((await ada.call('DELETE', '/api/auth/sessions/all?keepCurrent=true')).statusCode).toBe(204)
    for (const { accessToken, refreshToken } of others) {
      expectProblem(await me(accessToken), 401, 'unauthenticated')
      expectProblem(await refresh(refreshToken), 401, 'unauthenticated')
    }
    expect(await list(ada)).toHaveLength(1)
    expect((await ada.call('DELETE', '/api/auth/sessions/all')).statusCode).toBe(204)
    expectProblem(await me(ada.accessToken), 401, 'unauthenticated')
  })

  it('are nobody else’s to see or end', async () => {
    const [ada, bob] = await Promise.all([world.person(), world.person()])
    const [{ id } = { id: '' }] = await list(ada)
    const unknown = await bob.call('DELETE', '/api/auth/sessions/7e5f1c1e-0000-4000-8000-000000000000')
    expect(comparable(await bob.call('DELETE', `/api/auth/sessions/${id}`))).toEqual(comparable(unknown))
    await bob.call('DELETE', '/api/auth/sessions/all')
    expect((await me(ada.accessToken)).statusCode).toBe(200)
  })

  it('end on every server at once; so do a deactivated account and a role that is taken away, T22 T23', async () => {
    const ada = await world.person()
    const other = await openServer({}, inject('database'), {
      secrets: { jwt: { current: SECRET }, pepper: { current: SECRET } },
    })
    const first = await openServer({}, inject('database'), {
      secrets: { jwt: { current: SECRET }, pepper: { current: SECRET } },
    })
    onTestFinished(async () => void (await Promise.all([other.close(), first.close()])))
    const [here, there] = [worldOf(first), worldOf(other)]
    const eve = await here.person()
    const seenThere = (accessToken: string, url = '/api/auth/me') => there.send('GET', url, as(accessToken))
    expect((await seenThere(eve.accessToken)).statusCode).toBe(200)
    // An access token of another installation is none.
    expectProblem(await seenThere(ada.accessToken), 401, 'unauthenticated')
    await eve.call('DELETE', '/api/auth/sessions/all')
    expectProblem(await seenThere(eve.accessToken), 401, 'unauthenticated')

    const { accessToken } = (
      await there.send('POST', '/api/auth/login', { body: { email: eve.email, password: eve.password } })
    ).json()
    await rowsOf('update users set is_active = false where id = $1', [eve.id])
    expectProblem(await here.send('GET', '/api/auth/me', as(accessToken)), 401, 'unauthenticated')
  })
})

const SECRET = 'a secret of a test, shared by two servers of it, 32 bytes and more'

describe('the refresh cookie', () => {
  const NAME = '__Host-netpilot-refresh'
  const COOKIE_MODE = { 'x-token-transport': 'cookie' }
  const signIn = async ({ email, password }: Person) => {
    const answer = await world.send('POST', '/api/auth/login', {
      body: { email, password },
      headers: COOKIE_MODE,
    })
    const [set] = [answer.headers['set-cookie']].flat()
    return { ...answer.json(), set: String(set), cookie: String(set).split(';', 1)[0] ?? '' }
  }
  const refreshBy = (headers: Record<string, string>) => world.send('POST', '/api/auth/refresh', { headers })

  it('is there for who asks: HttpOnly, Secure, SameSite=Strict, and the token nowhere else', async () => {
    const { set, cookie, ...tokens } = await signIn(await world.person())
    expect(Object.keys(tokens).sort()).toEqual(['accessToken', 'csrfToken', 'expiresIn', 'tokenType', 'user'])
    expect(set).toMatch(
      new RegExp(`^${NAME}=npr_[\\w-]+; Max-Age=2592000; Path=/; HttpOnly; Secure; SameSite=Strict$`),
    )
    const plain = await world.person()
    expect(plain.refreshToken).toMatch(/^npr_/)
  })

  it('refreshes with its CSRF token, into a new cookie, and signing out takes it away', async () => {
    const { cookie, csrfToken } = await signIn(await world.person())
    const answer = await refreshBy({ cookie, 'x-csrf-token': csrfToken })
    expect(answer.statusCode, answer.body).toBe(200)
    const [set] = [answer.headers['set-cookie']].flat()
    expect(answer.json()).toMatchObject({ csrfToken })
    expect(answer.body).not.toContain('npr_')
    expect(String(set).split(';', 1)[0]).not.toBe(cookie)
    const out = await world.send('POST', '/api/auth/logout', {
      headers: { ...as(answer.json().accessToken).headers, cookie },
    })
    expect([out.headers['set-cookie']].flat()[0]).toMatch(new RegExp(`^${NAME}=; .*Expires=Thu, 01 Jan 1970`))
  })

  it('is of no use to a page elsewhere: without the token, with another’s, from another origin, in another content type, T27', async () => {
    const server = await openServer({ CORS_ORIGINS: 'https://app.example.com' })
    onTestFinished(server.close)
    const there = worldOf(server)
    const [ada, bob] = await Promise.all([there.person(), there.person()])
    const signInThere = async ({ email, password }: Person) => {
      const answer = await there.send('POST', '/api/auth/login', {
        body: { email, password },
        headers: COOKIE_MODE,
      })
      return {
        cookie: String([answer.headers['set-cookie']].flat()[0]).split(';', 1)[0] ?? '',
        csrf: answer.json().csrfToken as string,
      }
    }
    const [{ cookie, csrf }, other] = await Promise.all([signInThere(ada), signInThere(bob)])
    const send = (headers: Record<string, string>, body?: string) =>
      there.send('POST', '/api/auth/refresh', {
        headers: { cookie, ...headers },
        ...(body !== undefined && { body }),
      })
    for (const [headers, body] of [
      [{}],
      [{ 'x-csrf-token': 'x' }],
      [{ 'x-csrf-token': other.csrf }],
      [{ 'x-csrf-token': csrf, origin: 'https://evil.example' }],
      [{ 'x-csrf-token': csrf, origin: 'https://evilapp.example.com' }],
      [{ 'x-csrf-token': csrf, origin: 'null' }],
      [{ 'x-csrf-token': csrf, 'sec-fetch-site': 'cross-site' }],
      [{ 'content-type': 'text/plain', origin: 'https://evil.example' }, '{}'],
      [{ 'content-type': 'text/plain' }, '{}'],
    ] as [Record<string, string>, string?][])
      expectProblem(await send(headers, body), 403, 'cross-site')
    // Nothing of that used the token up.
    expect((await send({ 'x-csrf-token': csrf, origin: 'https://app.example.com' })).statusCode).toBe(200)
  })

  it('is not given to a page elsewhere, by any way to sign in', async () => {
    const server = await openServer({ CORS_ORIGINS: 'https://app.example.com' })
    onTestFinished(server.close)
    const there = worldOf(server)
    const { email, password } = await there.person()
    const login = (headers: Record<string, string>) =>
      there.send('POST', '/api/auth/login', { body: { email, password }, headers })
    for (const origin of ['https://evil.example', 'https://evilapp.example.com', 'null']) {
      const refused = await login({ ...COOKIE_MODE, origin })
      expectProblem(refused, 403, 'cross-site')
      expect(refused.headers).not.toHaveProperty('set-cookie')
      expectProblem(await login({ cookie: `${NAME}=npr_x`, origin }), 403, 'cross-site')
      for (const way of ['register', 'second-factor', 'google', 'exchange'])
        expectProblem(
          await there.send('POST', `/api/auth/${way}`, { body: {}, headers: { ...COOKIE_MODE, origin } }),
          403,
          'cross-site',
        )
      // Without the cookie there is nothing that a browser would keep.
      expect((await login({ origin })).statusCode).toBe(200)
    }
    expectProblem(await login({ ...COOKIE_MODE, 'sec-fetch-site': 'cross-site' }), 403, 'cross-site')
    for (const headers of [{}, { origin: 'https://app.example.com' }, { 'sec-fetch-site': 'same-origin' }])
      expect((await login({ ...COOKIE_MODE, ...headers } as Record<string, string>)).headers).toHaveProperty(
        'set-cookie',
      )
  })

  it('goes where CORS lets exact origins only send it, T28', async () => {
    const server = await openServer({ CORS_ORIGINS: 'https://app.example.com' })
    onTestFinished(server.close)
    const preflight = (origin: string) =>
      worldOf(server).send('OPTIONS', '/api/auth/refresh', {
        headers: { origin, 'access-control-request-method': 'POST' },
      })
    const allowed = (await preflight('https://app.example.com')).headers
    expect(allowed).toMatchObject({
      'access-control-allow-origin': 'https://app.example.com',
      'access-control-allow-credentials': 'true',
    })
    for (const origin of [
      'https://evilapp.example.com',
      'null',
      'http://app.example.com',
      'https://app.example.com.evil.example',
    ])
      expect((await preflight(origin)).headers['access-control-allow-origin']).toBeUndefined()
  })

  it('is never written into a log, T39', async () => {
    const server = await openServer({ LOG_LEVEL: 'trace' })
    onTestFinished(server.close)
    const there = worldOf(server)
    const { email, password } = await there.person()
    const answer = await there.send('POST', '/api/auth/login', {
      body: { email, password },
      headers: COOKIE_MODE,
    })
    const cookie = String([answer.headers['set-cookie']].flat()[0]).split(';', 1)[0] ?? ''
    await there.send('POST', '/api/auth/refresh', { headers: { cookie, 'x-csrf-token': 'wrong' } })
    await there.send('POST', '/api/auth/refresh', {
      headers: { cookie, 'x-csrf-token': answer.json().csrfToken },
    })
    const log = server.logged.join('\n')
    expect(log).toContain('/api/auth/refresh')
    for (const secret of [cookie.split('=')[1] ?? '', answer.json().csrfToken])
      expect(log).not.toContain(secret)
  })
})

describe('a replayed refresh token', () => {
  it('ends the session and stands in the log of its owner, T21', async () => {
    const ada = await world.person()
    const { refreshToken } = (await refresh(ada.refreshToken)).json()
    await rowsOf(
      `update user_login_sessions set rotated_at = now() - interval '1 minute' where user_id = $1`,
      [ada.id],
    )
    expectProblem(await refresh(ada.refreshToken), 401, 'unauthenticated')
    expectProblem(await refresh(refreshToken), 401, 'unauthenticated')
    expectProblem(await me(ada.accessToken), 401, 'unauthenticated')
    expect(
      await rowsOf(
        `select act, outcome, detail from user_audit_log where user_id = $1 order by sequence desc limit 1`,
        [ada.id],
      ),
    ).toEqual([{ act: 'refresh', outcome: 'failure', detail: { reason: 'reuse' } }])
  })
})
