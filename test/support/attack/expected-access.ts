/**
 * What each role may do with rows that do not belong to its identity, and why: the attacks may find nothing
 * else. They must also find each of these. Otherwise it is no longer open, and its entry must be removed.
 */

const ANONYMOUS =
  'signing in: before anybody is known, by static statements of a login that requests cannot reach'
const ADMINISTRATION =
  'administration: for whoever the database knows as an administrator, by a login of its own'
const REGISTRY = "reference data: the IEEE's registry of manufacturers"

const EVERY = 'SELECT INSERT UPDATE DELETE'
const RIGHTS: [role: string, table: string, rights: string, why: string][] = [
  ['user', 'oui_prefixes', 'SELECT', REGISTRY],
  ['agent', 'oui_prefixes', 'SELECT', REGISTRY],
  ['auth', 'users', 'SELECT INSERT UPDATE', ANONYMOUS],
  ['auth', 'user_providers', 'SELECT INSERT DELETE LOCK', ANONYMOUS],
  ['auth, signed in,', 'user_providers', 'LOCK', 'who may delete rows may lock the table'],
  ['auth', 'user_credentials', EVERY, ANONYMOUS],
  ['auth', 'user_login_sessions', 'SELECT INSERT UPDATE', ANONYMOUS],
  ['auth', 'user_tokens', EVERY, ANONYMOUS],
  ['auth', 'user_recovery_codes', EVERY, ANONYMOUS],
  ...['auth', 'auth, signed in,'].flatMap((role): typeof RIGHTS => [
    [role, 'rate_counters', EVERY, 'rate limits: keyed by addresses, they are nobody’s'],
    [
      role,
      'sign_in_attempts',
      EVERY,
      'lockout: keyed by a MAC over an e-mail address, whether or not there is such an account',
    ],
  ]),
  ['admin', 'users', 'SELECT INSERT UPDATE', ADMINISTRATION],
  ['admin', 'user_providers', 'SELECT', `${ADMINISTRATION}; which providers sign somebody in, not as whom`],
  [
    'admin',
    'user_credentials',
    'SELECT INSERT',
    `${ADMINISTRATION}; whether there is a password and a second factor, not which; and an empty row for whom it invites`,
  ],
  [
    'admin',
    'user_login_sessions',
    'SELECT UPDATE',
    `${ADMINISTRATION}; to list and end them, without the capability that opens one`,
  ],
  [
    'admin',
    'user_tokens',
    'INSERT',
    `${ADMINISTRATION}; invitations and resets, whose token it cannot read again`,
  ],
  ['admin', 'user_audit_log', 'SELECT', ADMINISTRATION],
  ['admin', 'user_routers', 'SELECT', `${ADMINISTRATION}; ids and last sight, to be counted`],
  ['admin', 'user_devices', 'SELECT', `${ADMINISTRATION}; ids, to be counted`],
]
const FUNCTIONS: Record<string, string> = {
  'auth EXECUTE ctx.record_act_of': `${ANONYMOUS}; somebody failed to sign in, and the log of that account says so. It appends, and changes nothing`,
  'auth EXECUTE ctx.take_email': `${ANONYMOUS}; somebody registers, or confirms another address: one that nobody has`,
  'auth EXECUTE ctx.take_identity': `${ANONYMOUS}; somebody comes from a provider for the first time: as an account that nobody has linked`,
  'auth EXECUTE ctx.record_key_use':
    'housekeeping: when keys were last used, collected for all of them; never back',
  'auth EXECUTE ctx.purge':
    'housekeeping: what has had its time; of the audit log nothing of the last 30 days',
  'auth EXECUTE ctx.purge_scans': 'housekeeping: scans that nobody will post again; none of the last day',
  'admin EXECUTE ctx.record_admin_act': `${ADMINISTRATION}; the log of an account says what was done to it. It appends, and changes nothing`,
  'admin EXECUTE ctx.page_of_acts': `${ADMINISTRATION}; the audit log of an account`,
  'admin EXECUTE ctx.delete_account': `${ADMINISTRATION}; an account is deleted with what it owns, and with what it is found by`,
}

/**
 * What a plan reveals (EXPLAIN, which no guarded client accepts) to an attacker who already knows an id; ids
 * are random.
 */
const ESTIMATE =
  'estimates: how many rows a known owner or router has; the planner needs it, or plans badly for everybody'
const KNOWN: Record<string, string> = {
  'user ESTIMATES rows of a known id': ESTIMATE,
  'agent ESTIMATES rows of a known id': ESTIMATE,
  'auth ESTIMATES rows of a known id': ESTIMATE,
  'admin ESTIMATES rows of a known id': ESTIMATE,
  'admin FINDS rows of a known id': `${ADMINISTRATION}; the policies of that login are no equality that an index could ask for`,
}

export const OPEN: Record<string, string> = Object.fromEntries([
  ...RIGHTS.flatMap(([role, table, rights, why]) =>
    rights.split(' ').map((right) => [`${role} ${right} ${table}`, why]),
  ),
  ...Object.entries(FUNCTIONS),
  ...Object.entries(KNOWN),
])
