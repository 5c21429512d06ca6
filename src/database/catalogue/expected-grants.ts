/**
 * The expected rights: roles, grants, functions, and the exceptions to the fence, as lists for review. Only
 * the owner has any other right. Role names appear without their prefix. `rights.ts` compares;
 * `test/isolation/row-security.test.ts` attacks.
 */
import type { RoleName } from '../role-names.ts'

export type Rights = Record<string, Partial<Record<RoleName, string>>>

/** Every role, and its attributes beyond the defaults. */
export const ROLES = [
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
/** Which role can assume which; no right comes without that step. */
export const MEMBERSHIPS = [
  'backup may become pg_read_all_data, inherited',
  'migrator may become context',
  'migrator may become owner',
  'monitor may become pg_monitor, inherited',
  'server may become agent',
  'server may become user',
]
/** Which role owns objects of which kind. */
export const OWNERSHIP = [
  'context owns pg_class',
  'context owns pg_namespace',
  'context owns pg_proc',
  'owner owns pg_class',
  'owner owns pg_namespace',
]
/** Settings of login roles, because assuming a role does not load its settings. */
const OF_SERVING = [
  'statement_timeout=5s',
  'lock_timeout=2s',
  'idle_in_transaction_session_timeout=10s',
  'temp_file_limit=512MB',
]
export const SETTINGS = [
  ...['server', 'auth', 'admin'].flatMap((role) => OF_SERVING.map((setting) => `setting ${role} ${setting}`)),
  'setting migrator lock_timeout=5s',
]

/** The rights of each role, by table. */
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
  user_emails: { context: 'DELETE INSERT SELECT' },
  user_identities: { context: 'DELETE INSERT SELECT' },
  user_login_sessions: { auth: 'INSERT SELECT UPDATE', context: 'DELETE' },
  user_providers: { auth: 'DELETE INSERT SELECT' },
  user_recovery_codes: { auth: 'DELETE INSERT SELECT UPDATE' },
  user_routers: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_scans: { user: 'SELECT', agent: 'INSERT SELECT', context: 'DELETE' },
  user_schedule_overrides: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_schedules: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  user_settings: { user: 'DELETE INSERT SELECT UPDATE' },
  user_tokens: { auth: 'DELETE INSERT SELECT UPDATE', context: 'DELETE' },
  user_whitelists: { user: 'DELETE INSERT SELECT UPDATE', agent: 'SELECT' },
  users: { auth: 'INSERT SELECT UPDATE', context: 'DELETE' },
}

/** Rights on single columns, beyond those on whole tables. */
export const COLUMN_GRANTS = [
  'admin INSERT user_tokens(email, expires_at, password_version, purpose, token_sha256, user_id)',
  'admin INSERT user_credentials(user_id)',
  'admin INSERT users(email, full_name, id, role)',
  'admin SELECT user_credentials(has_password, password_version, totp_confirmed_at, user_id)',
  'admin SELECT user_devices(id, merged_into, user_id)',
  'admin SELECT user_login_sessions(address, created_at, device, end_reason, ended_at, expires_at, idle_expires_at, last_used_at, public_id, user_id)',
  'admin SELECT user_providers(provider, user_id)',
  'admin SELECT user_routers(id, last_seen, user_id)',
  'admin SELECT users(avatar_url, created_at, email, email_verified_at, full_name, id, is_active, role, suspended_at, updated_at)',
  'admin UPDATE user_login_sessions(end_reason, ended_at)',
  'admin UPDATE users(is_active, role, suspended_at, updated_at)',
  'context SELECT rate_counters(window_start)',
  'context SELECT sign_in_attempts(last_failed_at, locked_until)',
  'context SELECT user_scans(received_at, router_id, scan_key, user_id)',
  'context SELECT user_tokens(expires_at, user_id)',
  'context UPDATE user_audit_log(address, detail, salt)',
  'context SELECT user_api_keys(created_at, expires_at, id, key_id, kind, last_used_at, retires_at, revoked_at, router_id, scopes, secret_sha256, user_id)',
  'context SELECT user_credentials(has_password, keys_revoked_at, totp_confirmed_at, user_id)',
  'context SELECT user_login_sessions(ended_at, expires_at, id, idle_expires_at, public_id, user_id)',
  'context SELECT user_providers(provider, subject, user_id)',
  'context SELECT user_routers(id, user_id)',
  'context SELECT users(email, id, is_active, role)',
  'context UPDATE user_api_keys(last_used_at)',
  'context UPDATE users(updated_at)',
  'agent INSERT user_device_interfaces(device_id, first_seen, id, ips, mac, router_id, user_id)',
  'agent INSERT user_devices(approval, detected_manufacturer, first_seen, hostname, id, last_seen, router_id, user_id)',
  'agent UPDATE user_device_interfaces(device_id, ips, mac)',
  'agent UPDATE user_devices(detected_manufacturer, hostname, last_seen, merged_into)',
  'agent UPDATE user_routers(agent_error, applied_at, applied_revision, last_seen)',
  'agent UPDATE user_scans(answer)',
  'user SELECT users(avatar_url, created_at, email_verified_at, full_name, id, role)',
  'user UPDATE users(avatar_url, full_name, updated_at)',
]

/**
 * Rights that access to the tables requires: on the schemas, the migrations' journal, and the database
 * itself.
 */
export const OTHER_GRANTS: Rights = {
  'drizzle.migrations': { context: 'SELECT' },
  'schema ctx': {
    owner: 'USAGE',
    server: 'USAGE',
    auth: 'USAGE',
    user: 'USAGE',
    agent: 'USAGE',
    admin: 'USAGE',
  },
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
  database: {
    migrator: 'CONNECT',
    server: 'CONNECT',
    auth: 'CONNECT',
    admin: 'CONNECT',
    backup: 'CONNECT',
    monitor: 'CONNECT',
  },
}

/**
 * Every function outside of PostgreSQL's own schemas, and which roles may execute it. Each is a SECURITY
 * DEFINER function of the context role with a fixed path.
 */
export const FUNCTIONS = [
  'ctx.act_hash(uuid,bigint,timestamp with time zone,text,uuid,text,text,uuid,text,bytea,bytea) stable for nobody',
  'ctx.agent_router() stable for agent',
  'ctx.agent_uid() stable for agent',
  'ctx.agent_wake_digest() stable for agent',
  'ctx.append_act(uuid,text,uuid,text,text,uuid,text,inet,jsonb) volatile for nobody',
  'ctx.applied_migrations() stable for server',
  'ctx.assume(text,uuid,text,uuid,text[],uuid) volatile for nobody',
  'ctx.audit_gaps() stable for nobody',
  'ctx.audit_restarts() stable for nobody',
  'ctx.begin_admin_context(uuid,uuid) volatile for admin',
  'ctx.begin_agent_context(uuid,text,bytea) volatile for server',
  'ctx.begin_context(uuid,uuid) volatile for auth server',
  'ctx.begin_key_context(uuid,text,bytea,text) volatile for server',
  'ctx.count_personal_keys(uuid) stable for auth',
  'ctx.delete_account(uuid) volatile for admin auth',
  'ctx.drop_identity(uuid,text,text) volatile for auth',
  'ctx.email() stable for user',
  'ctx.has_password() stable for user',
  'ctx.identity() stable for nobody',
  'ctx.is_admin() stable for admin',
  'ctx.lookup_gaps() stable for nobody',
  'ctx.mac(text) stable for nobody',
  'ctx.page_of_acts(uuid,text,text,text,timestamp with time zone,timestamp with time zone,timestamp with time zone,bigint,integer) stable for admin user',
  'ctx.personal_sha256(bytea,inet,jsonb) stable for nobody',
  'ctx.purge(integer) volatile for auth',
  'ctx.purge_scans(integer) volatile for auth',
  'ctx.record_act(text,text,uuid,text,inet,jsonb) volatile for auth user',
  'ctx.record_act_of(uuid,text,text,text,inet,jsonb) volatile for auth',
  'ctx.record_admin_act(uuid,text,text,inet,jsonb) volatile for admin',
  'ctx.record_key_use(uuid[],text[],timestamp with time zone[]) volatile for auth',
  'ctx.require_act(text,text,text,jsonb) stable for nobody',
  'ctx.require_second_factor(text) stable for admin auth server',
  'ctx.take_email(uuid,text,text) volatile for auth',
  'ctx.take_identity(uuid,text,text) volatile for auth',
  'ctx.take_invited_email(uuid,text) volatile for admin',
  'ctx.uid() stable for auth user',
  'ctx.user_of_email(text) stable for auth',
  'ctx.user_of_identity(text,text) stable for auth',
  'ctx.wake(uuid) volatile for agent auth user',
  'ctx.wake_digest(uuid,uuid) stable for nobody',
]

/** Which roles may use the built-in functions and PL/pgSQL that the fence takes from PUBLIC. */
export const FENCE = [
  'backup set_config(text,text,boolean)', // pg_dump and its scripts call it
  'migrator set_config(text,text,boolean)',
  'monitor set_config(text,text,boolean)',
  'context pg_notify(text,text)',
  'migrator pg_advisory_lock(bigint)',
  'migrator pg_advisory_unlock(bigint)',
  'context plpgsql',
  'owner plpgsql',
]
/**
 * The functions that the fence takes from PUBLIC: a condition on `pg_proc p`. With them, one injected
 * statement could outlive or leave its transaction, ask about rows that row security hides (currtid2), or
 * count what a statement read (pg_stat_get_xact_*). The condition names them, so that it also covers another
 * overload in a later PostgreSQL.
 */
export const FENCED = `(p.proname in ('set_config', 'pg_notify', 'pg_logical_emit_message', 'pg_export_snapshot', 'pg_cancel_backend',
    'pg_terminate_backend', 'loread', 'lowrite', 'setseed', 'ts_stat', 'currtid2')
    or p.proname like any (array['pg\\_sleep%', 'pg%advisory%', 'lo\\_%', '%\\_to\\_xml%', 'pg\\_stat\\_get\\_xact\\_%'])
    or p.proname = 'ts_rewrite' and p.pronargs = 2)`

/**
 * The built-in functions that stay LEAKPROOF, each with its reason. PostgreSQL runs LEAKPROOF functions
 * before a policy and answers estimates from them. A comparison of values would therefore reveal rows that
 * the policy hides; PostgreSQL ships with some 345 of them.
 */
export const LEAKPROOF: Record<string, string> = {
  'uuid_eq(uuid,uuid)':
    'ids are random, so that equality tells only who knows one already; without it no id but the owner would find its row by an index',
}
