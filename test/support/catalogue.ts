/**
 * What the database's catalogue must say for isolation to hold, as lists to be read and argued with, and what differs from them. A difference
 * in either direction is a finding: a policy that is gone as much as a grant that came. `test/planted-faults.test.ts` shows that each bites.
 */
import type pg from 'pg'
import type { RoleName } from '../../src/database/role-names.ts'

/** Readable lines, each naming what is missing or too much; empty when all is well. Role names come without their prefix. */
export type Check = (client: pg.ClientBase, roles: Record<RoleName, string>) => Promise<string[]>
type Rights = Record<string, Partial<Record<RoleName, string>>>

/** What each role may do, by table. Everything that is not here is nobody's but the owner's. */
export const GRANTS: Rights = {
  oui_prefixes: { user: 'SELECT', agent: 'SELECT' },
  rate_counters: { auth: 'DELETE INSERT SELECT UPDATE', context: 'DELETE' },
  sign_in_attempts: { auth: 'DELETE INSERT SELECT UPDATE', context: 'DELETE' },
  user_api_keys: { auth: 'INSERT SELECT UPDATE' },
  user_audit_heads: { context: 'DELETE INSERT SELECT UPDATE' },
  user_audit_log: { user: 'SELECT', context: 'DELETE INSERT SELECT', admin: 'SELECT' },
  user_blacklists: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_blocked_devices: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_credentials: { auth: 'DELETE INSERT SELECT UPDATE' },
  user_device_groups: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_device_interfaces: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_device_merges: { user: 'DELETE INSERT SELECT UPDATE' },
  user_devices: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_login_sessions: { auth: 'INSERT SELECT UPDATE', context: 'DELETE' },
  user_recovery_codes: { auth: 'DELETE INSERT SELECT UPDATE' },
  user_routers: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_scans: { user: 'SELECT', agent: 'DELETE INSERT SELECT' },
  user_schedule_overrides: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_schedules: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_settings: { user: 'DELETE INSERT SELECT UPDATE' },
  user_tokens: { auth: 'DELETE INSERT SELECT UPDATE', context: 'DELETE' },
  user_whitelists: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  users: { auth: 'DELETE INSERT SELECT UPDATE', user: 'SELECT', admin: 'DELETE' },
}

/** Beyond whole tables, single columns. */
const COLUMN_GRANTS = [
  'admin INSERT user_tokens(email, expires_at, password_version, purpose, token_sha256, user_id)',
  'admin INSERT users(email, full_name, role)',
  'admin SELECT user_credentials(has_password, totp_confirmed_at, user_id)',
  'admin SELECT user_devices(id, merged_into, user_id)',
  'admin SELECT user_login_sessions(address, created_at, device, end_reason, ended_at, expires_at, idle_expires_at, last_used_at, public_id, user_id)',
  'admin SELECT user_routers(id, last_seen, user_id)',
  'admin SELECT users(avatar_url, created_at, email, email_verified_at, full_name, google_id, id, is_active, password_version, role, suspended_at, updated_at)',
  'admin UPDATE user_login_sessions(end_reason, ended_at)',
  'admin UPDATE users(is_active, role, suspended_at, updated_at)',
  'context SELECT rate_counters(window_start)',
  'context SELECT sign_in_attempts(last_failed_at, locked_until)',
  'context SELECT user_tokens(expires_at, user_id)',
  'context UPDATE user_audit_log(address, detail, salt)',
  'context SELECT user_api_keys(expires_at, id, key_id, kind, last_used_at, retires_at, revoked_at, router_id, scopes, secret_sha256, user_id)',
  'context SELECT user_credentials(has_password, user_id)',
  'context SELECT user_login_sessions(ended_at, expires_at, id, idle_expires_at, public_id, user_id)',
  'context SELECT user_routers(id, user_id)',
  'context SELECT users(id, is_active, role)',
  'context UPDATE user_api_keys(last_used_at, revoked_at)',
  'agent INSERT user_device_interfaces(device_id, first_seen, id, ips, mac, router_id, user_id)',
  'agent INSERT user_devices(approval, detected_manufacturer, first_seen, hostname, id, last_seen, router_id, user_id)',
  'agent UPDATE user_device_interfaces(device_id, ips, mac)',
  'agent UPDATE user_devices(detected_manufacturer, hostname, last_seen, merged_into)',
  'agent UPDATE user_routers(agent_error, applied_at, applied_revision, last_seen)',
  'agent UPDATE user_scans(answer)',
  'user UPDATE users(avatar_url, full_name, updated_at)',
]

/** What leads to the tables: the schemas, the migrations' journal, and the database itself. */
const OTHER_GRANTS: Rights = {
  'drizzle.migrations': { context: 'SELECT' },
  'schema ctx': { owner: 'USAGE', server: 'USAGE', auth: 'USAGE', user: 'USAGE', agent: 'USAGE', admin: 'USAGE' },
  'schema drizzle': { context: 'USAGE' },
  'schema public': {
    owner: 'CREATE USAGE',
    context: 'USAGE',
    server: 'USAGE',
    auth: 'USAGE',
    admin: 'USAGE',
    user: 'USAGE',
    agent: 'USAGE',
    backup: 'USAGE',
  },
  database: { migrator: 'CONNECT', server: 'CONNECT', auth: 'CONNECT', admin: 'CONNECT', backup: 'CONNECT', monitor: 'CONNECT' },
}

/** Whose policies each table has. They are named `<table>_<who>` and show the rows of the identity, but for the open ones. */
const POLICIES: Record<string, string> = {
  oui_prefixes: 'everyone',
  rate_counters: 'auth context',
  sign_in_attempts: 'auth context',
  user_api_keys: 'auth context',
  user_audit_heads: 'context',
  user_audit_log: 'admin context user',
  user_blacklists: 'agent user',
  user_blocked_devices: 'agent user',
  user_credentials: 'admin auth context',
  user_device_groups: 'agent user',
  user_device_interfaces: 'agent user',
  user_device_merges: 'user',
  user_devices: 'admin agent user',
  user_login_sessions: 'admin auth context',
  user_recovery_codes: 'auth',
  user_routers: 'admin agent context user',
  user_scans: 'agent user',
  user_schedule_overrides: 'agent user',
  user_schedules: 'agent user',
  user_settings: 'user',
  user_tokens: 'admin auth context',
  user_whitelists: 'agent user',
  users: 'admin auth context user',
}

/** Where a policy is `true`, and why that shows nobody's rows to a request. */
export const OPEN_POLICIES = [
  'oui_prefixes_everyone', // reference data: the IEEE's registry
  'rate_counters_context', // what the identity functions and housekeeping look up; nobody can log in as their owner
  'sign_in_attempts_context',
  'user_api_keys_context',
  'user_audit_heads_context',
  'user_audit_log_context',
  'user_credentials_context',
  'user_login_sessions_context',
  'user_routers_context',
  'user_tokens_context',
  'users_context',
  'rate_counters_auth', // signing in, before anybody is known: static statements of a login that requests cannot reach
  'sign_in_attempts_auth',
  'user_credentials_auth',
  'user_login_sessions_auth',
  'user_recovery_codes_auth',
  'user_tokens_auth',
  'users_auth',
]

const ID = 'PRIMARY KEY (user_id, id)'
const inRouter = (columns: string) => `UNIQUE (user_id, router_id, ${columns})`
const USER = 'FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE'
const ROUTER = 'FOREIGN KEY (user_id, router_id) REFERENCES user_routers(user_id, id) ON DELETE CASCADE'
const GROUP = 'FOREIGN KEY (user_id, router_id, group_id) REFERENCES user_device_groups(user_id, router_id, id)'
const toDevice = (column: string) =>
  `FOREIGN KEY (user_id, router_id, ${column}) REFERENCES user_devices(user_id, router_id, id) ON DELETE CASCADE`
const DEVICE = toDevice('device_id')
const LISTED = {
  pkey: ID,
  router_fk: ROUTER,
  device_fk: DEVICE,
  device_key: inRouter('device_id'),
  mac_key: inRouter('mac'),
  ip_key: inRouter('ip'),
}

/** Every primary, unique and foreign key, as PostgreSQL prints it; its name without that of its table. */
const KEYS: Record<string, Record<string, string>> = {
  oui_prefixes: { pkey: 'PRIMARY KEY (prefix, bits)' },
  rate_counters: { pkey: 'PRIMARY KEY (bucket, key)' },
  sign_in_attempts: { pkey: 'PRIMARY KEY (key)' },
  user_api_keys: {
    pkey: ID,
    key_id_key: 'UNIQUE (user_id, key_id)',
    live_slot_key:
      'CREATE UNIQUE INDEX user_api_keys_live_slot_key ON public.user_api_keys USING btree (user_id, router_id, slot) WHERE (revoked_at IS NULL)',
    user_id_users_id_fk: USER,
    router_fk: ROUTER,
  },
  user_audit_heads: { pkey: 'PRIMARY KEY (user_id)' },
  user_audit_log: { pkey: 'PRIMARY KEY (user_id, sequence)' },
  user_blacklists: LISTED,
  user_blocked_devices: {
    pkey: ID,
    active_key: 'UNIQUE NULLS NOT DISTINCT (user_id, router_id, device_id, group_id, block_type, unblocked_at)',
    router_fk: ROUTER,
    device_fk: DEVICE,
    group_fk: `${GROUP} ON DELETE CASCADE`,
  },
  user_credentials: { pkey: 'PRIMARY KEY (user_id)', user_id_users_id_fk: USER },
  user_device_groups: { pkey: ID, router_key: 'UNIQUE (user_id, id, router_id)', name_key: inRouter('group_name'), router_fk: ROUTER },
  user_device_interfaces: { pkey: ID, mac_key: inRouter('mac'), device_fk: DEVICE },
  user_device_merges: { pkey: ID, device_fk: DEVICE, merged_device_fk: toDevice('merged_device_id') },
  user_devices: {
    pkey: ID,
    router_key: 'UNIQUE (user_id, id, router_id)',
    router_fk: ROUTER,
    group_fk: GROUP,
    merged_into_fk: toDevice('merged_into'),
  },
  user_login_sessions: { pkey: ID, public_id_key: 'UNIQUE (user_id, public_id)', user_id_users_id_fk: USER },
  user_recovery_codes: { pkey: ID, sha256_key: 'UNIQUE (user_id, code_sha256)', user_id_users_id_fk: USER },
  user_routers: { pkey: ID, user_id_users_id_fk: USER },
  user_scans: { pkey: 'PRIMARY KEY (user_id, router_id, scan_id)', router_fk: ROUTER },
  user_schedule_overrides: { pkey: ID, device_fk: DEVICE },
  user_schedules: { pkey: ID, device_fk: DEVICE, group_fk: `${GROUP} ON DELETE CASCADE` },
  user_settings: {
    pkey: ID,
    key_key: 'UNIQUE NULLS NOT DISTINCT (user_id, router_id, setting_key)',
    user_id_users_id_fk: USER,
    router_fk: ROUTER,
  },
  user_tokens: { pkey: ID, sha256_key: 'UNIQUE (user_id, token_sha256)', user_id_users_id_fk: USER },
  user_whitelists: LISTED,
  users: { pkey: 'PRIMARY KEY (id)', email_key: 'UNIQUE (email)', google_id_key: 'UNIQUE (google_id)' },
}

/** Conditions that a forged credential, or a rule about nobody in particular, would break. The others only keep data tidy. */
export const SECURITY_CONDITIONS: Record<string, string> = {
  user_api_keys_agent_bound: `((kind = 'agent'::text) = ((router_id IS NOT NULL) AND (slot IS NOT NULL)))`,
  user_api_keys_kind_known: `(kind = ANY (ARRAY['agent'::text, 'personal'::text]))`,
  user_api_keys_sha256_length: '(octet_length(secret_sha256) = 32)',
  user_api_keys_slot_known: '(slot = ANY (ARRAY[1, 2]))',
  user_blacklists_one_subject: '(num_nonnulls(device_id, mac, ip) = 1)',
  user_blocked_devices_one_target: '(num_nonnulls(device_id, group_id) <= 1)',
  user_credentials_password_hash_format: `(password_hash ~ '^(np1:)?\\$2[aby]\\$[0-9]{2}\\$[./A-Za-z0-9]{53}$'::text)`,
  user_scans_sha256_length: '(octet_length(body_sha256) = 32)',
  user_schedules_one_target: '(num_nonnulls(device_id, group_id) = 1)',
  user_whitelists_one_subject: '(num_nonnulls(device_id, mac, ip) = 1)',
  users_email_normalised: '(email = lower(btrim(email)))',
  users_role_known: `(role = ANY (ARRAY['user'::text, 'admin'::text]))`,
}

/** Every function outside of PostgreSQL's own schemas, and who may execute it. Each is a definer of the context role with a fixed path. */
const FUNCTIONS = [
  'ctx.act_hash(user_audit_log) stable for nobody',
  'ctx.agent_router() stable for agent',
  'ctx.agent_uid() stable for agent',
  'ctx.append_act(uuid,text,uuid,text,text,uuid,text,inet,jsonb) volatile for nobody',
  'ctx.applied_migrations() stable for server',
  'ctx.assume(text,uuid,text,uuid,text[],uuid) volatile for nobody',
  'ctx.audit_gaps() stable for nobody',
  'ctx.begin_admin_context(uuid,uuid) volatile for admin',
  'ctx.begin_agent_context(uuid,text,bytea) volatile for server',
  'ctx.begin_context(uuid,uuid) volatile for auth server',
  'ctx.begin_key_context(uuid,text,bytea,text) volatile for server',
  'ctx.erase_acts(uuid) volatile for admin auth',
  'ctx.has_password() stable for user',
  'ctx.identity() stable for nobody',
  'ctx.is_admin() stable for admin',
  'ctx.mac(text) stable for nobody',
  'ctx.personal_sha256(bytea,inet,jsonb) stable for nobody',
  'ctx.purge(integer) volatile for auth',
  'ctx.record_act(text,text,uuid,text,inet,jsonb) volatile for auth user',
  'ctx.record_act_of(uuid,text,text,text,inet,jsonb) volatile for auth',
  'ctx.record_admin_act(uuid,text,text,inet,jsonb) volatile for admin',
  'ctx.record_key_use(uuid[],text[],timestamp with time zone[]) volatile for auth',
  'ctx.revoke_personal_keys(uuid) volatile for auth',
  'ctx.uid() stable for auth user',
  'ctx.wake(uuid) volatile for agent user',
]

/** Who may use what the fence around built-in functions and PL/pgSQL takes from everybody. */
const FENCE = [
  'backup set_config(text,text,boolean)', // pg_dump and its scripts call it
  'migrator set_config(text,text,boolean)',
  'monitor set_config(text,text,boolean)',
  'context pg_notify(text,text)',
  'migrator pg_advisory_lock(bigint)',
  'migrator pg_advisory_unlock(bigint)',
  'context plpgsql',
  'owner plpgsql',
]
const FENCED = `proname in ('set_config', 'pg_notify', 'pg_logical_emit_message', 'pg_export_snapshot', 'pg_cancel_backend', 'pg_terminate_backend',
  'loread', 'lowrite', 'ts_stat') or proname like any (array['pg\\_sleep%', 'pg%advisory%', 'lo\\_%', '%\\_to\\_xml%'])
  or proname = 'ts_rewrite' and pronargs = 2`

/** Every role, and what it may beyond nothing at all. */
const ROLES = [
  'owner',
  'context',
  'user',
  'agent',
  'migrator login',
  'server login',
  'auth login',
  'admin login',
  'backup login bypassrls inherit',
  'monitor login inherit',
]
/** Who can become whom; no right comes without that step. */
const MEMBERSHIPS = [
  'backup may become pg_read_all_data, inherited',
  'migrator may become context',
  'migrator may become owner',
  'monitor may become pg_monitor, inherited',
  'server may become agent',
  'server may become user',
]
/** Who owns objects of which kind. */
const POSSESSIONS = [
  'context owns pg_class',
  'context owns pg_namespace',
  'context owns pg_proc',
  'owner owns pg_class',
  'owner owns pg_namespace',
]
/** Of login roles, because assuming a role does not load its settings. */
const OF_SERVING = ['statement_timeout=5s', 'lock_timeout=2s', 'idle_in_transaction_session_timeout=10s', 'temp_file_limit=512MB']
const SETTINGS = [
  ...['server', 'auth', 'admin'].flatMap((role) => OF_SERVING.map((setting) => `setting ${role} ${setting}`)),
  'setting migrator lock_timeout=5s',
]

/** Every line that a query finds is one that is meant, and the other way round. A query may ask for the roles' names, as $1. */
const exactly = (meant: string[], text: string): Check => {
  const expected = new Set(meant)
  return async (client, roles) => {
    const { rows } = await client.query<{ line: string }>(text, text.includes('$1') ? [Object.values(roles)] : [])
    const prefix = roles.owner.slice(0, -'owner'.length)
    const found = new Set(rows.map(({ line }) => line.replaceAll(prefix, '')))
    return [
      ...meant.filter((line) => !found.has(line)).map((line) => `missing: ${line}`),
      ...[...found].filter((line) => !expected.has(line)).map((line) => `not meant: ${line}`),
    ]
  }
}
const none = (text: string) => exactly([], text)

const grantLines = (rights: Rights) =>
  Object.entries(rights).flatMap(([on, byRole]) =>
    Object.entries(byRole).flatMap(([role, verbs]) => verbs.split(' ').map((verb) => `grant ${role} ${verb} ${on}`)),
  )
const columnGrantLines = COLUMN_GRANTS.flatMap((line) => {
  const [, right, columns = ''] = /^(.*)\((.*)\)$/.exec(line) ?? []
  return columns.split(', ').map((column) => `grant ${right}(${column})`)
})
const policyLines = Object.entries(POLICIES).flatMap(([table, whose]) =>
  whose.split(' ').map((who) => {
    const owner = table === 'users' ? 'id' : 'user_id'
    const router = table === 'user_routers' ? 'id' : 'router_id'
    const own = `(${owner} = ( SELECT ctx.uid() AS uid))`
    const ofRouter = `((${owner} = ( SELECT ctx.agent_uid() AS agent_uid)) AND (${router} = ( SELECT ctx.agent_router() AS agent_router)))`
    const admins = '( SELECT ctx.is_admin() AS is_admin)'
    const rows = OPEN_POLICIES.includes(`${table}_${who}`) ? 'true' : who === 'agent' ? ofRouter : who === 'admin' ? admins : own
    const what = who === 'everyone' ? `SELECT to agent, user using ${rows}` : `ALL to ${who} using ${rows} with check ${rows}`
    return `policy ${table}_${who} on ${table} for ${what}`
  }),
)
const keyLines = Object.entries(KEYS).flatMap(([table, keys]) =>
  Object.entries(keys).map(([name, definition]) => `key ${table}_${name} of ${table}: ${definition}`),
)

const OURS = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema'`
const OWNED = `c.relnamespace = 'public'::regnamespace and c.relname not in ('users', 'oui_prefixes', 'sign_in_attempts', 'rate_counters')`
const GRANTEE = `case a.grantee when 0 then 'PUBLIC' else a.grantee::regrole::text end`
const TO_US = '(a.grantee = 0 or a.grantee::regrole::text = any($1))'
const GRANT = `concat('grant ', ${GRANTEE}, ' ', a.privilege_type, case when a.is_grantable then ' WITH GRANT OPTION' end, ' '`

/** One check for each thing that the catalogue can get wrong; what each promises stands as a sentence in `test/row-security.test.ts`. */
export const CHECKS = {
  relations: exactly(
    [
      ...Object.keys(GRANTS).map((table) => `table ${table} of owner with row security, forced`),
      'table drizzle.migrations of owner',
      'table ctx.seal_key of context with row security',
      'schema ctx of context',
      'schema drizzle of owner',
      'schema public of pg_database_owner',
    ],
    `select concat(case c.relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view' when 'm' then 'materialized view'
        when 'S' then 'sequence' when 'f' then 'foreign table' else 'type' end, ' ', c.oid::regclass, ' of ', c.relowner::regrole,
        case when c.relrowsecurity then ' with row security' end, case when c.relforcerowsecurity then ', forced' end) as line
      from pg_class c join pg_namespace n on n.oid = c.relnamespace where ${OURS} and c.relkind not in ('i', 'I')
    union all select concat('schema ', n.nspname, ' of ', n.nspowner::regrole) from pg_namespace n where ${OURS}`,
  ),

  grants: exactly(
    [...grantLines(GRANTS), ...columnGrantLines, ...grantLines(OTHER_GRANTS)],
    `select ${GRANT}, c.oid::regclass) as line
      from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a where ${OURS} and a.grantee <> c.relowner
    union all select ${GRANT}, c.oid::regclass, '(', t.attname, ')')
      from pg_attribute t join pg_class c on c.oid = t.attrelid join pg_namespace n on n.oid = c.relnamespace, aclexplode(t.attacl) a
      where t.attacl is not null and ${OURS} and a.grantee <> c.relowner
    union all select ${GRANT}, 'schema ', n.nspname) from pg_namespace n, aclexplode(n.nspacl) a where ${OURS} and a.grantee <> n.nspowner
    union all select ${GRANT}, 'database') from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
      where d.datname = current_database() and a.grantee <> d.datdba`,
  ),

  /** Rights on what is yet to be made, on settings that are a superuser's, and on PostgreSQL's own relations beyond what it ships with. */
  grantsElsewhere: none(
    `select concat('default privilege of ', ${GRANTEE}, ': ', a.privilege_type, ' of ', d.defaclobjtype, ' made by ', d.defaclrole::regrole) as line
      from pg_default_acl d, aclexplode(d.defaclacl) a where a.grantee <> d.defaclrole
    union all select ${GRANT}, 'parameter ', p.parname) from pg_parameter_acl p, aclexplode(p.paracl) a where ${TO_US}
    union all select ${GRANT}, c.oid::regclass) from pg_class c
      left join pg_init_privs i on i.objoid = c.oid and i.classoid = 'pg_class'::regclass and i.objsubid = 0, aclexplode(c.relacl) a
      where c.relnamespace = 'pg_catalog'::regnamespace and ${TO_US}
        and not exists (select from aclexplode(i.initprivs) b where (b.grantee, b.privilege_type) = (a.grantee, a.privilege_type))
    union all select ${GRANT}, c.oid::regclass, '(', t.attname, ')') from pg_attribute t join pg_class c on c.oid = t.attrelid
      left join pg_init_privs i on i.objoid = c.oid and i.classoid = 'pg_class'::regclass and i.objsubid = t.attnum, aclexplode(t.attacl) a
      where c.relnamespace = 'pg_catalog'::regnamespace and t.attacl is not null and ${TO_US}
        and not exists (select from aclexplode(i.initprivs) b where (b.grantee, b.privilege_type) = (a.grantee, a.privilege_type))`,
  ),

  policies: exactly(
    policyLines,
    `select concat(case when not polpermissive then 'restrictive ' end, 'policy ', polname, ' on ', polrelid::regclass,
        ' for ', case polcmd when '*' then 'ALL' when 'r' then 'SELECT' else polcmd::text end,
        ' to ', (select string_agg(case r when 0 then 'PUBLIC' else r::regrole::text end, ', ' order by r::regrole::text) from unnest(polroles) r),
        ' using ' || pg_get_expr(polqual, polrelid), ' with check ' || pg_get_expr(polwithcheck, polrelid)) as line
      from pg_policy`,
  ),

  /** Two policies for one role are joined by OR. */
  policiesOfOneRole: none(
    `select concat('policies of ', polrelid::regclass, ' for ', role::regrole, ': ', string_agg(polname, ', ' order by polname)) as line
      from pg_policy, unnest(polroles) as role group by polrelid, role having count(*) > 1`,
  ),

  keys: exactly(
    keyLines,
    `select concat('key ', conname, ' of ', conrelid::regclass, ': ', pg_get_constraintdef(oid)) as line
      from pg_constraint where connamespace = 'public'::regnamespace and contype in ('p', 'u', 'f', 'x')
    union all select concat('key ', c.relname, ' of ', i.indrelid::regclass, ': ', pg_get_indexdef(c.oid), case when not i.indisvalid then ' INVALID' end)
      from pg_index i join pg_class c on c.oid = i.indexrelid and c.relnamespace = 'public'::regnamespace
      where i.indisunique and not exists (select from pg_constraint where conindid = c.oid and contype in ('p', 'u', 'x'))`,
  ),

  /** The rule behind the list of keys, for whoever adds to it: foreign keys and unique indexes do not consult row security. */
  owners: none(
    `select concat('table ', c.relname, ' without user_id uuid not null') as line from pg_class c
      where ${OWNED} and c.relkind in ('r', 'p')
        and not exists (select from pg_attribute where attrelid = c.oid and attname = 'user_id' and atttypid = 'uuid'::regtype and attnotnull)
    union all select concat('index ', i.indexrelid::regclass, ' of ', c.relname, ' not led by user_id')
      from pg_index i join pg_class c on c.oid = i.indrelid left join pg_attribute f on f.attrelid = i.indrelid and f.attnum = i.indkey[0]
      where ${OWNED} and f.attname is distinct from 'user_id'
    union all select concat('key ', k.conname, ' of ', c.relname, ' not led by user_id')
      from pg_constraint k join pg_class c on c.oid = k.conrelid
      left join pg_attribute f on f.attrelid = k.conrelid and f.attnum = k.conkey[1]
      left join pg_attribute t on t.attrelid = k.confrelid and t.attnum = k.confkey[1]
      where ${OWNED} and k.contype = 'f' and k.confrelid <> 'users'::regclass and (f.attname, t.attname) is distinct from ('user_id', 'user_id')`,
  ),

  /** What acts by itself, or does not: a sharded database takes foreign keys that cascade or do nothing, and no triggers. */
  reactions: none(
    `select concat('key ', conname, ' of ', conrelid::regclass, ' that does other than cascade or nothing') as line
      from pg_constraint where contype = 'f' and (confdeltype not in ('c', 'a') or confupdtype <> 'a')
    union all select concat('trigger ', tgname, ' of ', tgrelid::regclass, case when tgisinternal then ' switched off' end)
      from pg_trigger where not tgisinternal or tgenabled <> 'O'
    union all select concat('rule ', rulename, ' of ', ev_class::regclass) from pg_rewrite join pg_class c on c.oid = ev_class where c.relkind in ('r', 'p')
    union all select concat('event trigger ', evtname) from pg_event_trigger
    union all select concat('publication ', pubname) from pg_publication`,
  ),

  conditions: exactly(
    Object.entries(SECURITY_CONDITIONS).map(([name, condition]) => `condition ${name}: CHECK (${condition})`),
    `select concat('condition ', conname, ': ', pg_get_constraintdef(oid)) as line from pg_constraint
      where contype = 'c' and conname in (${Object.keys(SECURITY_CONDITIONS).map((name) => `'${name}'`)})`,
  ),

  roles: exactly(
    [...ROLES.map((role) => `role ${role}`), ...POSSESSIONS],
    `select concat_ws(' ', 'role', rolname, case when rolcanlogin then 'login' end, case when rolsuper then 'superuser' end,
        case when rolbypassrls then 'bypassrls' end, case when rolinherit then 'inherit' end, case when rolcreaterole then 'createrole' end,
        case when rolcreatedb then 'createdb' end, case when rolreplication then 'replication' end) as line
      from pg_roles where rolname = any($1)
    union all select concat(refobjid::regrole, ' owns ', classid::regclass) from pg_shdepend
      where deptype = 'o' and refclassid = 'pg_authid'::regclass and refobjid::regrole::text = any($1)
        and dbid in (0, (select oid from pg_database where datname = current_database()))`,
  ),

  memberships: exactly(
    MEMBERSHIPS,
    `select concat(member::regrole, ' may become ', roleid::regrole, case when admin_option then ' and let others' end,
        case when pg_has_role(member, roleid, 'usage') then ', inherited' end) as line
      from pg_auth_members where member::regrole::text = any($1) or roleid::regrole::text = any($1)`,
  ),

  settings: exactly(
    SETTINGS,
    `select concat('setting ', case setrole when 0 then 'everybody' else setrole::regrole::text end, ' ', setting) as line
      from pg_db_role_setting, unnest(setconfig) as setting
      where setrole::regrole::text = any($1) or setrole = 0 and setdatabase = (select oid from pg_database where datname = current_database())`,
  ),

  functions: exactly(
    FUNCTIONS.map((line) => `function ${line}, definer context set search_path=pg_catalog, pg_temp`),
    `select concat('function ', p.oid::regprocedure, ' ', case p.provolatile when 'i' then 'IMMUTABLE' when 's' then 'stable' else 'volatile' end,
        ' for ', coalesce((select string_agg(${GRANTEE}, ' ' order by a.grantee::regrole::text)
          from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee <> p.proowner), 'nobody'),
        case when p.proleakproof then ', LEAKPROOF' end, case when p.prosecdef then ', definer ' else ', INVOKER, of ' end, p.proowner::regrole,
        ' set ' || array_to_string(p.proconfig, ' ')) as line
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace where ${OURS}`,
  ),

  /** Built-in functions and languages: those behind the fence, and any that somebody got beyond what PostgreSQL ships with. */
  fence: exactly(
    FENCE.map((line) => `fence: ${line}`),
    `select concat('fence: ', ${GRANTEE}, ' ', p.oid::regprocedure) as line
      from pg_proc p left join pg_init_privs i on i.objoid = p.oid and i.classoid = 'pg_proc'::regclass,
        aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
      where p.pronamespace = 'pg_catalog'::regnamespace and (p.proacl is not null or ${FENCED}) and ${TO_US}
        and (${FENCED} or not exists (select from aclexplode(coalesce(i.initprivs, acldefault('f', p.proowner))) b where b.grantee = a.grantee))
    union all select concat('fence: ', ${GRANTEE}, ' ', l.lanname) from pg_language l, aclexplode(coalesce(l.lanacl, acldefault('l', l.lanowner))) a
      where l.lanname not in ('internal', 'c', 'sql') and a.grantee <> l.lanowner`,
  ),
} satisfies Record<string, Check>

/** Everything that is not as it is meant to be. */
export const findings: Check = async (client, roles) => {
  const found: string[] = []
  for (const check of Object.values(CHECKS)) found.push(...(await check(client, roles)))
  return found
}
