/**
 * The roles of one installation. Roles belong to the whole cluster, so a shared prefix separates two
 * installations, or a test run from a production one. Migrations use the default prefix; `withPrefix` renames
 * the roles before the server gets them.
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
