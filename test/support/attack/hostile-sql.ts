/**
 * Arbitrary SQL that an attacker can try once the identity is set, on a raw connection. After each attempt
 * the attacker must have read and changed no row of another person (`hostile-attacks.ts`), whatever the
 * database answers. Each entry has the answer, so that it shows which fence works, and what only the guarded
 * client (`src/rls/guarded-client.ts`) refuses to a request.
 */
import type { Ground } from './attack-database.ts'

/**
 * SQLSTATE of the last step as user (/ as agent if it differs), or 'runs'; why; and any number of attempts.
 * Each attempt is a statement, or several steps; a refused step is undone before the next.
 */
type Row = [answer: string, why: string, ...attempts: (string | string[])[]]
export type Hostile = { group: string; answer: string; why: string; steps: string[] }

/**
 * Groups that are rolled back: they would harm all people or end the attack, and reveal no rows of others.
 */
export const UNDONE = ['harm without a gain']

export function hostileSql(ground: Ground): Hostile[] {
  return Object.entries(groupsOf(ground)).flatMap(([group, rows]) =>
    rows.flatMap(([answer, why, ...attempts]) =>
      attempts.map((steps) => ({ group, answer, why, steps: [steps].flat() })),
    ),
  )
}

function groupsOf({ roles, ada, bob, superuser }: Ground): Record<string, Row[]> {
  const { server, user, agent, auth, admin, owner, context } = roles
  const siblings = Object.values(roles).filter((name) => ![server, user, agent].includes(name))
  const predefined = [
    'pg_read_all_data',
    'pg_write_all_data',
    'pg_read_server_files',
    'pg_execute_server_program',
    'pg_signal_backend',
  ]
  const others = [...siblings, ...predefined, String(superuser.user)]
  const sha256 = `'\\x${ada.sha256.toString('hex')}'`
  const guess = `'\\x${'00'.repeat(32)}'`
  /** As the login, and without an identity. */
  const begin = (call: string) => ['reset role', 'reset app.current_user_id', `select ctx.${call}`]
  const asLogin = (statement: string) => ['reset role', statement]

  return {
    'another role': [
      [
        '42501',
        'the server is a member of user and agent only, and only a superuser changes who has logged in',
        ...others.flatMap((name) => [
          `set local role "${name}"`,
          `set role "${name}"`,
          `set session authorization "${name}"`,
        ]),
      ],
      [
        '42501',
        'settings by function or by view, also in one statement that was planned before: behind the fence',
        ...siblings.map((name) => `select set_config('role', '${name}', true)`),
        `select * from user_devices where set_config('role', '${agent}', true) is not null`,
        `update pg_settings set setting = '${agent}' where name = 'role'`,
        `update pg_settings set setting = 'x' where name = 'application_name'`,
      ],
      [
        'runs',
        'the policies of the other role ask for an identity of its kind',
        `set local role ${agent}`,
        `set local role ${user}`,
        `set role ${user}`,
      ],
      [
        'runs',
        'the login itself holds nothing',
        'reset role',
        'set role none',
        'reset session authorization',
        'set session authorization default',
      ],
      [
        '42501',
        'roles are given by who administers them',
        `grant ${auth} to ${server}`,
        asLogin(`grant ${owner} to ${server}`),
        `drop role ${agent}`,
      ],
      [
        '42501',
        'attributes are a superuser’s to give',
        ...['bypassrls', 'superuser', 'login'].map((attribute) => `alter role ${user} ${attribute}`),
      ],
      [
        '42501',
        'nor is anything of another login within reach',
        'create role hostile in role pg_read_all_data',
        `alter role ${auth} password 'known'`,
        `alter role ${admin} set role = ${owner}`,
      ],
    ],
    'another identity': [
      [
        'runs',
        'a forgery raises in every policy; forgeries.ts has the rest',
        `set local app.current_user_id = 'user|${bob.userId}'`,
        `set app.current_user_id = 'user|${bob.userId}'`,
      ],
      [
        'runs',
        'nobody owns nothing',
        `set local app.current_user_id = ''`,
        'reset app.current_user_id',
        'set local app.current_user_id to default',
        'reset all',
        'discard plans',
      ],
      ['25001', 'not within a transaction', 'discard all'],
      ['42501', 'behind the fence', `select set_config('app.current_user_id', 'user|${bob.userId}', true)`],
      ['NP403', 'set once', asLogin(`select ctx.begin_context('${ada.userId}', '${ada.sessionId}')`)],
      [
        'NP401',
        'set again, with a proof of another, with guesses, and with nothing',
        begin(`begin_context('${bob.userId}', '${ada.sessionId}')`),
        begin(`begin_context('${bob.userId}', '${bob.userId}')`),
        begin(`begin_context('${bob.userId}', null)`),
        begin(`begin_agent_context('${bob.userId}', '${ada.keyId}', ${sha256})`),
        begin(`begin_agent_context('${bob.userId}', '${bob.keyId}', ${sha256})`),
        begin(`begin_agent_context('${bob.userId}', '${bob.keyId}', ${guess})`),
        begin(`begin_agent_context('${ada.userId}', '${ada.personalKeyId}', ${sha256})`),
        begin(`begin_key_context('${bob.userId}', '${bob.personalKeyId}', ${guess}, 'devices:read')`),
        begin(`begin_key_context('${bob.userId}', null, null, 'devices:read')`),
      ],
      [
        'NPSCP',
        'with a scope that the key lacks',
        begin(`begin_key_context('${ada.userId}', '${ada.personalKeyId}', ${sha256}, null)`),
      ],
      [
        '42501',
        'what proves and seals is not for the role that a session assumes, and its inside for no login at all',
        `select ctx.begin_context('${ada.userId}', '${ada.sessionId}')`,
        begin(`begin_admin_context('${ada.userId}', '${ada.sessionId}')`),
        `select ctx.assume('user', '${bob.userId}', 'admin', null, '{}', '${bob.userId}')`,
        `select ctx.mac('user|${bob.userId}|admin||||0')`,
        begin(`mac('user|${bob.userId}|admin||||0')`),
        'select ctx.identity()',
        'select * from ctx.seal_key',
        asLogin('table ctx.seal_key'),
        'select * from user_login_sessions',
      ],
    ],
    'savepoints and the end of the transaction': [
      [
        'runs',
        'R19: a released savepoint keeps what was set in it, one that is rolled back restores it',
        ['savepoint s', `set local app.current_user_id = 'user|${bob.userId}'`, 'release s'],
        ['savepoint s', 'reset app.current_user_id', 'rollback to s'],
        ['savepoint s', 'reset role', 'rollback to s'],
      ],
      [
        'NP403',
        'set once also beside a savepoint',
        ['savepoint s', ...asLogin(`select ctx.begin_context('${ada.userId}', '${ada.sessionId}')`)],
      ],
      [
        'runs',
        'the identity ends with its transaction',
        'commit and chain',
        'rollback and chain',
        'commit',
        ['commit', 'begin', `set local role ${user}`],
        'begin',
      ],
      ['42501', 'and the login holds nothing', ['rollback', 'select * from user_devices']],
      ['55000', 'no transaction is kept for later', `prepare transaction 'hostile'`],
      ['25001', 'the transaction has begun', 'set transaction isolation level serializable'],
      ['42501', 'behind the fence', 'select pg_export_snapshot()'],
      [
        '22023',
        'no snapshot of another',
        ['rollback', `begin isolation level repeatable read; set transaction snapshot 'hostile'`],
      ],
    ],
    'functions that run SQL': [
      [
        '42501',
        'behind the fence',
        `select query_to_xml('select * from user_devices', true, true, '')`,
        `select query_to_xml('set role ${agent}', true, true, '')`,
        `select query_to_xml_and_xmlschema('table users', true, true, '')`,
        `select query_to_xmlschema('table users', true, true, '')`,
        `select table_to_xml('user_devices', true, true, '')`,
        `select schema_to_xml('public', true, true, '')`,
        `select database_to_xml(true, true, '')`,
        ['declare c cursor for table user_devices', `select cursor_to_xml('c', 9, true, true, '')`],
        `select * from ts_stat('select to_tsvector(email) from users')`,
        `select ts_rewrite('a'::tsquery, 'select ''a''::tsquery, ''b''::tsquery')`,
      ],
      [
        '42501',
        'PL/pgSQL is its owners’',
        'do $$ begin perform 1; end $$',
        `do $$ begin execute 'set local role ${auth}'; end $$`,
        'create function pg_temp.hostile() returns void language plpgsql as $$ begin end $$',
      ],
    ],
    'objects of one’s own': [
      [
        '42501',
        'no schema takes any, the temporary one neither',
        'create schema hostile',
        'create table hostile as table user_devices',
        'select * into hostile from user_devices',
        'select * into temp hostile from user_devices',
        'create temp table hostile ()',
        'create temp view hostile as table users',
        'create view hostile as table user_devices',
        'create materialized view hostile as table user_devices',
        'create function hostile() returns int language sql as $$ select 1 $$',
        'create function pg_temp.hostile() returns int language sql as $$ select 1 $$',
        'create operator = (function = uuid_ne, leftarg = uuid, rightarg = uuid)',
        'create type hostile as enum ()',
        'create domain hostile as text',
      ],
      [
        '42501',
        'what reaches further is a superuser’s',
        'create extension dblink',
        'create foreign data wrapper hostile',
        'create publication hostile for all tables',
        `create subscription hostile connection 'dbname=x' publication x with (connect = false)`,
        'create event trigger hostile on ddl_command_start execute function ctx.uid()',
        'create language hostile handler plpgsql_call_handler',
        ['rollback', 'create database hostile'],
      ],
    ],
    'the objects of others': [
      [
        '42501',
        'owners only',
        'alter table user_devices disable row level security',
        'alter table user_devices no force row level security',
        `alter table user_devices owner to ${user}`,
        'alter policy user_devices_user on user_devices using (true)',
        'drop policy user_devices_user on user_devices',
        `create policy hostile on user_devices to ${user} using (true)`,
        'alter table user_devices add column hostile text',
        'alter table user_devices drop constraint user_devices_router_fk',
        'create index hostile on user_devices (router_id)',
        'create rule hostile as on delete to user_settings do instead nothing',
        'create trigger hostile before insert on user_devices for each row execute function suppress_redundant_updates_trigger()',
        'create statistics hostile on user_id, id from user_devices',
        'create table hostile () inherits (user_devices)',
        'drop table user_devices',
        'truncate user_devices',
        'alter function ctx.uid() immutable',
        'alter function ctx.uid() security invoker',
        'create or replace function ctx.uid() returns uuid language sql as $$ select null::uuid $$',
        'alter table ctx.seal_key disable row level security',
        'comment on table user_devices is null',
        `grant select on user_login_sessions to ${user}`,
        `reassign owned by ${owner} to ${user}`,
        `drop owned by ${context}`,
        'alter database template1 is_template false',
        ['rollback', 'alter system set row_security = off'],
      ],
      [
        'runs',
        'a warning, and nothing else',
        `grant select on user_devices to ${auth}`,
        'analyze user_devices',
      ],
    ],
    settings: [
      ['runs', 'row security does not go; statements that it binds fail', 'set local row_security = off'],
      [
        '42501',
        'a superuser’s',
        'set local session_replication_role = replica',
        'set local allow_system_table_mods = on',
        `set local dynamic_library_path = '/tmp'`,
        `set local log_statement = 'all'`,
        'set local "plpgsql.variable_conflict" = use_column',
        `load '/tmp/hostile'`,
        'select * from pg_file_settings',
        'select * from pg_hba_file_rules',
      ],
      [
        'runs',
        'R27: the functions of policies have a path of their own, and policies no names to look up',
        'set local search_path = pg_temp, public',
        'set local search_path = hostile, pg_catalog, public',
        'set search_path = hostile',
      ],
      [
        'runs',
        'how things are written and planned changes neither the seal nor the policy',
        'set local standard_conforming_strings = off',
        [
          `set local datestyle = 'SQL, DMY'`,
          `set local intervalstyle = 'sql_standard'`,
          `set local bytea_output = 'escape'`,
          'set local extra_float_digits = -15',
        ],
        `set local timezone = 'Pacific/Kiritimati'`,
        'set local transform_null_equals = on',
        'set local plan_cache_mode = force_generic_plan',
        [
          'set local parallel_setup_cost = 0',
          'set local parallel_tuple_cost = 0',
          'set local min_parallel_table_scan_size = 0',
        ],
        [
          'set local enable_seqscan = off',
          'set local enable_indexscan = off',
          'set local enable_bitmapscan = off',
        ],
        'set default_transaction_isolation = serializable',
      ],
      ['runs', 'time without end, for the attacker’s own connection', 'set local statement_timeout = 0'],
    ],
    'files and the network': [
      [
        '42501',
        'a superuser’s',
        `select pg_read_file('/etc/passwd')`,
        `select pg_read_binary_file('/etc/passwd')`,
        `select pg_ls_dir('.')`,
        `select pg_stat_file('PG_VERSION')`,
        'select pg_ls_waldir()',
        `copy user_devices to '/tmp/hostile'`,
        `copy user_devices from '/etc/passwd'`,
        `copy (select 1) to program 'id'`,
        `copy user_devices from program 'id'`,
        `select lo_import('/etc/passwd')`,
        `select lo_export(1, '/tmp/hostile')`,
        `select pg_create_logical_replication_slot('hostile', 'test_decoding')`,
      ],
      [
        '42501',
        'large objects, and a log that replicas read: behind the fence',
        'select lo_creat(-1)',
        `select lo_from_bytea(0, 'hostile')`,
        'select lo_get(1)',
        'select lo_open(1, 262144)',
        'select loread(0, 9)',
        `select pg_logical_emit_message(true, 'hostile', 'x')`,
      ],
      ['42883', 'is not installed', `select dblink('dbname=x', 'select 1')`],
    ],
    'watching others': [
      [
        'runs',
        'R32: statements of others, of which the login sees those of its own connections, hold parameters and no values',
        'select query from pg_stat_activity',
        asLogin('select query from pg_stat_activity'),
        asLogin('select * from pg_stat_get_activity(null)'),
        'select * from pg_prepared_statements',
        'select * from pg_cursors',
      ],
      [
        'runs',
        'R30: statistics of tables with row security are hidden',
        `select * from pg_stats where schemaname = 'public'`,
        'select * from pg_stats_ext',
      ],
      [
        'runs',
        'R30 R31: volume, of all people together, and who waits for whom',
        'select relname, n_live_tup, n_tup_upd from pg_stat_user_tables',
        'select * from pg_locks',
        'explain (analyze, verbose) select * from user_devices',
        `explain analyze select * from user_devices where user_id = '${bob.userId}'`,
      ],
      [
        '42501',
        'a superuser’s',
        ...['pg_statistic', 'pg_authid', 'pg_shadow', 'pg_backend_memory_contexts'].map(
          (name) => `select * from ${name}`,
        ),
      ],
      [
        '42501',
        'what tells of hidden rows, reaches other connections or outlives the transaction: behind the fence',
        `select currtid2('public.user_devices', '(0,1)')`,
        `select pg_notify('netpilot_policy', '${bob.routerId}')`,
        'select pg_advisory_lock(1)',
        'select pg_try_advisory_xact_lock_shared(1)',
        'select pg_sleep(1)',
        'select setseed(0.5)',
        asLogin('select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()'),
        asLogin('select pg_cancel_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()'),
      ],
    ],
    'what is left on the connection': [
      [
        'runs',
        'a cursor holds what its maker could see',
        'declare c cursor with hold for select * from user_devices',
      ],
      [
        'runs',
        'a statement asks anew for each identity',
        ['set plan_cache_mode = force_generic_plan', 'prepare s as select * from user_devices', 'execute s'],
      ],
      [
        'runs',
        'R33: anybody who can log in may listen and notify, but not through the facade',
        'listen netpilot_policy',
        `notify netpilot_policy, 'hostile'`,
      ],
      ['runs', 'statements of the driver’s, taken away', 'deallocate all'],
    ],
    'copies and locks': [
      [
        'runs',
        'R28: filtered',
        'copy user_devices to stdout',
        'copy (select * from user_devices for update) to stdout',
      ],
      ['0A000/42501', 'R28: not under row security', 'copy user_devices from stdin'],
      [
        'runs/42501',
        'reads nothing, and waits two seconds at most',
        'lock table user_devices in row share mode nowait',
      ],
    ],
    'harm without a gain': [
      [
        'runs',
        'R37: its own password and settings, with which it can do what it can do',
        asLogin(`alter role ${server} password 'known'`),
        asLogin(`alter role ${server} set search_path = hostile`),
      ],
      [
        '42501',
        'R37: but no identity to begin with',
        asLogin(`alter role ${server} set app.current_user_id = 'user|${bob.userId}'`),
      ],
      ['42501', 'its own rights, in the account’s columns among others', `drop owned by ${user}`],
      [
        'runs',
        'the same, and rights on what it will never make',
        asLogin(`drop owned by ${server}`),
        'alter default privileges grant select on tables to public',
      ],
      [
        'runs/42501',
        'nobody else gets in until it ends',
        'lock table user_devices in access exclusive mode nowait',
      ],
    ],
  }
}
