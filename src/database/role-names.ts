/**
 * The roles of one installation. Their names share a prefix, because roles belong to the whole cluster: two
 * installations, or a test run beside a live one, keep apart by it. Migrations are written with the default
 * prefix; `withPrefix` renames them on the way to the server.
 */
const ROLES = [
  'owner',
  'context',
  'migrator',
  'server',
  'user',
  'agent',
  'admin',
  'auth',
  'backup',
  'monitor',
] as const
export type RoleName = (typeof ROLES)[number]

const DEFAULT_PREFIX = 'netpilot_'
const PREFIX = /^[a-z][a-z0-9_]{0,39}$/
const ROLE_IN_SQL = new RegExp(`\\b${DEFAULT_PREFIX}(${ROLES.join('|')})\\b`, 'g')

/**
 * @throws when the prefix is not 1 to 40 lower-case letters, digits and underscores (it becomes part of an
 * SQL identifier)
 */
export function roleNames(prefix: string = DEFAULT_PREFIX): Record<RoleName, string> {
  if (!PREFIX.test(prefix))
    throw new Error(`"${prefix}" cannot begin a role name: use lower-case letters, digits and underscores`)
  return Object.fromEntries(ROLES.map((role) => [role, prefix + role])) as Record<RoleName, string>
}

/** The same SQL for an installation whose roles begin with `prefix`. */
export function withPrefix(statements: string, prefix: string): string {
  const names = roleNames(prefix)
  return prefix === DEFAULT_PREFIX
    ? statements
    : statements.replace(ROLE_IN_SQL, (_, role: RoleName) => names[role])
}
