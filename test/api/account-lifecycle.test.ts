/**
 * The account as a whole: profile, status, leaving for a while and for good, coming back, and taking
 * everything along.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { GRANTS } from '../../src/database/catalogue/expected-grants.ts'
import { EXPORTED_TABLES } from '../../src/modules/users/repository.ts'
import { expectProblem } from '../support/problems.ts'
import { openServer, type Person, rowsOf, sharedWorld, type World, worldOf } from '../support/world.ts'

let world: World
beforeAll(async () => {
  world = await sharedWorld()
})

const login = ({ email, password }: Person) =>
  world.send('POST', '/api/auth/login', { body: { email, password } })
const reactivate = ({ email }: Person, password: string) =>
  world.send('POST', '/api/users/reactivate', { body: { email, password } })
const deactivate = (person: Person) =>
  person.call('POST', '/api/users/deactivate', { body: { password: person.password } })
const remove = (person: Person, password = person.password) =>
  person.call('DELETE', '/api/users/account', { body: { password } })

describe('a profile', () => {
  it('is read and changed by its owner: a name, and a picture that nobody fetches, T40', async () => {
    const ada = await world.person({ fullName: 'Ada' })
    const profile = (await ada.call('GET', '/api/users/profile')).json()
    expect(profile).toMatchObject({
      id: ada.id,
      email: ada.email,
      fullName: 'Ada',
      avatarUrl: null,
      role: 'user',
      hasPassword: true,
    })
    const avatarUrl = 'https://example.com/ada.png'
    const changed = await ada.call('PUT', '/api/users/profile', { body: { fullName: 'Ada L.', avatarUrl } })
    expect(changed.json()).toEqual({ ...profile, fullName: 'Ada L.', avatarUrl })
    expect((await ada.call('PUT', '/api/users/profile', { body: { fullName: null } })).json()).toMatchObject({
      fullName: null,
      avatarUrl,
    })
    expect(
      (await ada.call('PUT', '/api/users/profile', { body: { fullName: 'A', avatarUrl: null } })).json(),
    ).toMatchObject({
      avatarUrl: null,
    })
  })

  it('takes https pictures only, and neither role nor address, T29', async () => {
    const ada = await world.person()
    for (const avatarUrl of [
      'http://example.com/a.png',
      'javascript:alert(1)',
      'data:image/png;base64,AA',
      'file:///etc/passwd',
      'x',
    ])
      expectProblem(
        await ada.call('PUT', '/api/users/profile', { body: { fullName: 'A', avatarUrl } }),
        400,
        'invalid-request',
      )
    for (const field of ['role', 'email', 'isActive', 'emailVerified'])
      expectProblem(
        await ada.call('PUT', '/api/users/profile', { body: { fullName: 'A', [field]: 'admin' } }),
        400,
        'invalid-request',
      )
  })
})

describe('the status of an account', () => {
  it('says what it has and how it is secured', async () => {
    const ada = await world.person()
    await login(ada)
    expect((await ada.call('GET', '/api/users/account-status')).json()).toEqual({
      isActive: true,
      role: 'user',
      emailVerified: false,
      hasPassword: true,
      hasGoogle: false,
      providers: [],
      hasSecondFactor: false,
      createdAt: expect.stringMatching(/Z$/),
      loginSessions: 2,
    })
  })
})

describe('a deactivated account', () => {
  it('is signed out everywhere at the next request, its agents and scripts too, and cannot sign in, T23', async () => {
    const ada = await world.person()
    const router = await ada.router()
    const script = (
      await ada.call('POST', '/api/users/keys', {
        body: { scopes: ['routers:read'], password: ada.password },
      })
    ).json()
    const other = (await login(ada)).json()
    expect((await deactivate(ada)).statusCode).toBe(204)
    for (const token of [ada.accessToken, other.accessToken])
      expectProblem(
        await world.send('GET', '/api/auth/me', { headers: { authorization: `Bearer ${token}` } }),
        401,
        'unauthenticated',
      )
    expectProblem(
      await world.send('POST', '/api/auth/refresh', { body: { refreshToken: other.refreshToken } }),
      401,
      'unauthenticated',
    )
    expectProblem(await router.call('GET', '/api/agent/verify'), 401, 'unauthenticated')
    expectProblem(
      await world.send('GET', '/api/routers', { headers: { 'x-api-key': script.key } }),
      401,
      'unauthenticated',
    )
    expectProblem(await login(ada), 401, 'invalid-credentials')
  })

  it('comes back with its credentials, with everything it had; wrong ones are told nothing', async () => {
    const ada = await world.person()
    const router = await ada.router()
    await deactivate(ada)
    expectProblem(await reactivate(ada, 'not the password'), 401, 'invalid-credentials')
    const back = await reactivate(ada, ada.password)
    expect(back.statusCode, back.body).toBe(200)
    expect(back.json()).toMatchObject({ user: { id: ada.id }, tokenType: 'Bearer' })
    expect((await router.call('GET', '/api/agent/verify')).statusCode).toBe(200)
    expect((await login(ada)).statusCode).toBe(200)
    // What was ended stays ended.
    expectProblem(await ada.call('GET', '/api/auth/me'), 401, 'unauthenticated')
  })

  it('comes back to all who prove themselves at once', async () => {
    const ada = await world.person()
    await deactivate(ada)
    const answers = await Promise.all(Array.from({ length: 4 }, () => reactivate(ada, ada.password)))
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 200])
  })

  it('stays so for its owner when an administrator did it', async () => {
    const [ada, root] = [await world.person(), await world.administrator()]
    await root.call('PATCH', `/api/admin/users/${ada.id}`, { body: { isActive: false } })
    expectProblem(await reactivate(ada, ada.password), 401, 'invalid-credentials')
    await root.call('PATCH', `/api/admin/users/${ada.id}`, { body: { isActive: true } })
    expect((await reactivate(ada, ada.password)).statusCode).toBe(200)
  })

  it('takes its password, not only a session', async () => {
    const ada = await world.person()
    for (const body of [{ password: 'wrong' }, { googleIdToken: 'x' }])
      expectProblem(await ada.call('POST', '/api/users/deactivate', { body }), 403, 'wrong-password')
    for (const body of [{}, { password: ada.password, googleIdToken: 'x' }])
      expectProblem(await ada.call('POST', '/api/users/deactivate', { body }), 400, 'invalid-request')
    expect((await ada.call('GET', '/api/auth/me')).statusCode).toBe(200)
  })

  it('cannot be guessed at without end: reactivation counts as signing in does, T18', async () => {
    const ada = await world.person()
    await deactivate(ada)
    for (let guess = 0; guess < 5; guess += 1)
      expectProblem(await reactivate(ada, 'wrong'), 401, 'invalid-credentials')
    expectProblem(await reactivate(ada, ada.password), 429, 'locked-out')
    expectProblem(await login(ada), 429, 'locked-out')
  })
})

describe('a deleted account', () => {
  it('goes with everything it owns, at once; its address is free, and its log stays without personal data, T23', async () => {
    const ada = await world.person()
    const router = await ada.router()
    await router.scan(['00:00:5e:00:53:27'])
    expectProblem(await remove(ada, 'wrong'), 403, 'wrong-password')
    expect((await remove(ada)).statusCode).toBe(204)
    expectProblem(await ada.call('GET', '/api/auth/me'), 401, 'unauthenticated')
    expectProblem(await router.call('GET', '/api/agent/verify'), 401, 'unauthenticated')
    expectProblem(await login(ada), 401, 'invalid-credentials')
    for (const table of Object.keys(GRANTS).filter(
      (name) => name.startsWith('user_') && !name.startsWith('user_audit'),
    ))
      expect(await rowsOf(`select from ${table} where user_id = $1`, [ada.id]), table).toEqual([])
    expect(await rowsOf('select from users where id = $1', [ada.id])).toEqual([])
    const log = await rowsOf(
      'select act, outcome, address, detail, salt from user_audit_log where user_id = $1 order by sequence',
      [ada.id],
    )
    expect(log.map(({ act, outcome }) => `${act} ${outcome}`)).toEqual([
      'register success',
      'addRouter success',
      'addRouterKey success',
      'deleteAccount failure',
      'deleteAccount success',
    ])
    for (const { address, detail, salt } of log)
      expect({ address, detail, salt }).toEqual({ address: null, detail: null, salt: null })
    expect(await rowsOf('select * from ctx.audit_gaps() where user_id = $1', [ada.id])).toEqual([])
    await world.person({ email: ada.email })
  })
})

describe('an export', () => {
  it('is everything of theirs as one file, with nothing that opens anything and nothing of anybody else', async () => {
    const [ada, bob] = [await world.person(), await world.person()]
    const [router] = [await ada.router({ name: 'of ada' }), await bob.router({ name: 'of bob' })]
    await router.scan([{ mac: '00:00:5e:00:53:37', hostname: 'tablet' }])
    await ada.call('PUT', '/api/settings/theme', { body: { value: 'dark' } })
    const answer = await ada.call('GET', '/api/users/export')
    expect(answer.headers['content-disposition']).toBe('attachment; filename="netpilot-export.json"')
    const { account, tables } = answer.json()
    expect(account).toMatchObject({ id: ada.id, email: ada.email })
    expect(tables.user_routers).toMatchObject([{ router_name: 'of ada' }])
    expect(tables.user_device_interfaces).toMatchObject([{ mac: '00:00:5e:00:53:37' }])
    expect(tables.user_settings).toMatchObject([{ setting_key: 'theme', setting_value: 'dark' }])
    expect(tables.user_login_sessions).toHaveLength(1)
    expect(tables.user_api_keys).toMatchObject([{ kind: 'agent', scopes: ['scans:write', 'policy:read'] }])
    expect(tables.user_audit_log.length).toBeGreaterThan(2)
    expect(answer.body).not.toContain('of bob')
    const hidden = await rowsOf<{ id: string; secret: string }>(
      `select s.id, encode(k.secret_sha256, 'hex') as secret from user_login_sessions s, user_api_keys k where s.user_id = $1 and k.user_id = $1`,
      [ada.id],
    )
    expect(hidden).toHaveLength(1)
    for (const { id, secret } of hidden) {
      expect(answer.body).not.toContain(id)
      expect(answer.body).not.toContain(secret)
    }
  })

  it('has every table that its owner may read, also one that comes later', () => {
    const readable = Object.entries(GRANTS).filter(
      ([name, { user = '' }]) => name.startsWith('user_') && user.includes('SELECT'),
    )
    expect([...EXPORTED_TABLES].sort()).toEqual(readable.map(([name]) => name).sort())
  })
})

describe('what has had its time', () => {
  it('goes: spent tokens, ended sessions, counters, and old links of the log, from its beginning', async () => {
    const [ada, bob] = [await world.person(), await world.person()]
    await ada.router()
    await rowsOf(
      `update user_audit_log set at = now() - interval '400 days' where user_id = $1 and sequence <= 2`,
      [ada.id],
    )
    await rowsOf(`update user_audit_log set at = now() - interval '400 days' where user_id = $1`, [bob.id])
    await rowsOf(`update user_login_sessions set ended_at = now() - interval '31 days' where user_id = $1`, [
      ada.id,
    ])
    await rowsOf(
      `insert into user_tokens (user_id, purpose, token_sha256, password_version, expires_at) values ($1, 'exchange', sha256('x'), 1, now() - interval '2 days')`,
      [ada.id],
    )
    for (const days of [29, 0, -1, null])
      await expect(rowsOf('select ctx.purge($1)', [days])).rejects.toMatchObject({ code: 'NP403' })
    await rowsOf('select ctx.purge(365)')
    expect(await rowsOf('select sequence::int from user_audit_log where user_id = $1', [ada.id])).toEqual([
      { sequence: 3 },
    ])
    expect(await rowsOf('select from user_audit_heads where user_id = $1', [bob.id])).toEqual([])
    expect(await rowsOf('select from user_login_sessions where user_id = $1', [ada.id])).toEqual([])
    expect(await rowsOf('select purpose from user_tokens where user_id = $1', [ada.id])).toEqual([
      { purpose: 'verify-email' },
    ])
    expect(await rowsOf('select from user_login_sessions where user_id = $1', [bob.id])).toHaveLength(1)
  })
})

describe('no answer about an account', () => {
  it('writes a secret into the log, T39', async () => {
    const server = await openServer({ LOG_LEVEL: 'trace' })
    try {
      const there = worldOf(server)
      const ada = await there.person()
      await ada.call('POST', '/api/users/deactivate', { body: { password: 'a wrong secret word' } })
      await there.send('POST', '/api/users/reactivate', {
        body: { email: ada.email, password: 'another wrong word' },
      })
      await ada.call('DELETE', '/api/users/account', { body: { password: ada.password } })
      const log = server.logged.join('\n')
      expect(log).toContain('/api/users/account')
      for (const secret of [
        'a wrong secret word',
        'another wrong word',
        ada.password,
        ada.accessToken,
        ada.email,
      ])
        expect(log).not.toContain(secret)
    } finally {
      await server.close()
    }
  })
})
