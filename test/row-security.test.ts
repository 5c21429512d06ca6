/** Asks the database itself whether isolation holds: by its catalogue, and by attack with raw SQL that names no owner. */
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { GRANTS } from '../src/database/catalogue/meant-rights.ts'
import { OPEN_POLICIES } from '../src/database/catalogue/meant-tables.ts'
import { type RoleName, roleNames } from '../src/database/role-names.ts'
import { CATALOGUE } from '../src/database/self-check.ts'
import { loginUrl } from './support/database.ts'
import { addSomebody, type Somebody } from './support/rows.ts'

const database = inject('database')
const roles = roleNames(database.rolePrefix)
const admin = new pg.Client({ connectionString: database.adminUrl })
const server = new pg.Client({ connectionString: loginUrl(database, 'server') })
const auth = new pg.Client({ connectionString: loginUrl(database, 'auth') })

beforeAll(() => Promise.all([admin, server, auth].map((client) => client.connect())))
afterAll(() => Promise.all([admin, server, auth].map((client) => client.end())))

const rowsOf = async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => (await admin.query<Row>(text, values)).rows

describe('the database', () => {
  for (const { promise, check } of Object.values(CATALOGUE)) {
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
        await expect(countAs(role, `select from public.${table}`), `${role} ${table}`).rejects.toMatchObject({ code: '42501' })
      }
    }
    // An administrator's login has policies of its own, and they ask who is there.
    for (const table of ['users', 'user_login_sessions', 'user_audit_log', 'user_devices']) {
      expect(
        await countAs('admin', `select user_id from public.${table}`.replace('user_id from public.users', 'id from public.users')),
        table,
      ).toBe(0)
    }
    await expect(server.query('select from users')).rejects.toMatchObject({ code: '42501' })
  })

  it('are bound by row security even where they own the tables', async () => {
    await addSomebody(admin)
    for (const table of Object.keys(GRANTS)) expect(await countAs('owner', `select from ${table}`), table).toBe(0)
  })

  it('cannot make temporary or public tables', async () => {
    await expect(server.query('create temp table t ()')).rejects.toMatchObject({ code: '42501' })
    await expect(server.query('create table public.t ()')).rejects.toMatchObject({ code: '42501' })
  })
})

type Attempt = { rows: number | null; code: string | undefined }
type Who = 'user' | 'agent' | 'auth'

/** Runs one statement as somebody, in a transaction of its own that is rolled back. */
async function attempt(who: Who, somebody: Somebody | null, statement: string, values: unknown[] = []): Promise<Attempt> {
  const client = who === 'auth' ? auth : server
  await client.query('begin')
  try {
    if (somebody && who === 'agent')
      await client.query('select ctx.begin_agent_context($1, $2, $3)', [somebody.userId, somebody.keyId, somebody.sha256])
    else if (somebody) await client.query('select ctx.begin_context($1, $2)', [somebody.userId, somebody.sessionId])
    if (who !== 'auth') await client.query(`set local role ${roles[who]}`)
    return { rows: (await client.query(statement, values)).rowCount, code: undefined }
  } catch (error) {
    return { rows: null, code: (error as pg.DatabaseError).code }
  } finally {
    await client.query('rollback')
  }
}

describe('an attacker with raw SQL', () => {
  let ada: Somebody
  let bob: Somebody
  let tables: { name: string; columns: string[]; owner: string; key: string[] }[]
  let writable: { who: Who; table: string; verb: 'INSERT' | 'UPDATE'; columns: string[] }[]

  beforeAll(async () => {
    ada = await addSomebody(admin)
    bob = await addSomebody(admin)
    tables = await rowsOf(
      `select c.relname as name, array_agg(a.attname::text order by a.attnum) filter (where a.attgenerated = '') as columns,
        case c.relname when 'users' then 'id' else 'user_id' end as owner,
        (select array_agg(k.attname::text) from pg_index i join pg_attribute k on k.attrelid = i.indrelid and k.attnum = any(i.indkey)
         where i.indrelid = c.oid and i.indisprimary) as key
       from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
       where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname not in ('oui_prefixes', 'rate_counters', 'sign_in_attempts') group by c.oid, c.relname`,
    )
    writable = await rowsOf(
      `select substr(role, length($1) + 1) as who, c.relname as table, verb, array_agg(a.attname::text order by a.attnum) as columns
       from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '',
         unnest($2::text[]) role, unnest('{INSERT,UPDATE}'::text[]) verb
       where c.relnamespace = 'public'::regnamespace and has_column_privilege(role, c.oid, a.attnum, verb) group by 1, 2, 3`,
      [database.rolePrefix, [roles.user, roles.agent, roles.auth]],
    )
  })

  const bobsRows = async () => {
    const all: Record<string, unknown> = {}
    for (const { name, owner } of tables) all[name] = await rowsOf(`select * from ${name} where ${owner} = $1 order by 1, 2`, [bob.userId])
    return all
  }
  /** Signing in sees these whole by design; they are attacked as user and agent. */
  const isOpenTo = (who: Who, table: string) => who === 'auth' && OPEN_POLICIES.includes(`${table}_auth`)
  /** What the role may write, so that it is the policy that refuses and not a missing grant; every column where it may write none. */
  const columnsFor = (who: Who, verb: 'INSERT' | 'UPDATE', { name, columns }: (typeof tables)[number]) =>
    writable.find((right) => right.who === who && right.verb === verb && right.table === name)?.columns ?? columns
  const noRows = ({ rows, code }: Attempt) => rows === 0 || code === '42501'

  it('finds a row of each person in every table, so that each attack has a target', async () => {
    for (const [name, rows] of Object.entries(await bobsRows())) expect((rows as unknown[]).length, name).toBeGreaterThan(0)
  })

  it('reaches no row of anybody else, whatever the table, the verb and the role, and none at all without an identity', async () => {
    const before = await bobsRows()
    const leaks: string[] = []
    let tried = 0
    for (const who of ['user', 'agent', 'auth'] as const) {
      for (const table of tables.filter(({ name }) => !isOpenTo(who, name))) {
        const { name, owner, key } = table
        const columns = columnsFor(who, 'INSERT', table)
        const list = columns.join(', ')
        const forged = columns.map((column) => (column === 'id' && name !== 'users' ? 'gen_random_uuid()' : column)).join(', ')
        const updatable = columnsFor(who, 'UPDATE', table).find((column) => !key.includes(column)) ?? owner
        const statements: [verb: string, text: string, values: unknown[]][] = [
          ['select', `select 1 from ${name} where ${owner} = $1`, [bob.userId]],
          ['select for update', `select 1 from ${name} where ${owner} = $1 for update`, [bob.userId]],
          ['update in place', `update ${name} set ${updatable} = ${updatable} where ${owner} = $1`, [bob.userId]],
          ['delete', `delete from ${name} where ${owner} = $1`, [bob.userId]],
          ['merge', `merge into ${name} t using (select $1::uuid as id) s on t.${owner} = s.id when matched then delete`, [bob.userId]],
          ['truncate', `truncate ${name} cascade`, []],
          ['copy to', `copy (select 1 from ${name} where ${owner} = '${bob.userId}') to stdout`, []],
        ]
        for (const somebody of [ada, null]) {
          for (const [verb, text, values] of statements) {
            tried += 1
            const result = await attempt(who, somebody, text, values)
            if (!noRows(result)) leaks.push(`${who} ${verb} ${name} ${somebody ? 'as ada' : 'as nobody'}: ${JSON.stringify(result)}`)
          }
          // Writing a row for somebody else: the source row is given as JSON, since the attacker cannot read it.
          const [row] = await rowsOf<{ row: unknown }>(`select to_jsonb(t) as row from ${name} t where ${owner} = $1 limit 1`, [bob.userId])
          for (const [verb, conflict] of [
            ['insert', ''],
            ['upsert', ` on conflict (${key.join(', ')}) do update set ${updatable} = excluded.${updatable}`],
          ] as const) {
            tried += 1
            const text = `insert into ${name} (${list}) select ${verb === 'insert' ? forged : list} from jsonb_populate_record(null::${name}, $1)${conflict}`
            const result = await attempt(who, somebody, text, [row?.row])
            if (result.code !== '42501')
              leaks.push(`${who} ${verb} ${name} ${somebody ? 'as ada' : 'as nobody'}: ${JSON.stringify(result)}`)
          }
        }
        // With a condition the row must also stay visible; without one only WITH CHECK stands in the way.
        for (const condition of [` where ${owner} = '${ada.userId}'`, '']) {
          tried += 1
          const given = await attempt(who, ada, `update ${name} set ${owner} = $1${condition}`, [bob.userId])
          if (!noRows(given)) leaks.push(`${who} give-away ${name}${condition}: ${JSON.stringify(given)}`)
        }
      }
    }
    expect(leaks).toEqual([])
    expect(tried).toBeGreaterThan(500)
    expect(await bobsRows()).toEqual(before)
  })

  it('cannot point a row of their own at a router, device or group of anybody else', async () => {
    const device = 'insert into user_devices (user_id, router_id) values ($1, $2)'
    expect(await attempt('user', ada, device, [ada.userId, bob.routerId])).toMatchObject({ code: '23503' })
    const grouped = 'update user_devices set group_id = $2 where user_id = $1 and id = $3'
    expect(await attempt('user', ada, grouped, [ada.userId, bob.groupId, ada.deviceId])).toMatchObject({ code: '23503' })
    const listed = 'insert into user_whitelists (user_id, router_id, device_id) values ($1, $2, $3)'
    expect(await attempt('user', ada, listed, [ada.userId, ada.routerId, bob.deviceId])).toMatchObject({ code: '23503' })
    const keyed = `insert into user_api_keys (user_id, router_id, kind, key_id, prefix, secret_sha256, scopes, slot) values ($1, $2, 'agent', 'x', 'x', sha256('x'), '{}', 2)`
    expect(await attempt('auth', ada, keyed, [ada.userId, bob.routerId])).toMatchObject({ code: '23503' })
  })

  it('learns nothing from unique keys: what somebody else has is free for oneself', async () => {
    const mac = `insert into user_device_interfaces (user_id, router_id, device_id, mac) values ($1, $2, $3, '00:00:5e:00:53:0f')`
    await admin.query(mac, [bob.userId, bob.routerId, bob.deviceId])
    expect(await attempt('user', ada, mac, [ada.userId, ada.routerId, ada.deviceId])).toMatchObject({ rows: 1 })
  })

  it('as an agent sees its own router only, not the other routers of the same person', async () => {
    const [router] = await rowsOf<{ id: string }>(`insert into user_routers (user_id, router_name) values ($1, 'Office') returning id`, [
      ada.userId,
    ])
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

  it('cannot set an identity twice, nor one that it cannot prove', async () => {
    const begin = 'select ctx.begin_context($1, $2)'
    await server.query('begin')
    await server.query(begin, [ada.userId, ada.sessionId])
    await expect(server.query(begin, [bob.userId, bob.sessionId])).rejects.toMatchObject({ code: 'NP403' })
    await server.query('rollback')
    await expect(server.query(begin, [bob.userId, ada.sessionId])).rejects.toMatchObject({ code: 'NP401' })
    const agent = 'select ctx.begin_agent_context($1, $2, $3)'
    await expect(server.query(agent, [bob.userId, bob.keyId, ada.sha256])).rejects.toMatchObject({ code: 'NP401' })
  })

  it('finds the identity gone after commit, and no error but no rows on a new and on a used connection', async () => {
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
