/** The checks of the catalogue bite: every fault, written from the catalogue itself and planted in a transaction, is found and named. */
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { roleNames } from '../src/database/role-names.ts'
import { CHECKS, findings, SECURITY_CONDITIONS } from './support/catalogue.ts'
import { asAdmin, prepare, separateDatabase } from './support/database.ts'

/** One statement or several, and what the findings must contain. */
type Fault = [statements: string, ...named: string[]]

// Of its own, with roles of its own: locks and half-made superusers disturb no other file.
const main = inject('database')
const name = `${main.rolePrefix}faults`
const prefix = `${name}_`
const roles = roleNames(prefix)
const { owner, context, server, user, agent } = roles
const everybody = [...Object.values(roles), 'public']
const plain = (text: string) => text.replaceAll(prefix, '').replace(/^public$/, 'PUBLIC')

let admin: pg.Client
const rowsOf = async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => (await admin.query<Row>(text, values)).rows

let tables: { table: string }[]
let policies: { policy: string; table: string; to: string; using: string; check: string | null }[]
let keys: { key: string; table: string; kind: string; definition: string }[]
let functions: { signature: string }[]

beforeAll(async () => {
  const database = { ...(await separateDatabase(main, 'faults')), rolePrefix: prefix }
  await prepare(database)
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  tables = await rowsOf(`select relname as table from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`)
  policies = await rowsOf(
    `select polname as policy, polrelid::regclass::text as table, array_to_string(polroles::regrole[], ', ') as to,
      pg_get_expr(polqual, polrelid) as using, pg_get_expr(polwithcheck, polrelid) as check from pg_policy`,
  )
  keys = await rowsOf(
    `select conname as key, conrelid::regclass::text as table, contype as kind, pg_get_constraintdef(oid) as definition
      from pg_constraint where connamespace = 'public'::regnamespace and contype in ('p', 'u', 'f')`,
  )
  functions = await rowsOf(`select oid::regprocedure::text as signature from pg_proc where pronamespace = 'ctx'::regnamespace`)
})
afterAll(async () => {
  await admin?.end()
  await asAdmin(main.adminUrl, async (client) => {
    await client.query(`drop database if exists ${name} with (force)`)
    for (const role of Object.values(roles)) await client.query(`drop role if exists ${role}`)
  })
})

/** Plants each fault, asks, and takes it back. */
async function expectFound(check: keyof typeof CHECKS, faults: Fault[]): Promise<void> {
  expect(faults).not.toEqual([])
  const unnoticed: string[] = []
  for (const [statements, ...named] of faults) {
    try {
      await admin.query(`begin; ${statements}`)
      const found = await CHECKS[check](admin, roles)
      if (!named.every((part) => found.some((line) => line.includes(part))))
        unnoticed.push(`${statements}: ${found.join('; ') || 'nothing'}`)
    } catch (error) {
      unnoticed.push(`${statements}: cannot be planted: ${error}`)
    } finally {
      await admin.query('rollback')
    }
  }
  expect(unnoticed).toEqual([])
}

const narrowed = (definition: string) => definition.replaceAll('(user_id, ', '(')

describe('a planted fault is found and named', () => {
  it('in a table: row security off, not forced, or another owner', () =>
    expectFound(
      'relations',
      tables.flatMap(({ table }) => [
        [`alter table ${table} disable row level security`, `not meant: table ${table} of owner, forced`],
        [`alter table ${table} no force row level security`, `missing: table ${table} of owner with row security, forced`],
        [`alter table ${table} owner to ${server}`, `not meant: table ${table} of server`],
      ]),
    ))

  it('in what shows a table by another way: a view, a copy, a child', () =>
    expectFound(
      'relations',
      tables.flatMap(({ table }) => [
        [`create view planted as select * from ${table}`, 'not meant: view planted'],
        [`create materialized view planted as table ${table} with no data`, 'not meant: materialized view planted'],
        [`create table planted () inherits (${table})`, 'not meant: table planted'],
      ]),
    ))

  it('in something new: a table, a leaf, a sequence, a schema', () =>
    expectFound('relations', [
      [`create table planted (user_id uuid not null)`, 'not meant: table planted'],
      [`create table ctx.planted ()`, 'not meant: table ctx.planted'],
      [
        'create table planted (user_id uuid) partition by list (user_id); create table leaf partition of planted default',
        'partitioned table planted',
        'table leaf',
      ],
      ['create sequence planted', 'not meant: sequence planted'],
      ['create schema planted; create table planted.kept ()', 'not meant: schema planted', 'not meant: table planted.kept'],
      [`alter schema ctx owner to ${owner}`, 'not meant: schema ctx of owner'],
    ]))

  it('in a policy: gone, true, for everybody, restrictive, or one too many', async () => {
    await expectFound(
      'policies',
      policies.flatMap(({ policy, table, to, using, check }): Fault[] => [
        [`drop policy ${policy} on ${table}`, `missing: policy ${policy} on ${table}`],
        [`alter policy ${policy} on ${table} to public`, `not meant: policy ${policy} on ${table}`, ' to PUBLIC using '],
        [
          `drop policy ${policy} on ${table}; create policy ${policy} on ${table} as restrictive to ${to} using (${using})`,
          `missing: policy ${policy} on ${table}`,
          `not meant: restrictive policy ${policy} on ${table}`,
        ],
        ...(using === 'true'
          ? []
          : [[`alter policy ${policy} on ${table} using (true)`, ` using true with check ${check}`] satisfies Fault]),
        ...(using === 'true'
          ? []
          : [[`alter policy ${policy} on ${table} with check (true)`, ` using ${using} with check true`] satisfies Fault]),
      ]),
    )
    const another = ({ table, to }: (typeof policies)[number]) => `create policy planted on ${table} for select to ${to} using (true)`
    await expectFound(
      'policies',
      policies.map((policy) => [another(policy), `not meant: policy planted on ${policy.table}`]),
    )
    await expectFound(
      'policiesOfOneRole',
      policies.map((policy) => [another(policy), `policies of ${policy.table} for ${plain(policy.to.split(', ')[0] ?? '')}: planted, `]),
    )
  })

  it('in a grant: each verb that a role lacks, TRUNCATE among them, for the whole table and for single columns', async () => {
    const lacking = await rowsOf<{ table: string; role: string; verb: string }>(
      `select c.relname as table, role, a.privilege_type as verb
        from pg_class c, aclexplode(acldefault('r', c.relowner)) a, unnest($1::text[]) role
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and not has_table_privilege(role, c.oid, a.privilege_type)`,
      [everybody],
    )
    for (const role of [user, agent, server])
      expect(lacking.filter((right) => right.role === role && right.verb === 'TRUNCATE')).toHaveLength(tables.length)
    await expectFound(
      'grants',
      lacking.map(({ table, role, verb }) => [`grant ${verb} on ${table} to ${role}`, `not meant: grant ${plain(role)} ${verb} ${table}`]),
    )
    const columns = await rowsOf<{ table: string; role: string; verb: string; columns: string[] }>(
      `select c.relname as table, role, verb, array_agg(t.attname::text) as columns
        from pg_class c join pg_attribute t on t.attrelid = c.oid and t.attnum > 0 and not t.attisdropped,
          unnest($1::text[]) role, unnest(array['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) verb
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and not has_column_privilege(role, c.oid, t.attnum, verb)
        group by 1, 2, 3`,
      [everybody],
    )
    await expectFound(
      'grants',
      columns.map(({ table, role, verb, columns: names }) => [
        `grant ${verb} (${names}) on ${table} to ${role}`,
        ...names.map((column) => `not meant: grant ${plain(role)} ${verb} ${table}(${column})`),
      ]),
    )
  })

  it('in a grant that may be passed on', () =>
    expectFound(
      'grants',
      tables.map(({ table }) => [
        `grant select on ${table} to ${user} with grant option`,
        `not meant: grant user SELECT WITH GRANT OPTION ${table}`,
      ]),
    ))

  it('in a grant of a schema, the database, the journal, a setting, the catalogue, or of what is yet to be made', async () => {
    await expectFound(
      'grants',
      [user, agent, server, 'public'].flatMap((role): Fault[] => [
        [`grant create on schema public to ${role}`, `not meant: grant ${plain(role)} CREATE schema public`],
        [`grant create on schema ctx to ${role}`, `not meant: grant ${plain(role)} CREATE schema ctx`],
        [`grant temporary on database ${name} to ${role}`, `not meant: grant ${plain(role)} TEMPORARY database`],
        [`grant update on drizzle.migrations to ${role}`, `not meant: grant ${plain(role)} UPDATE drizzle.migrations`],
      ]),
    )
    await expectFound(
      'grantsElsewhere',
      everybody.flatMap((role): Fault[] => [
        [`grant set on parameter session_replication_role to ${role}`, `grant ${plain(role)} SET parameter session_replication_role`],
        [`grant select on pg_authid to ${role}`, `grant ${plain(role)} SELECT pg_authid`],
        ...[owner, context]
          .filter((maker) => maker !== role)
          .map(
            (maker): Fault => [
              `alter default privileges for role ${maker} grant truncate on tables to ${role}`,
              `default privilege of ${plain(role)}: TRUNCATE`,
            ],
          ),
      ]),
    )
  })

  it('in a key: gone, without user_id, or not enforced', async () => {
    await expectFound(
      'keys',
      keys.map(({ key, table }) => [`alter table ${table} drop constraint ${key} cascade`, `missing: key ${key} of ${table}`]),
    )
    const composite = keys.filter(({ definition }) => narrowed(definition) !== definition)
    const replaced = ({ key, table, kind, definition }: (typeof keys)[number]) => {
      const [, target, columns] = / REFERENCES (\w+)(\(.*?\))/.exec(narrowed(definition)) ?? []
      const unique = kind === 'f' ? `alter table ${target} add constraint planted unique ${columns};` : ''
      return `${unique} alter table ${table} drop constraint ${key} cascade; alter table ${table} add constraint ${key} ${narrowed(definition)}`
    }
    await expectFound(
      'keys',
      composite.map((key) => [
        replaced(key),
        `missing: key ${key.key}`,
        `not meant: key ${key.key} of ${key.table}: ${narrowed(key.definition)}`,
      ]),
    )
    await expectFound(
      'owners',
      composite.map((key) => [replaced(key), `${key.key} of ${key.table} not led by user_id`]),
    )
    await expectFound(
      'keys',
      keys
        .filter(({ kind }) => kind === 'f')
        .map(({ key, table, definition }) => [
          `alter table ${table} drop constraint ${key}, add constraint ${key} ${definition} not valid`,
          `not meant: key ${key} of ${table}: ${definition} NOT VALID`,
        ]),
    )
    const [slot] = await rowsOf<{ definition: string }>(`select pg_get_indexdef('user_api_keys_live_slot_key'::regclass) as definition`)
    await expectFound('keys', [
      ['drop index user_api_keys_live_slot_key', 'missing: key user_api_keys_live_slot_key of user_api_keys'],
      [
        `drop index user_api_keys_live_slot_key; ${narrowed(slot?.definition ?? '')}`,
        'not meant: key user_api_keys_live_slot_key of user_api_keys: CREATE UNIQUE INDEX',
      ],
    ])
  })

  it('in a row that need not have an owner', () =>
    expectFound(
      'owners',
      keys
        .filter(({ kind, definition }) => kind === 'p' && definition.includes('(user_id'))
        .map(({ key, table }) => [
          `alter table ${table} drop constraint ${key} cascade; alter table ${table} alter user_id drop not null`,
          `table ${table} without user_id`,
        ]),
    ))

  it('in what runs by itself, or no longer does', async () => {
    const watched = tables.filter(({ table }) => keys.some((key) => key.kind === 'f' && key.table === table))
    await expectFound('reactions', [
      ...watched.map(({ table }): Fault => [`alter table ${table} disable trigger all`, ` of ${table} switched off`]),
      ...tables.flatMap(({ table }): Fault[] => [
        [
          `create trigger planted before update on ${table} for each row execute function suppress_redundant_updates_trigger()`,
          `trigger planted of ${table}`,
        ],
        [`create rule planted as on delete to ${table} do instead nothing`, `rule planted of ${table}`],
        [`create publication planted for table ${table}`, 'publication planted'],
      ]),
      ...keys
        .filter(({ kind }) => kind === 'f')
        .map(
          ({ key, table, definition }): Fault => [
            `alter table ${table} drop constraint ${key}, add constraint ${key} ${definition.replace(/ ON DELETE .*|$/, ' ON DELETE SET NULL')}`,
            `key ${key} of ${table} that does other`,
          ],
        ),
    ])
  })

  it('in a condition that carries security', async () => {
    const conditions = await rowsOf<{ condition: string; table: string }>(
      `select conname as condition, conrelid::regclass::text as table from pg_constraint where contype = 'c' and conname = any($1)`,
      [Object.keys(SECURITY_CONDITIONS)],
    )
    await expectFound(
      'conditions',
      conditions.flatMap(({ condition, table }): Fault[] => [
        [`alter table ${table} drop constraint ${condition}`, `missing: condition ${condition}`],
        [
          `alter table ${table} drop constraint ${condition}, add constraint ${condition} check (true)`,
          `not meant: condition ${condition}: CHECK (true)`,
        ],
      ]),
    )
  })

  it('in a role: what it is, what it owns, and what its logins start with', async () => {
    const attributes = await rowsOf<{ role: string; attribute: string }>(
      `select rolname as role, attribute from pg_roles, lateral (values ('login', rolcanlogin), ('superuser', rolsuper), ('bypassrls', rolbypassrls),
        ('inherit', rolinherit), ('createrole', rolcreaterole), ('createdb', rolcreatedb), ('replication', rolreplication)) as a (attribute, has)
        where rolname = any($1) and not has`,
      [everybody],
    )
    await expectFound('roles', [
      ...attributes.map(({ role, attribute }): Fault => [`alter role ${role} ${attribute}`, `not meant: role ${plain(role)}`, attribute]),
      ...[server, user, agent].map(
        (role): Fault => [`alter database ${name} owner to ${role}`, `not meant: ${plain(role)} owns pg_database`],
      ),
    ])
    const settings = await rowsOf<{ role: string; setting: string }>(
      `select setrole::regrole::text as role, split_part(unnest(setconfig), '=', 1) as setting from pg_db_role_setting
        where setrole::regrole::text = any($1)`,
      [everybody],
    )
    await expectFound('settings', [
      ...settings.map(({ role, setting }): Fault => [`alter role ${role} reset ${setting}`, `missing: setting ${plain(role)} ${setting}`]),
      ...settings.map(
        ({ role, setting }): Fault => [`alter role ${role} set ${setting} to 0`, `not meant: setting ${plain(role)} ${setting}=0`],
      ),
      [`alter role ${server} set session_replication_role to replica`, 'not meant: setting server session_replication_role=replica'],
      [`alter role ${server} in database ${name} set role to ${user}`, 'not meant: setting server role=user'],
      [`alter database ${name} set search_path to pg_temp`, 'not meant: setting everybody search_path=pg_temp'],
    ])
  })

  it('in a membership: of any role in another, of built-in roles, passed on, or without the step', async () => {
    const pairs = await rowsOf<{ member: string; role: string }>(
      `select m.rolname as member, r.rolname as role from pg_roles m, pg_roles r
        where m.rolname = any($1) and (r.rolname = any($1) or r.rolname in ('pg_read_all_data', 'pg_write_all_data', 'pg_execute_server_program'))
          and not pg_has_role(r.oid, m.oid, 'member') and not pg_has_role(m.oid, r.oid, 'member')`,
      [everybody],
    )
    expect(pairs).toContainEqual({ member: server, role: owner })
    const [version] = await rowsOf<{ number: number }>(`select current_setting('server_version_num')::int as number`)
    const inherited = (version?.number ?? 0) >= 160_000 ? `grant ${user} to ${server} with inherit true` : `alter role ${server} inherit`
    await expectFound('memberships', [
      ...pairs.map(({ member, role }): Fault => [`grant ${role} to ${member}`, `not meant: ${plain(member)} may become ${plain(role)}`]),
      [`grant ${user} to ${server} with admin option`, 'not meant: server may become user and let others'],
      [inherited, 'not meant: server may become user, inherited'],
    ])
  })

  it('in an identity function', async () => {
    const lacking = await rowsOf<{ signature: string; role: string }>(
      `select p.oid::regprocedure::text as signature, role from pg_proc p, unnest($1::text[]) role
        where p.pronamespace = 'ctx'::regnamespace and not has_function_privilege(role, p.oid, 'execute')`,
      [everybody],
    )
    await expectFound('functions', [
      ...functions.flatMap(({ signature }): Fault[] => [
        [`drop function ${signature} cascade`, `missing: function ${signature}`],
        [`alter function ${signature} immutable`, `not meant: function ${signature} IMMUTABLE`],
        [`alter function ${signature} leakproof`, `not meant: function ${signature}`, ', LEAKPROOF'],
        [`alter function ${signature} security invoker`, `not meant: function ${signature}`, ', INVOKER'],
        [`alter function ${signature} reset search_path`, `not meant: function ${signature}`],
        [`alter function ${signature} set search_path to public`, `not meant: function ${signature}`, 'search_path=public'],
        [`alter function ${signature} owner to ${owner}`, `not meant: function ${signature}`, ', definer owner'],
      ]),
      ...lacking.map(
        ({ signature, role }): Fault => [
          `grant execute on function ${signature} to ${role}`,
          `not meant: function ${signature}`,
          plain(role),
        ],
      ),
      ['create function ctx.planted() returns int return 1', 'not meant: function ctx.planted() volatile for PUBLIC, INVOKER'],
      ['create function public.planted() returns int return 1', 'not meant: function planted() volatile for PUBLIC, INVOKER'],
    ])
  })

  it('in the fence: every built-in function that is not for everybody, and PL/pgSQL', async () => {
    const fenced = await rowsOf<{ signature: string; role: string }>(
      `select p.oid::regprocedure::text as signature, role from pg_proc p, unnest($1::text[]) role
        where p.pronamespace = 'pg_catalog'::regnamespace and not has_function_privilege('public', p.oid, 'execute')
          and not has_function_privilege(role, p.oid, 'execute')`,
      [[server, user, 'public']],
    )
    expect(fenced).toContainEqual({ signature: 'set_config(text,text,boolean)', role: 'public' })
    await expectFound('fence', [
      ...fenced.map(
        ({ signature, role }): Fault => [
          `grant execute on function ${signature} to ${role}`,
          `not meant: fence: ${plain(role)} ${signature}`,
        ],
      ),
      ...[server, user, agent, 'public'].map(
        (role): Fault => [`grant usage on language plpgsql to ${role}`, `not meant: fence: ${plain(role)} plpgsql`],
      ),
    ])
  })
})

describe('the catalogue', () => {
  it('is as it is meant to be before and after, in a database with roles of its own', async () => {
    expect(await findings(admin, roles)).toEqual([])
  })
})
