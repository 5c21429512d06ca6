/**
 * Asks the database itself whether isolation holds: by its catalogue, and by what an identity is worth.
 * `attacks.test.ts` tries the rest.
 */
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { GRANTS } from '../../src/database/catalogue/expected-grants.ts'
import { CATALOGUE } from '../../src/database/catalogue/self-check.ts'
import { type RoleName, roleNames } from '../../src/database/role-names.ts'
import { loginUrl } from '../support/database.ts'
import { createUserWithAllRows, type Somebody } from '../support/fixtures.ts'

const database = inject('database')
const roles = roleNames(database.rolePrefix)
const admin = new pg.Client({ connectionString: database.adminUrl })
const server = new pg.Client({ connectionString: loginUrl(database, 'server') })
const auth = new pg.Client({ connectionString: loginUrl(database, 'auth') })

beforeAll(() => Promise.all([admin, server, auth].map((client) => client.connect())))
afterAll(() => Promise.all([admin, server, auth].map((client) => client.end())))

const rowsOf = async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) =>
  (await admin.query<Row>(text, values)).rows

describe('the database', () => {
  // Databases of other tests have the same roles; `planted-faults.test.ts` asks about those.
  const { otherDatabases: _, ...ofThis } = CATALOGUE
  for (const { promise, check } of Object.values(ofThis)) {
    it(promise, async () => {
      // The login that serves has no rights, and sees what a superuser does.
      for (const client of [admin, server]) expect((await check(client, roles)).findings).toEqual([])
    })
  }
})

describe('the roles', () => {
  it('time out: statements, locks and idle transactions of the logins that serve requests', async () => {
    for (const client of [server, auth]) {
      const { rows } = await client.query(
        `select current_setting('statement_timeout') as s, current_setting('lock_timeout') as l, current_setting('idle_in_transaction_session_timeout') as i`,
      )
      expect(rows).toEqual([{ s: '5s', l: '2s', i: '10s' }])
    }
  })

  /** The rows that one statement of a role finds, without an identity. */
  const countAs = async (role: RoleName, statement: string) => {
    await admin.query(`begin; set local role ${roles[role]}`)
    return admin
      .query(statement)
      .then(({ rowCount }) => rowCount)
      .finally(() => admin.query('rollback'))
  }

  it('reach no table as bare logins', async () => {
    for (const role of ['server', 'migrator', 'monitor'] as const) {
      for (const table of Object.keys(GRANTS)) {
        await expect(countAs(role, `select from public.${table}`), `${role} ${table}`).rejects.toMatchObject({
          code: '42501',
        })
      }
    }
    // An administrator's login has policies of its own, and they ask who is there.
    for (const table of ['users', 'user_login_sessions', 'user_audit_log', 'user_devices']) {
      expect(
        await countAs(
          'admin',
          `select user_id from public.${table}`.replace('user_id from public.users', 'id from public.users'),
        ),
        table,
      ).toBe(0)
    }
    await expect(server.query('select from users')).rejects.toMatchObject({ code: '42501' })
  })

  it('are bound by row security even where they own the tables', async () => {
    await createUserWithAllRows(admin)
    for (const table of Object.keys(GRANTS))
      expect(await countAs('owner', `select from ${table}`), table).toBe(0)
  })

  it('cannot make temporary or public tables', async () => {
    await expect(server.query('create temp table t ()')).rejects.toMatchObject({ code: '42501' })
    await expect(server.query('create table public.t ()')).rejects.toMatchObject({ code: '42501' })
  })
})

type Attempt = { rows: number | null; code: string | undefined }
type Who = 'user' | 'agent'

/** Runs one statement as somebody, in a transaction of its own that is rolled back. */
async function attempt(
  who: Who,
  somebody: Somebody | null,
  statement: string,
  values: unknown[] = [],
): Promise<Attempt> {
  await server.query('begin')
  try {
    if (somebody && who === 'agent')
      await server.query('select ctx.begin_agent_context($1, $2, $3)', [
        somebody.userId,
        somebody.keyId,
        somebody.sha256,
      ])
    else if (somebody)
      await server.query('select ctx.begin_context($1, $2)', [somebody.userId, somebody.sessionId])
    await server.query(`set local role ${roles[who]}`)
    return { rows: (await server.query(statement, values)).rowCount, code: undefined }
  } catch (error) {
    return { rows: null, code: (error as pg.DatabaseError).code }
  } finally {
    await server.query('rollback')
  }
}

describe('an identity', () => {
  let ada: Somebody
  let bob: Somebody

  beforeAll(async () => {
    ada = await createUserWithAllRows(admin)
    bob = await createUserWithAllRows(admin)
  })

  it('learns nothing from unique keys: what somebody else has is free for oneself', async () => {
    const mac = `insert into user_device_interfaces (user_id, router_id, device_id, mac) values ($1, $2, $3, '00:00:5e:00:53:0f')`
    await admin.query(mac, [bob.userId, bob.routerId, bob.deviceId])
    expect(await attempt('user', ada, mac, [ada.userId, ada.routerId, ada.deviceId])).toMatchObject({
      rows: 1,
    })
  })

  it('as an agent sees its own router only, not the other routers of the same person', async () => {
    const [router] = await rowsOf<{ id: string }>(
      `insert into user_routers (user_id, router_name) values ($1, 'Office') returning id`,
      [ada.userId],
    )
    expect(await attempt('agent', ada, 'select from user_routers')).toMatchObject({ rows: 1 })
    const device = 'insert into user_devices (user_id, id, router_id) values ($1, gen_random_uuid(), $2)'
    expect(await attempt('agent', ada, device, [ada.userId, router?.id])).toMatchObject({ code: '42501' })
  })

  it('gains nothing by switching between the request roles: each policy asks for the kind of the identity', async () => {
    expect(await attempt('user', ada, 'select from user_devices')).toMatchObject({ rows: 2 })
    await server.query('begin')
    await server.query('select ctx.begin_agent_context($1, $2, $3)', [ada.userId, ada.keyId, ada.sha256])
    await server.query(`set local role ${roles.user}`)
    expect((await server.query('select from user_devices')).rowCount).toBe(0)
    await server.query('rollback')
  })

  it('cannot be set twice, nor without its proof', async () => {
    const begin = 'select ctx.begin_context($1, $2)'
    await server.query('begin')
    await server.query(begin, [ada.userId, ada.sessionId])
    await expect(server.query(begin, [bob.userId, bob.sessionId])).rejects.toMatchObject({ code: 'NP403' })
    await server.query('rollback')
    await expect(server.query(begin, [bob.userId, ada.sessionId])).rejects.toMatchObject({ code: 'NP401' })
    const agent = 'select ctx.begin_agent_context($1, $2, $3)'
    await expect(server.query(agent, [bob.userId, bob.keyId, ada.sha256])).rejects.toMatchObject({
      code: 'NP401',
    })
  })

  it('is gone after commit: no error but no rows, on a new and on a used connection', async () => {
    await server.query('begin')
    await server.query('select ctx.begin_context($1, $2)', [ada.userId, ada.sessionId])
    await server.query('commit')
    expect(await attempt('user', null, 'select from user_devices')).toEqual({ rows: 0, code: undefined })
    const fresh = new pg.Client({ connectionString: loginUrl(database, 'server') })
    await fresh.connect()
    await fresh.query('begin')
    await fresh.query(`set local role ${roles.user}`)
    expect((await fresh.query('select from user_devices')).rowCount).toBe(0)
    await fresh.end()
  })
})
