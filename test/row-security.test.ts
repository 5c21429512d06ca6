/** Asks the database itself whether isolation holds: by its catalogue, and by attack with raw SQL that names no owner. */
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type RoleName, roleNames } from '../src/database/role-names.ts'
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
/** Names without the prefix of this run, so that expectations read like the migrations. */
const plain = (text: string) => text.replaceAll(database.rolePrefix, '')

/** What each request role may do, by table. Everything that is not here is nobody's. */
const GRANTS: Record<string, Partial<Record<RoleName, string>>> = {
  oui_prefixes: { user: 'SELECT', agent: 'SELECT' },
  user_api_keys: { auth: 'INSERT SELECT UPDATE' },
  user_audit_log: { user: 'INSERT SELECT', auth: 'INSERT SELECT' },
  user_blacklists: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_blocked_devices: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_credentials: { auth: 'DELETE INSERT SELECT UPDATE' },
  user_device_groups: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_device_interfaces: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_device_merges: { user: 'DELETE INSERT SELECT UPDATE' },
  user_devices: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_login_sessions: { auth: 'INSERT SELECT UPDATE' },
  user_recovery_codes: { auth: 'DELETE INSERT SELECT UPDATE' },
  user_routers: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_scans: { user: 'SELECT', agent: 'DELETE INSERT SELECT' },
  user_schedule_overrides: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_schedules: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_settings: { user: 'DELETE INSERT SELECT UPDATE' },
  user_tokens: { auth: 'DELETE INSERT SELECT UPDATE' },
  user_whitelists: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  users: { auth: 'DELETE INSERT SELECT UPDATE', user: 'SELECT' },
}

/** Beyond whole tables, single columns. */
const COLUMN_GRANTS = [
  'context SELECT user_api_keys(expires_at, key_id, kind, last_used_at, revoked_at, router_id, scopes, secret_sha256, user_id)',
  'context SELECT user_credentials(has_password, user_id)',
  'context SELECT user_login_sessions(ended_at, expires_at, id, idle_expires_at, user_id)',
  'context SELECT users(id, is_active, role)',
  'context UPDATE user_api_keys(last_used_at)',
  'agent INSERT user_device_interfaces(device_id, first_seen, id, ips, mac, router_id, user_id)',
  'agent INSERT user_devices(approval, detected_manufacturer, first_seen, hostname, id, last_seen, router_id, user_id)',
  'agent UPDATE user_device_interfaces(device_id, ips, mac)',
  'agent UPDATE user_devices(hostname, last_seen, merged_into)',
  'agent UPDATE user_routers(agent_error, applied_at, applied_revision, last_seen)',
  'agent UPDATE user_scans(answer)',
  'user UPDATE users(avatar_url, full_name, updated_at)',
]

/** The only forms a policy has, as PostgreSQL prints them. */
const OWN = /^\((user_id|id) = \( SELECT ctx\.uid\(\) AS uid\)\)$/
const OWN_ROUTER =
  /^\(\(user_id = \( SELECT ctx\.agent_uid\(\) AS agent_uid\)\) AND \((router_id|id) = \( SELECT ctx\.agent_router\(\) AS agent_router\)\)\)$/

/** Where a policy is `true`, and why that shows nobody's rows to a request. */
const OPEN_POLICIES = [
  'oui_prefixes_everyone', // reference data: the IEEE's registry
  'user_api_keys_context', // what the identity functions look up; nobody can log in as their owner
  'user_credentials_context',
  'user_login_sessions_context',
  'users_context',
  'user_audit_log_auth', // signing in, before anybody is known: static statements of a login that requests cannot reach
  'user_credentials_auth',
  'user_login_sessions_auth',
  'user_recovery_codes_auth',
  'user_tokens_auth',
  'users_auth',
]

describe('every table', () => {
  it('has row security enabled and forced, and at least one policy', async () => {
    const tables = await rowsOf<{ name: string; enabled: boolean; forced: boolean; policies: number }>(
      `select c.relname as name, c.relrowsecurity as enabled, c.relforcerowsecurity as forced,
        (select count(*)::int from pg_policy p where p.polrelid = c.oid) as policies
       from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')`,
    )
    expect(tables.length).toBe(Object.keys(GRANTS).length)
    expect(tables.filter(({ enabled, forced, policies }) => !enabled || !forced || policies === 0)).toEqual([])
  })

  it('grants each role the verbs that it needs, one by one, and nobody TRUNCATE', async () => {
    const granted = await rowsOf<{ table: string; role: string; verbs: string }>(
      `select c.relname as table, a.grantee::regrole::text as role, string_agg(a.privilege_type, ' ' order by a.privilege_type) as verbs
       from pg_class c, aclexplode(c.relacl) a
       where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.grantee <> c.relowner group by 1, 2 order by 1, 2`,
    )
    const found: typeof GRANTS = {}
    for (const { table, role, verbs } of granted) found[table] = { ...found[table], [plain(role)]: verbs }
    expect(found).toEqual(GRANTS)
  })

  it('grants single columns where a role needs no more', async () => {
    const granted = await rowsOf<{ line: string }>(
      `select concat(a.grantee::regrole, ' ', a.privilege_type, ' ', c.relname, '(', string_agg(t.attname, ', ' order by t.attname), ')') as line
       from pg_class c join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) a
       where c.relnamespace = 'public'::regnamespace group by a.grantee, a.privilege_type, c.relname`,
    )
    expect(granted.map(({ line }) => plain(line)).sort()).toEqual([...COLUMN_GRANTS].sort())
  })

  it('has policies of the known forms only, the same for reading and writing', async () => {
    const policies = await rowsOf<{ name: string; roles: string; using: string; check: string | null; permissive: boolean; verb: string }>(
      `select polname as name, polpermissive as permissive, polcmd as verb, array_to_string(polroles::regrole[], ' ') as roles,
        pg_get_expr(polqual, polrelid) as using, pg_get_expr(polwithcheck, polrelid) as check from pg_policy`,
    )
    const wrong = policies.filter(({ name, roles: to, using, check, verb }) => {
      if (verb !== 'r' && check !== using) return true
      if (using === 'true') return !OPEN_POLICIES.includes(name)
      return (
        !(/_(user|auth)$/.test(name) && OWN.test(using) && [roles.user, roles.auth].includes(to)) &&
        !(name.endsWith('_agent') && OWN_ROUTER.test(using) && to === roles.agent)
      )
    })
    expect(wrong).toEqual([])
    expect(
      policies
        .filter(({ using }) => using === 'true')
        .map(({ name }) => name)
        .sort(),
    ).toEqual([...OPEN_POLICIES].sort())
  })

  it('has at most one policy for a role', async () => {
    const doubled = await rowsOf(
      'select polrelid::regclass, role from pg_policy, unnest(polroles) as role group by 1, 2 having count(*) > 1',
    )
    expect(doubled).toEqual([])
  })

  it('carries the owner in every key: primary, unique and foreign', async () => {
    const without = await rowsOf(
      `select i.indrelid::regclass as table, i.indexrelid::regclass as key from pg_index i
       join pg_attribute first on first.attrelid = i.indrelid and first.attnum = i.indkey[0]
       join pg_class c on c.oid = i.indrelid and c.relnamespace = 'public'::regnamespace
       where first.attname <> 'user_id' and c.relname not in ('users', 'oui_prefixes')
       union all
       select con.conrelid::regclass, con.conindid::regclass from pg_constraint con
       where con.contype = 'f' and con.confrelid <> 'users'::regclass and not (
         (select attname from pg_attribute where attrelid = con.conrelid and attnum = con.conkey[1]) = 'user_id'
         and (select attname from pg_attribute where attrelid = con.confrelid and attnum = con.confkey[1]) = 'user_id')`,
    )
    expect(without).toEqual([])
  })

  it('refers to the next only in ways that a sharded database takes: cascade or no action, and no triggers', async () => {
    const keys = await rowsOf(
      `select conname from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace and confdeltype not in ('c', 'a')`,
    )
    expect(keys).toEqual([])
    expect(await rowsOf(`select tgname from pg_trigger where not tgisinternal`)).toEqual([])
  })

  it('refers to its router and devices by keys that hold the owner', async () => {
    const keys = await rowsOf<{ name: string; columns: string }>(
      `select conname as name, (select string_agg(attname, ' ' order by place) from unnest(conkey) with ordinality as k(num, place)
         join pg_attribute on attrelid = conrelid and attnum = num) as columns
       from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace and confrelid <> 'users'::regclass order by 1`,
    )
    expect(Object.fromEntries(keys.map(({ name, columns }) => [name, columns]))).toMatchSnapshot()
  })

  it('is the only kind of relation there: no view, no sequence, no leaf without policies', async () => {
    expect(await rowsOf(`select relname from pg_class where relnamespace = 'public'::regnamespace and relkind not in ('r', 'i')`)).toEqual(
      [],
    )
  })
})

describe('the roles', () => {
  it('are no superusers, bypass nothing, own nothing that serves requests, and inherit nothing', async () => {
    const found = await rowsOf<{ name: string; login: boolean; bypass: boolean; inherit: boolean; super: boolean; owns: boolean }>(
      `select rolname as name, rolcanlogin as login, rolbypassrls as bypass, rolinherit as inherit, rolsuper as super,
        exists (select from pg_class where relowner = r.oid) as owns from pg_roles r where rolname = any($1)`,
      [Object.values(roles)],
    )
    const by = Object.fromEntries(found.map(({ name, ...flags }) => [plain(name), flags]))
    const none = { login: false, bypass: false, inherit: false, super: false, owns: false }
    expect(by).toEqual({
      owner: { ...none, owns: true },
      context: none,
      user: none,
      agent: none,
      migrator: { ...none, login: true },
      server: { ...none, login: true },
      auth: { ...none, login: true },
      admin: { ...none, login: true },
      backup: { ...none, login: true, bypass: true },
      monitor: { ...none, login: true },
    })
  })

  it('can become each other only where it is meant: the server the two request roles, the migrator the owners', async () => {
    const memberships = await rowsOf<{ member: string; role: string }>(
      'select member::regrole::text as member, roleid::regrole::text as role from pg_auth_members where member::regrole::text = any($1)',
      [Object.values(roles)],
    )
    expect(memberships.map(({ member, role }) => `${plain(member)} ${plain(role)}`).sort()).toEqual([
      'backup pg_read_all_data',
      'migrator context',
      'migrator owner',
      'monitor pg_monitor',
      'server agent',
      'server user',
    ])
  })

  it('time out: statements, locks and idle transactions of the logins that serve requests', async () => {
    for (const client of [server, auth]) {
      const { rows } = await client.query(
        `select current_setting('statement_timeout') as s, current_setting('lock_timeout') as l, current_setting('idle_in_transaction_session_timeout') as i`,
      )
      expect(rows).toEqual([{ s: '5s', l: '2s', i: '10s' }])
    }
  })

  it('reach no table as the bare login', async () => {
    for (const table of Object.keys(GRANTS)) {
      await expect(server.query(`select from ${table}`), table).rejects.toMatchObject({ code: '42501' })
    }
  })

  it('cannot make temporary or public tables', async () => {
    await expect(server.query('create temp table t ()')).rejects.toMatchObject({ code: '42501' })
    await expect(server.query('create table public.t ()')).rejects.toMatchObject({ code: '42501' })
  })
})

describe('the identity functions', () => {
  it('are definers with a fixed path, never IMMUTABLE, and executable by the roles that need them', async () => {
    const functions = await rowsOf<{ name: string; definer: boolean; volatility: string; path: string; roles: string }>(
      `select p.proname as name, p.prosecdef as definer, p.provolatile as volatility, array_to_string(p.proconfig, ' ') as path,
        (select string_agg(case a.grantee when 0 then 'PUBLIC' else a.grantee::regrole::text end, ' ' order by a.grantee::regrole::text)
         from aclexplode(p.proacl) a where a.grantee <> p.proowner) as roles
       from pg_proc p where p.pronamespace = 'ctx'::regnamespace order by 1`,
    )
    expect(
      functions.filter(({ definer, volatility, path }) => !definer || volatility === 'i' || path !== 'search_path=pg_catalog, pg_temp'),
    ).toEqual([])
    expect(Object.fromEntries(functions.map(({ name, roles: to }) => [name, to && plain(to)]))).toEqual({
      agent_router: 'agent',
      agent_uid: 'agent',
      applied_migrations: 'server',
      assume: null,
      begin_agent_context: 'server',
      begin_context: 'auth server',
      has_password: 'user',
      identity: null,
      record_key_use: 'auth',
      uid: 'auth user',
    })
  })

  it('stand behind a fence: nobody who serves requests can set a setting, lock, sleep, notify or write large objects', async () => {
    const open = await rowsOf<{ function: string }>(
      `select p.oid::regprocedure::text as function from pg_proc p
       where p.pronamespace = 'pg_catalog'::regnamespace and has_function_privilege($1, p.oid, 'execute')
         and (p.proname in ('set_config', 'pg_notify', 'pg_logical_emit_message', 'pg_export_snapshot', 'pg_cancel_backend', 'pg_terminate_backend',
           'loread', 'lowrite', 'ts_stat') or p.proname like any (array['pg\\_sleep%', 'pg%advisory%', 'lo\\_%', '%\\_to\\_xml%']))`,
      [roles.user],
    )
    expect(open).toEqual([])
    expect(await rowsOf(`select 1 where has_language_privilege($1, 'plpgsql', 'usage')`, [roles.user])).toEqual([])
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

  beforeAll(async () => {
    ada = await addSomebody(admin)
    bob = await addSomebody(admin)
    tables = await rowsOf(
      `select c.relname as name, array_agg(a.attname::text order by a.attnum) filter (where a.attgenerated = '') as columns,
        case c.relname when 'users' then 'id' else 'user_id' end as owner,
        (select array_agg(k.attname::text) from pg_index i join pg_attribute k on k.attrelid = i.indrelid and k.attnum = any(i.indkey)
         where i.indrelid = c.oid and i.indisprimary) as key
       from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
       where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'oui_prefixes' group by c.oid, c.relname`,
    )
  })

  const bobsRows = async () => {
    const all: Record<string, unknown> = {}
    for (const { name, owner } of tables) all[name] = await rowsOf(`select * from ${name} where ${owner} = $1 order by 1, 2`, [bob.userId])
    return all
  }
  /** Signing in sees these whole by design; they are attacked as user and agent. */
  const isOpenTo = (who: Who, table: string) => who === 'auth' && OPEN_POLICIES.includes(`${table}_auth`)
  const noRows = ({ rows, code }: Attempt) => rows === 0 || code === '42501'

  it('finds a row of each person in every table, so that each attack has a target', async () => {
    for (const [name, rows] of Object.entries(await bobsRows())) expect((rows as unknown[]).length, name).toBeGreaterThan(0)
  })

  it('reaches no row of anybody else, whatever the table, the verb and the role, and none at all without an identity', async () => {
    const before = await bobsRows()
    const leaks: string[] = []
    let tried = 0
    for (const who of ['user', 'agent', 'auth'] as const) {
      for (const { name, columns, owner, key } of tables.filter((table) => !isOpenTo(who, table.name))) {
        const list = columns.join(', ')
        const forged = columns.map((column) => (column === 'id' && name !== 'users' ? 'gen_random_uuid()' : column)).join(', ')
        const updatable = columns.find((column) => !key.includes(column)) ?? owner
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
            ['upsert', ` on conflict (${key.join(', ')}) do update set ${owner} = excluded.${owner}`],
          ] as const) {
            tried += 1
            const text = `insert into ${name} (${list}) select ${verb === 'insert' ? forged : list} from jsonb_populate_record(null::${name}, $1)${conflict}`
            const result = await attempt(who, somebody, text, [row?.row])
            if (result.code !== '42501')
              leaks.push(`${who} ${verb} ${name} ${somebody ? 'as ada' : 'as nobody'}: ${JSON.stringify(result)}`)
          }
        }
        tried += 1
        const given = await attempt(who, ada, `update ${name} set ${owner} = $1 where ${owner} = $2`, [bob.userId, ada.userId])
        if (!noRows(given)) leaks.push(`${who} give-away ${name}: ${JSON.stringify(given)}`)
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
