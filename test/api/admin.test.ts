/**
 * Administration: what only an administrator does, that nobody else learns of it, and that it is on the
 * record.
 */
import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { asAdmin, prepare, separateDatabase } from '../support/database.ts'
import { listOperations, sampleOf, urlOf } from '../support/operations.ts'
import { comparable, expectProblem } from '../support/problems.ts'
import { openServer, type Person, rowsOf, sharedWorld, type World, worldOf } from '../support/world.ts'

let world: World
let root: Person
beforeAll(async () => {
  world = await sharedWorld()
  root = await world.administrator()
})

const accountOf = async (person: Person) => (await root.call('GET', `/api/admin/users/${person.id}`)).json()
const change = (person: Person, body: object, by = root) =>
  by.call('PATCH', `/api/admin/users/${person.id}`, { body })
const actsOf = async (person: Person) =>
  (await person.call('GET', '/api/users/audit-logs')).json().items as {
    act: string
    actorKind: string
    actorId: string | null
  }[]

describe('administration', () => {
  it('does not exist for anybody else: each of its routes is 404, whatever the body, and 401 for nobody, T30', async () => {
    const [ada, router] = [await world.person(), await (await world.person()).router()]
    const operations = (await listOperations(world)).filter(({ door }) => door === 'admin')
    expect(operations.length).toBeGreaterThan(8)
    const before = await accountOf(ada)
    // Not even that there is a path, or what in the request it did not find.
    const nothing = comparable(await ada.call('GET', '/api/admin/stats'))
    expect(Object.keys(JSON.parse(nothing.body))).toEqual(['type', 'title', 'status', 'code', 'requestId'])
    for (const operation of operations) {
      const url = urlOf(operation, { id: ada.id })
      for (const body of [operation.body && sampleOf(operation.body), { unknown: true }]) {
        const options = operation.method === 'GET' ? {} : { body }
        expect(comparable(await ada.call(operation.method, url, options)), operation.name).toEqual(nothing)
        expectProblem(await world.send(operation.method, url, options), 401, 'unauthenticated')
        expectProblem(await router.call(operation.method, url, options), 401, 'unauthenticated')
      }
    }
    expect(await accountOf(ada)).toEqual(before)
  })

  it('is opened by the role in the database only, and closed at the next request when that is taken away, T23', async () => {
    const other = await world.administrator()
    expect((await other.call('GET', '/api/admin/stats')).statusCode).toBe(200)
    expect((await change(other, { role: 'user' })).json()).toMatchObject({ role: 'user' })
    expectProblem(await other.call('GET', '/api/admin/stats'), 404, 'not-found')
    expect((await change(other, { role: 'admin' })).json()).toMatchObject({ role: 'admin' })
    expect((await other.call('GET', '/api/admin/stats')).statusCode).toBe(200)
  })

  it('does not let an administrator see anybody’s home through any other route', async () => {
    const ada = await world.person()
    const router = await ada.router()
    expectProblem(await root.call('GET', `/api/routers/${router.id}`), 404, 'not-found')
    expect((await root.call('GET', '/api/routers')).json()).toMatchObject({ total: 0 })
  })
})

describe('accounts', () => {
  it('are searched, filtered, ordered and paged', async () => {
    const mark = randomUUID().slice(0, 8)
    const people = []
    for (const name of ['b', 'a', 'c'])
      people.push(
        await world.person({ email: `${name}-${mark}@example.com`, fullName: `Person ${name} ${mark}` }),
      )
    const list = async (query: Record<string, string>) =>
      (await root.call('GET', '/api/admin/users', { query })).json()
    const emails = ({ items }: { items: { email: string }[] }) => items.map(({ email }) => email[0])
    expect(emails(await list({ search: mark }))).toEqual(['a', 'b', 'c'])
    expect(emails(await list({ search: `PERSON C ${mark}` }))).toEqual(['c'])
    expect(emails(await list({ search: mark, sort: '-createdAt' }))).toEqual(['c', 'a', 'b'])
    expect(emails(await list({ search: mark, sort: 'lastUsedAt' }))).toEqual(['b', 'a', 'c'])
    expect(await list({ search: mark, limit: '1', offset: '1' })).toMatchObject({
      total: 3,
      limit: 1,
      offset: 1,
    })
    await change(people[0] as Person, { isActive: false })
    expect(emails(await list({ search: mark, active: 'false' }))).toEqual(['b'])
    expect(emails(await list({ search: mark, role: 'admin' }))).toEqual([])
  })

  it('show what an administrator needs, and no secret', async () => {
    const ada = await world.person({ fullName: 'Ada' })
    await ada.router()
    expect(await accountOf(ada)).toEqual({
      id: ada.id,
      email: ada.email,
      fullName: 'Ada',
      role: 'user',
      isActive: true,
      emailVerified: false,
      hasPassword: true,
      hasGoogle: false,
      providers: [],
      hasSecondFactor: false,
      createdAt: expect.stringMatching(/Z$/),
      lastUsedAt: expect.stringMatching(/Z$/),
      routers: 1,
    })
    expectProblem(await root.call('GET', `/api/admin/users/${randomUUID()}`), 404, 'not-found')
  })

  it('are deactivated at once, everywhere, and reactivated; their owner reads in the log who did it, T23', async () => {
    const ada = await world.person()
    expect((await change(ada, { isActive: false })).json()).toMatchObject({ isActive: false })
    expectProblem(await ada.call('GET', '/api/auth/me'), 401, 'unauthenticated')
    expectProblem(
      await world.send('POST', '/api/auth/refresh', { body: { refreshToken: ada.refreshToken } }),
      401,
      'unauthenticated',
    )
    const login = () =>
      world.send('POST', '/api/auth/login', { body: { email: ada.email, password: ada.password } })
    expectProblem(await login(), 401, 'invalid-credentials')
    await change(ada, { isActive: true })
    // What was ended stays ended.
    expectProblem(await ada.call('GET', '/api/auth/me'), 401, 'unauthenticated')
    const { accessToken } = (await login()).json()
    const log = await world.send('GET', '/api/users/audit-logs?act=changeAccount', {
      headers: { authorization: `Bearer ${accessToken}` },
    })
    expect(log.json().items).toMatchObject([
      { act: 'changeAccount', actorKind: 'admin', actorId: root.id, outcome: 'success' },
      { act: 'changeAccount', actorKind: 'admin', actorId: root.id, outcome: 'success' },
    ])
  })

  it('are deleted with everything they own; the log stays, without personal data', async () => {
    const ada = await world.person()
    await (await ada.router()).scan(['00:00:5e:00:53:17'])
    expect((await root.call('DELETE', `/api/admin/users/${ada.id}`)).statusCode).toBe(204)
    expectProblem(await root.call('GET', `/api/admin/users/${ada.id}`), 404, 'not-found')
    for (const table of [
      'user_routers',
      'user_devices',
      'user_login_sessions',
      'user_credentials',
      'user_api_keys',
    ])
      expect(await rowsOf(`select from ${table} where user_id = $1`, [ada.id]), table).toEqual([])
    const log = await rowsOf(
      'select act, address, detail, salt from user_audit_log where user_id = $1 order by sequence',
      [ada.id],
    )
    expect(log.length).toBeGreaterThan(2)
    expect(log.slice(0, -1).filter(({ address, detail, salt }) => address || detail || salt)).toEqual([])
    expect(log.at(-1)).toMatchObject({ act: 'removeAccount' })
    expect(await rowsOf('select * from ctx.audit_gaps() where user_id = $1', [ada.id])).toEqual([])
  })

  it('are not one’s own to change here, so that an administrator is left', async () => {
    expectProblem(await change(root, { role: 'user' }), 409, 'conflict')
    expectProblem(await change(root, { isActive: false }), 409, 'conflict')
    expectProblem(await root.call('DELETE', `/api/admin/users/${root.id}`), 409, 'conflict')
    expect((await root.call('GET', '/api/admin/stats')).statusCode).toBe(200)
  })
})

describe('login sessions of others', () => {
  it('are listed, and ended one by one or all of an account', async () => {
    const ada = await world.person()
    const again = (
      await world.send('POST', '/api/auth/login', { body: { email: ada.email, password: ada.password } })
    ).json()
    const list = async () =>
      (await root.call('GET', '/api/admin/sessions', { query: { userId: ada.id } })).json()
    const { items, total } = await list()
    expect(total).toBe(2)
    const hidden = (
      await rowsOf<{ id: string }>('select id from user_login_sessions where user_id = $1', [ada.id])
    ).map(({ id }) => id)
    expect(items.map(({ id }: { id: string }) => id).filter((id: string) => hidden.includes(id))).toEqual([])
    expect((await root.call('DELETE', `/api/admin/users/${ada.id}/sessions/${items[0].id}`)).statusCode).toBe(
      204,
    )
    expectProblem(
      await root.call('DELETE', `/api/admin/users/${ada.id}/sessions/${items[0].id}`),
      404,
      'not-found',
    )
    expect((await list()).total).toBe(1)
    expect((await root.call('DELETE', `/api/admin/users/${ada.id}/sessions`)).statusCode).toBe(204)
    for (const token of [ada.accessToken, again.accessToken])
      expectProblem(
        await world.send('GET', '/api/auth/me', { headers: { authorization: `Bearer ${token}` } }),
        401,
        'unauthenticated',
      )
    expectProblem(await root.call('DELETE', `/api/admin/users/${randomUUID()}/sessions`), 404, 'not-found')
  })
})

describe('counts', () => {
  it('are of everybody: accounts, sign-ins, routers and devices', async () => {
    // In a database of its own: other tests make people and end sessions at the same time.
    const database = await separateDatabase(inject('database'), 'stats')
    await prepare(database)
    const server = await openServer({}, database)
    onTestFinished(server.close)
    const apart = worldOf(server)
    const boss = await apart.person()
    await asAdmin(database.adminUrl, (client) =>
      client.query(`update users set role = 'admin' where id = $1`, [boss.id]),
    )
    const stats = async () => (await boss.call('GET', '/api/admin/stats')).json() as Record<string, number>
    const before = await stats()
    const ada = await apart.person()
    await (await ada.router()).scan(['00:00:5e:00:53:18', '00:00:5e:00:53:19'])
    await apart.send('POST', '/api/auth/login', { body: { email: ada.email, password: ada.password } })
    const after = await stats()
    const came = Object.fromEntries(
      Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)]),
    )
    const counted = {
      users: 1,
      activeUsers: 1,
      usersSeen: 1,
      logins: 2,
      sessions: 2,
      routers: 1,
      routersOnline: 1,
      devices: 2,
    }
    expect(came).toEqual({ ...Object.fromEntries(Object.keys(after).map((name) => [name, 0])), ...counted })
  })
})

describe('the log', () => {
  it('of everybody is read by administrators, filtered, and page by page with a cursor that new acts do not shift', async () => {
    const ada = await world.person()
    await ada.router()
    await ada.router()
    const page = async (query: Record<string, string>) =>
      (await root.call('GET', '/api/admin/audit-logs', { query: { userId: ada.id, ...query } })).json() as {
        items: { act: string; sequence: number; userId: string }[]
        nextCursor: string | null
      }
    const whole = (await page({})).items
    expect(whole.map(({ act }) => act)).toEqual([
      'addRouterKey',
      'addRouter',
      'addRouterKey',
      'addRouter',
      'register',
    ])
    const first = await page({ limit: '2' })
    await ada.router()
    const second = await page({ limit: '2', cursor: String(first.nextCursor) })
    const third = await page({ limit: '2', cursor: String(second.nextCursor) })
    expect([...first.items, ...second.items, ...third.items]).toEqual(whole)
    expect(third.nextCursor).toBeNull()
    expect((await page({ act: 'register' })).items.map(({ sequence }) => sequence)).toEqual([1])
    expect((await page({ outcome: 'failure' })).items).toEqual([])
    expect((await page({ to: '2026-01-01T00:00:00Z' })).items).toEqual([])
  })

  it('of oneself is one’s own, and nobody else’s, T34', async () => {
    const [ada, bob] = [await world.person(), await world.person()]
    await ada.router()
    const acts = await actsOf(ada)
    expect(acts.map(({ act }) => act)).toEqual(['addRouterKey', 'addRouter', 'register'])
    expect(JSON.stringify(await actsOf(bob))).not.toContain('addRouter')
    for (const cursor of ['x', 'AAAA', Buffer.from(`1.${ada.id}.1 or true`).toString('base64url')])
      expectProblem(
        await bob.call('GET', '/api/users/audit-logs', { query: { cursor } }),
        400,
        'invalid-request',
      )
    // A cursor that names somebody else's place is a place in one's own list.
    const elsewhere = Buffer.from(`9999999999999999.${ada.id}.9`).toString('base64url')
    expect(
      (await bob.call('GET', '/api/users/audit-logs', { query: { cursor: elsewhere } })).json().items,
    ).toHaveLength(1)
  })

  it('shows a link that was changed, one that is missing, and one that is missing at the end', async () => {
    const gapsOf = async (tamper: (id: string) => Promise<unknown>) => {
      const ada = await world.person()
      await ada.router()
      expect(await rowsOf('select * from ctx.audit_gaps() where user_id = $1', [ada.id])).toEqual([])
      await tamper(ada.id)
      return rowsOf('select sequence::int from ctx.audit_gaps() where user_id = $1 order by 1', [ada.id])
    }
    expect(
      await gapsOf((id) =>
        rowsOf(`update user_audit_log set act = 'nothing' where user_id = $1 and sequence = 2`, [id]),
      ),
    ).toEqual([{ sequence: 2 }])
    expect(
      await gapsOf((id) =>
        rowsOf(`update user_audit_log set address = '192.0.2.1' where user_id = $1 and sequence = 2`, [id]),
      ),
    ).toEqual([{ sequence: 2 }])
    expect(
      await gapsOf((id) => rowsOf('delete from user_audit_log where user_id = $1 and sequence = 2', [id])),
    ).toEqual([{ sequence: 3 }])
    expect(
      await gapsOf((id) => rowsOf('delete from user_audit_log where user_id = $1 and sequence = 3', [id])),
    ).toEqual([{ sequence: 3 }])
  })

  it('has one link an act, however many act at once', async () => {
    const ada = await world.person()
    await Promise.all(
      Array.from({ length: 12 }, (_, n) => ada.call('PUT', `/api/settings/key${n}`, { body: { value: n } })),
    )
    const links = await rowsOf('select sequence::int from user_audit_log where user_id = $1 order by 1', [
      ada.id,
    ])
    expect(links.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 13 }, (_, n) => n + 1))
    expect(await rowsOf('select * from ctx.audit_gaps() where user_id = $1', [ada.id])).toEqual([])
  })

  it('has no line for what failed: the act and its line are one', async () => {
    const ada = await world.person()
    expectProblem(await ada.call('DELETE', `/api/routers/${randomUUID()}`), 404, 'not-found')
    expect((await actsOf(ada)).map(({ act }) => act)).toEqual(['register'])
  })
})
