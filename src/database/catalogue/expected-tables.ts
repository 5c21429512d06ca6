/**
 * What each table is meant to have: policies, keys, and the conditions that security depends on, as lists for
 * review. `tables.ts` compares; `test/isolation/row-security.test.ts` attacks.
 */

/**
 * The policies of each table. They are named `<table>_<who>` and show the rows of the identity, except for
 * the open ones.
 */
export const POLICIES: Record<string, string> = {
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
  user_emails: 'context',
  user_identities: 'context',
  user_login_sessions: 'admin auth context',
  user_providers: 'admin auth context',
  user_recovery_codes: 'auth',
  user_routers: 'admin agent context user',
  user_scans: 'agent context user',
  user_schedule_overrides: 'agent user',
  user_schedules: 'agent user',
  user_settings: 'user',
  user_tokens: 'admin auth context',
  user_whitelists: 'agent user',
  users: 'admin auth context user',
}

/** The policies that are `true`, and why they show no person's rows to a request. */
export const OPEN_POLICIES = [
  'oui_prefixes_everyone', // reference data: the IEEE's registry
  'rate_counters_context', // the identity functions and housekeeping read it; their owner cannot log in
  'sign_in_attempts_context',
  'user_api_keys_context',
  'user_audit_heads_context',
  'user_audit_log_context',
  'user_credentials_context',
  'user_emails_context',
  'user_identities_context',
  'user_login_sessions_context',
  'user_providers_context',
  'user_routers_context',
  'user_scans_context',
  'user_tokens_context',
  'users_context',
  'rate_counters_auth', // its keys belong to no person; only static statements of a login that requests cannot reach use it
  'sign_in_attempts_auth',
]
/**
 * Policies that show the rows of all people until a person is signed in, and then only that person's rows.
 * Signing in depends on them.
 */
export const SIGN_IN_POLICIES = [
  'user_credentials_auth',
  'user_login_sessions_auth',
  'user_providers_auth',
  'user_recovery_codes_auth',
  'user_tokens_auth',
  'users_auth',
]

const ID = 'PRIMARY KEY (user_id, id)'
const inRouter = (columns: string) => `UNIQUE (user_id, router_id, ${columns})`
const USER = 'FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE'
const ROUTER = 'FOREIGN KEY (user_id, router_id) REFERENCES user_routers(user_id, id) ON DELETE CASCADE'
const GROUP =
  'FOREIGN KEY (user_id, router_id, group_id) REFERENCES user_device_groups(user_id, router_id, id)'
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
export const KEYS: Record<string, Record<string, string>> = {
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
    active_key:
      'UNIQUE NULLS NOT DISTINCT (user_id, router_id, device_id, group_id, block_type, unblocked_at)',
    router_fk: ROUTER,
    device_fk: DEVICE,
    group_fk: `${GROUP} ON DELETE CASCADE`,
  },
  user_credentials: { pkey: 'PRIMARY KEY (user_id)', user_id_users_id_fk: USER },
  user_device_groups: {
    pkey: ID,
    router_key: 'UNIQUE (user_id, id, router_id)',
    name_key: inRouter('group_name'),
    router_fk: ROUTER,
  },
  user_device_interfaces: { pkey: ID, mac_key: inRouter('mac'), device_fk: DEVICE },
  user_device_merges: { pkey: ID, device_fk: DEVICE, merged_device_fk: toDevice('merged_device_id') },
  user_devices: {
    pkey: ID,
    router_key: 'UNIQUE (user_id, id, router_id)',
    router_fk: ROUTER,
    group_fk: GROUP,
    merged_into_fk: toDevice('merged_into'),
  },
  user_emails: { pkey: 'PRIMARY KEY (email)' },
  user_identities: { pkey: 'PRIMARY KEY (provider, subject)' },
  user_login_sessions: { pkey: ID, public_id_key: 'UNIQUE (user_id, public_id)', user_id_users_id_fk: USER },
  user_providers: { pkey: 'PRIMARY KEY (user_id, provider)', user_id_users_id_fk: USER },
  user_recovery_codes: { pkey: ID, sha256_key: 'UNIQUE (user_id, code_sha256)', user_id_users_id_fk: USER },
  user_routers: { pkey: ID, user_id_users_id_fk: USER },
  user_scans: { pkey: 'PRIMARY KEY (user_id, router_id, scan_key)', router_fk: ROUTER },
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
  users: { pkey: 'PRIMARY KEY (id)' },
}

/**
 * Look-up tables, and the first column of each key. They find an account before the person is known. Their
 * rows therefore name their owner (`user_id`), but their keys do not begin with it, and no foreign key refers
 * from or to them. No role that serves requests has a right or a policy on them. Functions of the context
 * role read and write them, and `ctx.delete_account` empties them.
 */
export const LOOKUPS: Record<string, string> = { user_emails: 'email', user_identities: 'provider' }

/**
 * Conditions that protect against a forged credential, or against a rule that applies to no particular
 * person. The others only keep data tidy.
 */
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
  user_emails_normalised: '(email = lower(btrim(email)))',
  users_email_normalised: '(email = lower(btrim(email)))',
  users_role_known: `(role = ANY (ARRAY['user'::text, 'admin'::text]))`,
}
