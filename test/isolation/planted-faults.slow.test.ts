/**
 * The self-check of the server bites: every fault, written from the catalogue itself and planted in a
 * transaction, is found, named and weighed.
 */
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { SECURITY_CONDITIONS } from '../../src/database/catalogue/expected-tables.ts'
import { functionBodies, seal } from '../../src/database/catalogue/seal.ts'
import { CATALOGUE, checkDatabase } from '../../src/database/catalogue/self-check.ts'
import { readMigrations } from '../../src/database/migrations/runner.ts'
import { roleNames } from '../../src/database/role-names.ts'
import { asAdmin, prepare, separateDatabase } from '../support/database.ts'

/** What is planted, and what the findings must say. */
type Fault = [statements: string, ...said: string[]]

// A database and roles of its own: locks, dropped policies and superusers of a moment disturb no other file.
const main = inject('database')
const name = `${main.rolePrefix}faults`
const prefix = `${name}_`
const elsewhere = `${main.rolePrefix}elsewhere`
const roles = roleNames(prefix)
const { owner, context, server, user, agent } = roles
const everybody = [...Object.values(roles), 'public']
const plain = (role: string) => (role === 'public' ? 'PUBLIC' : role.replace(prefix, ''))

let admin: pg.Client
const rowsOf = async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) =>
  (await admin.query<Row>(text, values)).rows

let tables: string[]
let policies: { policy: string; on: string; to: string[]; using: string }[]
let keys: { key: string; of: string; kind: string; definition: string }[]

beforeAll(async () => {
  const database = { ...(await separateDatabase(main, 'faults')), rolePrefix: prefix }
  await prepare(database)
  await separateDatabase(main, 'elsewhere')
  const options = { connectionString: database.adminUrl, pipeline: true }
  admin = new pg.Client(options)
  await admin.connect()
  const relations = await rowsOf<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`,
  )
  tables = relations.map((table) => table.name)
  policies = await rowsOf(
    `select polname as policy, polrelid::regclass::text as on, polroles::regrole[]::text[] as to,
        regexp_replace(pg_get_expr(polqual, polrelid), '\\s+', ' ', 'g') as using from pg_policy`,
  )
  keys = await rowsOf(
    `select conname as key, conrelid::regclass::text as of, contype as kind, pg_get_constraintdef(oid) as definition
      from pg_constraint where connamespace = 'public'::regnamespace and contype in ('p', 'u', 'f')`,
  )
})
afterAll(async () => {
  await admin?.end()
  await asAdmin(main.adminUrl, async (client) => {
    await client.query(`drop database if exists ${name} with (force)`)
    for (const role of Object.values(roles)) await client.query(`drop role if exists ${role}`)
  })
})

/**
 * What the fence is to take from everybody, by name: a list of its own, since the check asks the one that the
 * set-up goes by.
 */
const FENCED_NAMES = [
  'currtid2',
  'lo_*',
  'loread',
  'lowrite',
  'pg_advisory*',
  'pg_cancel_backend',
  'pg_export_snapshot',
  'pg_logical_emit_message',
  'pg_notify',
  'pg_sleep*',
  'pg_stat_get_xact_*',
  'pg_terminate_backend',
  'pg_try_advisory*',
  'set_config',
  'setseed',
  'ts_rewrite',
  'ts_stat',
]
const CHECKS = { ...CATALOGUE, bodies: functionBodies(await readMigrations()), seal }
const warning = true

/**
 * Plants one fault after the other, asks, and takes it back. Each must keep a server from starting, or only
 * warn.
 */
async function expectFound(check: keyof typeof CHECKS, faults: Fault[], onlyWarns = false): Promise<void> {
  expect(faults).not.toEqual([])
  const unnoticed: string[] = []
  for (const [statements, ...said] of faults) {
    try {
      await admin.query(`begin; ${statements}`)
      const { findings } = await CHECKS[check].check(admin, roles)
      const isNamed = said.every((words) => findings.some(({ what }) => what.includes(words)))
      if (!isNamed || findings.every(({ isWarning }) => isWarning) !== onlyWarns)
        unnoticed.push(
          `${statements}: ${findings.map(({ what, isWarning }) => `${isWarning ? 'warns of ' : ''}${what}`).join('; ')}`,
        )
    } catch (error) {
      unnoticed.push(`${statements}: ${error}`)
    } finally {
      await admin.query('rollback')
    }
  }
  expect(unnoticed).toEqual([])
}

const withoutOwner = (definition: string) => definition.replaceAll('(user_id, ', '(')
const replaced = (key: string, of: string, definition: string) =>
  `alter table ${of} drop constraint ${key} cascade; alter table ${of} add constraint ${key} ${definition}`

// What a test takes is the time of some hundred changes of the schema.
describe('a planted fault is found and named', { timeout: 60_000 }, () => {
  it('in a table: row security switched off, the owner not bound, another owner', () =>
    expectFound(
      'relations',
      tables.flatMap((table): Fault[] => [
        [`alter table ${table} disable row level security`, `not meant: table ${table} of owner, forced`],
        [
          `alter table ${table} no force row level security`,
          `missing: table ${table} of owner with row security, forced`,
        ],
        [`alter table ${table} owner to ${server}`, `not meant: table ${table} of server`],
      ]),
    ))

  it('in another way to a table: a view, a copy, a child', () =>
    expectFound(
      'relations',
      tables.flatMap((table): Fault[] => [
        [`create view planted as table ${table}`, 'not meant: view planted'],
        [
          `create materialized view planted as table ${table} with no data`,
          'not meant: materialized view planted',
        ],
        [`create table planted () inherits (${table})`, 'not meant: table planted'],
      ]),
    ))

  it('in something new: a table, a leaf, a sequence, a schema that is given away', () =>
    expectFound('relations', [
      ['create table planted (user_id uuid not null)', 'not meant: table planted'],
      ['create table ctx.planted ()', 'not meant: table ctx.planted'],
      [
        'create table planted (a int) partition by list (a); create table leaf partition of planted default',
        'partitioned table planted',
        'table leaf',
      ],
      ['create sequence planted', 'not meant: sequence planted'],
      [`alter schema ctx owner to ${owner}`, 'not meant: schema ctx of owner'],
    ]))

  it('in a policy: gone, true to read, true to write, for everybody, restrictive', () =>
    expectFound(
      'policies',
      policies.flatMap(({ policy, on, to, using }): Fault[] => [
        [`drop policy ${policy} on ${on}`, `missing: policy ${policy} on ${on}`],
        [
          `alter policy ${policy} on ${on} to public`,
          `not meant: policy ${policy} on ${on}`,
          ' to PUBLIC using ',
        ],
        [
          `drop policy ${policy} on ${on}; create policy ${policy} on ${on} as restrictive to ${to} using (${using})`,
          `not meant: restrictive policy ${policy} on ${on}`,
        ],
        ...(using === 'true'
          ? []
          : ([
              [
                `alter policy ${policy} on ${on} using (true)`,
                `not meant: policy ${policy} on ${on}`,
                ` using true with check ${using}`,
              ],
              [
                `alter policy ${policy} on ${on} with check (true)`,
                `not meant: policy ${policy} on ${on}`,
                ` using ${using} with check true`,
              ],
            ] satisfies Fault[])),
      ]),
    ))

  it('in a policy beside another, which row security joins by OR', async () => {
    const another = (on: string, to: string[]) =>
      `create policy planted on ${on} for select to ${to} using (true)`
    await expectFound(
      'policies',
      policies.map(({ on, to }) => [another(on, to), `not meant: policy planted on ${on} for SELECT`]),
    )
    await expectFound(
      'policiesOfOneRole',
      policies.map(({ on, to }) => [
        another(on, to),
        ...to.map((role) => `policies of ${on} for ${plain(role)}: `),
      ]),
    )
  })

  it('in a grant: each verb and each column that a role lacks, TRUNCATE among them', async () => {
    const verbs = await rowsOf<{ table: string; role: string; lacking: string[] }>(
      `select c.relname as table, role, array_agg(a.privilege_type) as lacking
        from pg_class c, aclexplode(acldefault('r', c.relowner)) a, unnest($1::text[]) role
        where c.relname = any($2) and not has_table_privilege(role, c.oid, a.privilege_type) group by 1, 2`,
      [everybody, tables],
    )
    const columns = await rowsOf<{
      table: string
      role: string
      lacking: { verb: string; columns: string[] }[]
    }>(
      `select "table", role, jsonb_agg(jsonb_build_object('verb', verb, 'columns', columns)) as lacking from (
          select c.relname as "table", role, verb, array_agg(t.attname) as columns
          from pg_class c join pg_attribute t on t.attrelid = c.oid and t.attnum > 0 and not t.attisdropped,
            unnest($1::text[]) role, unnest('{SELECT,INSERT,UPDATE}'::text[]) verb
          where c.relname = any($2) and not has_column_privilege(role, c.oid, t.attnum, verb) group by 1, 2, 3) each group by 1, 2`,
      [everybody, tables],
    )
    expect(verbs.filter(({ lacking }) => lacking.includes('TRUNCATE'))).toHaveLength(
      tables.length * (everybody.length - 1),
    )
    await expectFound('grants', [
      ...verbs.map(
        ({ table, role, lacking }): Fault => [
          `grant ${lacking} on ${table} to ${role}`,
          ...lacking.map((verb) => `not meant: grant ${plain(role)} ${verb} ${table}`),
        ],
      ),
      ...columns.map(
        ({ table, role, lacking }): Fault => [
          `grant ${lacking.map((right) => `${right.verb} (${right.columns})`)} on ${table} to ${role}`,
          ...lacking.flatMap((right) =>
            right.columns.map(
              (column) => `not meant: grant ${plain(role)} ${right.verb} ${table}(${column})`,
            ),
          ),
        ],
      ),
      ...tables.map(
        (table): Fault => [
          `grant select on ${table} to ${user} with grant option`,
          `not meant: grant user SELECT WITH GRANT OPTION ${table}`,
        ],
      ),
    ])
  })

  it('in a grant of a schema, the database, the journal, a setting, the catalogue, or what is yet to be made', async () => {
    await expectFound(
      'grants',
      [server, user, agent, 'public'].flatMap((role): Fault[] => [
        [`grant create on schema public to ${role}`, `not meant: grant ${plain(role)} CREATE schema public`],
        [`grant create on schema ctx to ${role}`, `not meant: grant ${plain(role)} CREATE schema ctx`],
        [
          `grant temporary on database ${name} to ${role}`,
          `not meant: grant ${plain(role)} TEMPORARY database`,
        ],
        [
          `grant update on drizzle.migrations to ${role}`,
          `not meant: grant ${plain(role)} UPDATE drizzle.migrations`,
        ],
      ]),
    )
    await expectFound(
      'grantsElsewhere',
      [server, user, agent, 'public'].flatMap((role): Fault[] => [
        [
          `grant set on parameter session_replication_role to ${role}`,
          `grant ${plain(role)} SET parameter session_replication_role`,
        ],
        [`grant select on pg_authid to ${role}`, `grant ${plain(role)} SELECT pg_authid`],
        [
          `grant select (stavalues1) on pg_statistic to ${role}`,
          `grant ${plain(role)} SELECT pg_statistic(stavalues1)`,
        ],
        ...[owner, context].map(
          (maker): Fault => [
            `alter default privileges for role ${maker} grant truncate on tables to ${role}`,
            `default privilege of ${plain(role)}: TRUNCATE`,
          ],
        ),
      ]),
    )
  })

  it('in a key: gone, without user_id, not enforced', async () => {
    const composite = keys
      .filter(({ definition }) => withoutOwner(definition) !== definition)
      .map(({ key, of, definition }) => {
        const narrow = withoutOwner(definition)
        const [, target, columns] = / REFERENCES (\w+)(\(.*?\))/.exec(narrow) ?? []
        const referable = target ? `alter table ${target} add constraint planted unique ${columns};` : ''
        return { key, of, narrow, planted: `${referable} ${replaced(key, of, narrow)}` }
      })
    expect(composite.length).toBeGreaterThan(2 * tables.length)
    await expectFound('keys', [
      ...keys.map(
        ({ key, of }): Fault => [
          `alter table ${of} drop constraint ${key} cascade`,
          `missing: key ${key} of ${of}`,
        ],
      ),
      ...composite.map(
        ({ key, of, narrow, planted }): Fault => [
          planted,
          `missing: key ${key} of ${of}`,
          `not meant: key ${key} of ${of}: ${narrow}`,
        ],
      ),
      ...keys
        .filter(({ kind }) => kind === 'f')
        .map(
          ({ key, of, definition }): Fault => [
            replaced(key, of, `${definition} not valid`),
            `not meant: key ${key} of ${of}: ${definition} NOT VALID`,
          ],
        ),
    ])
    await expectFound(
      'owners',
      composite.map(({ key, of, planted }) => [planted, `${key} of ${of} not led by user_id`]),
    )
  })

  it('in a unique index, and in a row that need not have an owner', async () => {
    const indexes = await rowsOf<{ index: string; of: string; definition: string }>(
      `select i.indexrelid::regclass::text as index, i.indrelid::regclass::text as of, pg_get_indexdef(i.indexrelid) as definition from pg_index i
        where i.indrelid::regclass::text = any($1) and i.indisunique and not exists (select from pg_constraint where conindid = i.indexrelid)`,
      [tables],
    )
    await expectFound(
      'keys',
      indexes.flatMap(({ index, of, definition }): Fault[] => [
        [`drop index ${index}`, `missing: key ${index} of ${of}`],
        [
          `drop index ${index}; ${withoutOwner(definition)}`,
          `not meant: key ${index} of ${of}: ${withoutOwner(definition)}`,
        ],
        [`drop index ${index}; ${definition.replace('UNIQUE ', '')}`, `missing: key ${index} of ${of}`],
      ]),
    )
    await expectFound(
      'owners',
      keys
        .filter(({ kind, definition }) => kind === 'p' && definition.includes('(user_id'))
        .map(({ key, of }) => [
          `alter table ${of} drop constraint ${key} cascade; alter table ${of} alter user_id drop not null`,
          `not meant: table ${of} without user_id`,
        ]),
    )
  })

  it('in an index that does not begin with the owner, be it whose it may', () =>
    expectFound('owners', [
      ['create index planted on user_devices (hostname)', 'index planted of user_devices not led by user_id'],
      [
        'create index planted on user_devices (lower(hostname), user_id)',
        'index planted of user_devices not led by user_id',
      ],
      ['create index planted on users (full_name)', 'index planted of users not led by id'],
    ]))

  it('in a look-up table that is led by another column, bound to an account, or open to a login', () =>
    expectFound('owners', [
      ['create index planted on user_emails (user_id)', 'index planted of user_emails not led by email'],
      [
        'create index planted on user_identities (subject)',
        'index planted of user_identities not led by provider',
      ],
      [
        'delete from user_emails; alter table user_emails add constraint planted foreign key (user_id) references users (id)',
        'key planted of the look-up table user_emails',
      ],
      [`grant select on user_emails to ${roles.auth}`, 'grant on the look-up table user_emails to auth'],
      [
        `grant select (subject) on user_identities to ${roles.admin}`,
        'grant on the look-up table user_identities to admin',
      ],
    ]))

  it('in what acts by itself, or no longer does', async () => {
    await expectFound('reactions', [
      ...keys
        .filter(({ kind }) => kind === 'f')
        .flatMap(({ key, of, definition }): Fault[] => [
          [
            replaced(key, of, definition.replace(/ ON DELETE .*|$/, ' ON DELETE SET NULL')),
            `key ${key} of ${of} that does other`,
          ],
          [`alter table ${of} disable trigger all`, ` of ${of} switched off`],
        ]),
      ...tables.flatMap((table): Fault[] => [
        [
          `create trigger planted before update on ${table} for each row execute function suppress_redundant_updates_trigger()`,
          `trigger planted of ${table}`,
        ],
        [`create rule planted as on delete to ${table} do instead nothing`, `rule planted of ${table}`],
      ]),
    ])
    await expectFound(
      'reactions',
      // Unlogged tables cannot be published.
      tables
        .filter((table) => !['rate_counters', 'sign_in_attempts'].includes(table))
        .map((table): Fault => [`create publication planted for table ${table}`, 'publication planted']),
      warning,
    )
  })

  it('in a condition that carries security', async () => {
    const conditions = await rowsOf<{ condition: string; of: string }>(
      `select conname as condition, conrelid::regclass::text as of from pg_constraint where contype = 'c' and conname = any($1)`,
      [Object.keys(SECURITY_CONDITIONS)],
    )
    await expectFound(
      'conditions',
      conditions.flatMap(({ condition, of }): Fault[] => [
        [`alter table ${of} drop constraint ${condition}`, `missing: condition ${condition}`],
        [replaced(condition, of, 'check (true)'), `not meant: condition ${condition}: CHECK (true)`],
      ]),
    )
  })

  it('in a role: what it may, what it owns, and what its logins begin with', async () => {
    const attributes = await rowsOf<{ role: string; attribute: string }>(
      `select rolname as role, attribute from pg_roles, lateral (values ('login', rolcanlogin), ('superuser', rolsuper), ('bypassrls', rolbypassrls),
        ('inherit', rolinherit), ('createrole', rolcreaterole), ('createdb', rolcreatedb), ('replication', rolreplication)) a (attribute, has)
        where rolname = any($1) and not has`,
      [everybody],
    )
    await expectFound('roles', [
      ...attributes.map(
        ({ role, attribute }): Fault => [
          `alter role ${role} ${attribute}`,
          `not meant: role ${plain(role)}`,
          ` ${attribute}`,
        ],
      ),
      ...[server, user, agent].map(
        (role): Fault => [
          `alter database ${name} owner to ${role}`,
          `not meant: ${plain(role)} owns pg_database`,
        ],
      ),
    ])
    const settings = await rowsOf<{ role: string; setting: string }>(
      `select setrole::regrole::text as role, split_part(unnest(setconfig), '=', 1) as setting
        from pg_db_role_setting where setrole::regrole::text = any($1)`,
      [everybody],
    )
    await expectFound(
      'settings',
      settings.flatMap(({ role, setting }): Fault[] => [
        [`alter role ${role} reset ${setting}`, `missing: setting ${plain(role)} ${setting}`],
        [`alter role ${role} set ${setting} to 0`, `not meant: setting ${plain(role)} ${setting}=0`],
      ]),
      warning,
    )
    await expectFound('settings', [
      [
        `alter role ${server} set session_replication_role to replica`,
        'not meant: setting server session_replication_role=replica',
      ],
      [
        `alter role ${server} in database ${name} set role to ${user}`,
        `not meant: setting server role=${user}`,
      ],
      [
        `alter database ${name} set search_path to pg_temp`,
        'not meant: setting everybody search_path=pg_temp',
      ],
    ])
  })

  it('in a membership: of any role in another, of PostgreSQL’s own roles, passed on, inherited', async () => {
    const pairs = await rowsOf<{ member: string; role: string }>(
      `select m.rolname as member, r.rolname as role from pg_roles m, pg_roles r
        where m.rolname = any($1) and (r.rolname = any($1) or r.rolname in ('pg_read_all_data', 'pg_write_all_data', 'pg_execute_server_program'))
          and not pg_has_role(r.oid, m.oid, 'member') and not pg_has_role(m.oid, r.oid, 'member')`,
      [everybody],
    )
    expect(pairs).toContainEqual({ member: server, role: owner })
    const [is16] = await rowsOf(`select where current_setting('server_version_num')::int >= 160000`)
    await expectFound('memberships', [
      ...pairs.map(
        ({ member, role }): Fault => [
          `grant ${role} to ${member}`,
          `not meant: ${plain(member)} may become ${plain(role)}`,
        ],
      ),
      [`grant ${user} to ${server} with admin option`, 'not meant: server may become user and let others'],
      [
        is16 ? `grant ${user} to ${server} with inherit true` : `alter role ${server} inherit`,
        'not meant: server may become user, inherited',
      ],
    ])
  })

  it('in a function: its volatility, rights, path and owner, who may execute it, and one that is new', async () => {
    const functions = await rowsOf<{ signature: string; lacking: string[] }>(
      `select p.oid::regprocedure::text as signature, array_agg(role) as lacking from pg_proc p, unnest($1::text[]) role
        where p.pronamespace = 'ctx'::regnamespace and not has_function_privilege(role, p.oid, 'execute') group by 1`,
      [everybody],
    )
    await expectFound('functions', [
      ...functions.flatMap(({ signature, lacking }): Fault[] => [
        [`drop function ${signature} cascade`, `missing: function ${signature}`],
        [`alter function ${signature} immutable`, `not meant: function ${signature} IMMUTABLE`],
        [`alter function ${signature} leakproof`, `not meant: function ${signature}`, ', LEAKPROOF'],
        [`alter function ${signature} security invoker`, `not meant: function ${signature}`, ', INVOKER'],
        [`alter function ${signature} reset search_path`, `not meant: function ${signature}`],
        [
          `alter function ${signature} set search_path to public`,
          `not meant: function ${signature}`,
          'search_path=public',
        ],
        [
          `alter function ${signature} owner to ${owner}`,
          `not meant: function ${signature}`,
          ', definer owner',
        ],
        ...lacking.map(
          (role): Fault => [
            `grant execute on function ${signature} to ${role}`,
            `not meant: function ${signature}`,
            plain(role),
          ],
        ),
      ]),
      [
        'create function ctx.planted() returns int return 1',
        'not meant: function ctx.planted() volatile for PUBLIC, INVOKER',
      ],
      [
        'create function planted() returns int return 1',
        'not meant: function planted() volatile for PUBLIC, INVOKER',
      ],
    ])
  })

  it('in the fence: each built-in function that is not everybody’s, and PL/pgSQL', async () => {
    const fenced = await rowsOf<{ signature: string; lacking: string[]; wasOpen: boolean }>(
      `select p.oid::regprocedure::text as signature, array_agg(role) as lacking,
          not exists (select from pg_init_privs i where i.objoid = p.oid and i.classoid = 'pg_proc'::regclass) as "wasOpen" from pg_proc p, unnest($1::text[]) role
        where p.pronamespace = 'pg_catalog'::regnamespace and not has_function_privilege('public', p.oid, 'execute')
          and not has_function_privilege(role, p.oid, 'execute') group by p.oid`,
      [everybody],
    )
    const taken = fenced.filter(({ wasOpen }) => wasOpen)
    const names = taken.map(({ signature }) =>
      signature.replace(/\(.*/, '').replace(/^(lo_|pg_sleep|pg_stat_get_xact_|pg_(try_)?advisory).*/, '$1*'),
    )
    expect([...new Set(names)].filter((each) => !/_to_xml/.test(each)).sort()).toEqual(FENCED_NAMES)
    expect(names).toContain('query_to_xml')
    await expectFound('fence', [
      ...fenced.map(
        ({ signature, lacking }): Fault => [
          `grant execute on function ${signature} to ${lacking}`,
          ...lacking.map((role) => `not meant: fence: ${plain(role)} ${signature}`),
        ],
      ),
      ...[server, user, agent].map(
        (role): Fault => [
          `grant usage on language plpgsql to ${role}`,
          `not meant: fence: ${plain(role)} plpgsql`,
        ],
      ),
      [
        `grant execute on function pg_read_file(text) to public`,
        'not meant: fence: PUBLIC pg_read_file(text)',
      ],
    ])
    // As where there is no superuser: it is told, and the seal holds without it.
    await expectFound(
      'fence',
      [
        ...taken.map(
          ({ signature }): Fault => [
            `grant execute on function ${signature} to public`,
            `not meant: fence: PUBLIC ${signature}`,
          ],
        ),
        ['grant usage on language plpgsql to public', 'not meant: fence: PUBLIC plpgsql'],
        [
          `revoke execute on function set_config(text, text, boolean) from ${roles.backup}`,
          'missing: fence: backup set_config',
        ],
      ],
      warning,
    )
  })

  it('in what PostgreSQL runs before a policy: any built-in function, one of ours, one of an operator', async () => {
    const comparisons = await rowsOf<{ signature: string }>(
      `select distinct o.oprcode::regprocedure::text as signature from pg_operator o join pg_amop a on a.amopopr = o.oid where o.oprcode <> 'uuid_eq'::regproc`,
    )
    const leakproof: Fault[] = [
      ...comparisons.map(({ signature }) => signature),
      'textlike(text,text)',
      'ctx.uid()',
    ].map((signature) => [`alter function ${signature} leakproof`, `not meant: leakproof: ${signature}`])
    expect(leakproof.length).toBeGreaterThan(300)
    await expectFound('leakproof', leakproof)
    // As where there is no superuser: nothing of the fence can be had.
    await expectFound(
      'leakproof',
      [
        [
          `grant execute on function set_config to public; alter function texteq leakproof`,
          'not meant: leakproof: texteq(text,text)',
        ],
        ['alter function uuid_eq not leakproof', 'missing: leakproof: uuid_eq(uuid,uuid)'],
      ],
      warning,
    )
  })

  it('in the body of an identity function, and in the seal that it verifies', async () => {
    const functions = await rowsOf<{ name: string; definition: string }>(
      `select concat('ctx.', proname) as name, pg_get_functiondef(oid) as definition from pg_proc where pronamespace = 'ctx'::regnamespace`,
    )
    await expectFound(
      'bodies',
      functions.map(({ name, definition }) => [
        definition.replace(/\bbegin\b/, '-- planted\nbegin'),
        `not meant: the body of ${name}`,
      ]),
    )
    const [identity] = functions.filter(({ name: of }) => of === 'ctx.identity')
    await expectFound('seal', [
      ['truncate ctx.seal_key', 'query returned no rows'],
      [identity?.definition.replace(/if cardinality[\s\S]*?end if;/, '') ?? '', 'no refusal'],
    ])
  })
})

describe('what an operator has beside NetPilot', () => {
  const stranger = `${prefix}${prefix}user`
  const schema = 'create schema planted; '
  const open = `${schema} grant usage on schema planted to public; `

  it('only warns: a schema, a role that may come in, an extension, a bound that was tuned', async () => {
    await expectFound(
      'relations',
      [
        [
          `${schema} create table planted.kept ()`,
          'not meant: schema planted',
          'not meant: table planted.kept',
        ],
      ],
      warning,
    )
    await expectFound(
      'grants',
      [
        [
          `create role ${stranger}; grant connect on database ${name} to ${stranger}`,
          `not meant: grant "${stranger}" CONNECT database`,
        ],
        [
          `create role ${stranger}; grant usage on schema public to ${stranger}`,
          `not meant: grant "${stranger}" USAGE schema public`,
        ],
        [
          `${schema} create view planted.seen as table user_devices; grant select on planted.seen to public`,
          'grant PUBLIC SELECT planted.seen',
        ],
        [open, 'not meant: grant PUBLIC USAGE schema planted'],
        ['grant usage on schema ctx to public', 'not meant: grant PUBLIC USAGE schema ctx'],
        [`grant connect on database ${name} to public`, 'not meant: grant PUBLIC CONNECT database'],
      ],
      warning,
    )
    await expectFound(
      'functions',
      [
        [`${open} create function planted.kept() returns int return 1`, 'not meant: function planted.kept()'],
        [
          `${schema} create function planted.kept() returns int security definer return 1`,
          'not meant: function planted.kept()',
        ],
      ],
      warning,
    )
    await expectFound(
      'extensions',
      [['create extension pg_stat_statements', 'not meant: extension pg_stat_statements']],
      warning,
    )
    await expectFound(
      'otherDatabases',
      [server, roles.admin, roles.backup, roles.migrator, 'public'].map((role) => [
        `grant connect on database ${elsewhere} to ${role}`,
        `${role === 'public' ? 'admin, auth, backup, migrator, monitor, server' : plain(role)} may connect to the database ${elsewhere}`,
      ]),
      warning,
    )
    await expectFound(
      'settings',
      [[`alter database ${name} set work_mem to '8MB'`, 'not meant: setting everybody work_mem=8MB']],
      warning,
    )
    await expectFound(
      'grantsElsewhere',
      [
        [
          `alter default privileges grant select on tables to ${user}`,
          'not meant: default privilege of user: SELECT',
        ],
      ],
      warning,
    )
  })

  it('is not looked into where an extension brought it, and is nothing where it administers the roles', async () => {
    const quiet = [
      'create extension pg_stat_statements',
      `create role ${stranger} createrole; grant ${owner} to ${stranger} with admin option`,
      `alter schema public owner to ${(await rowsOf<{ me: string }>('select current_user as me'))[0]?.me}`,
    ]
    for (const statements of quiet) {
      await admin.query(`begin; ${statements}`)
      for (const check of ['relations', 'grants', 'functions', 'memberships'] as const)
        expect((await CHECKS[check].check(admin, roles)).findings, `${statements}: ${check}`).toEqual([])
      await admin.query('rollback')
    }
  })

  it('refuses the start where it reaches people’s rows, or requests reach it', async () => {
    await expectFound('grants', [
      [
        `create role ${stranger}; grant select on user_devices to ${stranger}`,
        `not meant: grant "${stranger}" SELECT user_devices`,
      ],
      [
        `create role ${stranger}; grant create on schema public to ${stranger}`,
        `not meant: grant "${stranger}" CREATE schema public`,
      ],
      [
        `${open} create view planted.seen as table user_devices; grant select on planted.seen to public`,
        'grant PUBLIC SELECT planted.seen',
      ],
      [`${open} grant create on schema planted to public`, 'not meant: grant PUBLIC CREATE schema planted'],
    ])
    await expectFound('functions', [
      [
        `${open} create function planted.kept() returns int security definer return 1`,
        'not meant: function planted.kept()',
      ],
    ])
    await expectFound('memberships', [
      [`create role ${stranger}; grant ${owner} to ${stranger}`, `not meant: "${stranger}" may become owner`],
    ])
    await expectFound('relations', [
      [
        `${schema} create table planted.kept (); alter table planted.kept owner to ${user}`,
        'table planted.kept of user',
      ],
    ])
  })
})

describe('the database, once every fault was taken back', () => {
  it('has no findings', async () => {
    const sections = await checkDatabase(admin, await readMigrations(), roles)
    expect(sections.map(({ name }) => name)).toEqual([
      'version',
      'clock',
      'migrations',
      ...Object.keys(CHECKS),
    ])
    const found = sections.filter(({ findings }) => findings.length > 0).map(({ name }) => name)
    expect(found).toEqual(inject('hasOpenNeighbours') ? ['otherDatabases'] : [])
  })
})
