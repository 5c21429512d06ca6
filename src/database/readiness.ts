/** Whether a database fits this server: asked at the start, where it may refuse, and by the health routes, which only tell. */
import type pg from 'pg'
import { compareMigrations, type Migration } from './migrations.ts'
import type { RoleName } from './role-names.ts'

export type DatabaseState = { up: boolean /** Milliseconds. */; latencyMs: number | null; fault?: 'unreachable' | 'migrations-missing' }

const FLOOR = 150_000
const VARIABLES = { server: 'DATABASE_URL', auth: 'DATABASE_AUTH_URL', admin: 'DATABASE_ADMIN_URL' }

/** Longer than a database takes that is well, shorter than whoever asks about health waits. */
const PATIENCE_MS = 2_000

/** However many ask at once, one check is under way, and it takes two seconds at most. */
export function databaseCheck(pools: pg.Pool[], migrations: Migration[]): () => Promise<DatabaseState> {
  const [server] = pools as [pg.Pool, ...pg.Pool[]]
  // Once seen, migrations stay: only the first answers cost more than a round trip.
  let isCurrent = false
  let underWay: Promise<DatabaseState> | undefined

  const check = async (): Promise<DatabaseState> => {
    const began = performance.now()
    try {
      await inTime(Promise.all(pools.map((pool) => pool.query('select 1'))))
      const latencyMs = Math.round((performance.now() - began) * 10) / 10
      isCurrent ||= (await missingMigrations(server, migrations)).length === 0
      return isCurrent ? { up: true, latencyMs } : { up: true, latencyMs, fault: 'migrations-missing' }
    } catch {
      return { up: false, latencyMs: null, fault: 'unreachable' }
    }
  }
  return () => {
    underWay ??= check().finally(() => {
      underWay = undefined
    })
    return underWay
  }
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the database does not answer')), PATIENCE_MS)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

async function missingMigrations(server: pg.Pool, migrations: Migration[]): Promise<string[]> {
  const applied = await server
    .query<{ name: string; sha256: Buffer }>('select name, sha256 from ctx.applied_migrations()')
    .catch((error: pg.DatabaseError) => {
      // No such schema or function, or no right to it: nothing was migrated yet.
      if (['3F000', '42883', '42501', '42P01'].includes(error.code ?? '')) return { rows: [] }
      throw error
    })
  const { missing, edited } = compareMigrations(migrations, applied.rows)
  return [...missing, ...edited.map((name) => `${name} (applied in another version)`)]
}

/**
 * Why this server must not serve from a database: isolation would be switched off, or the schema is not the one it was written for.
 * Each reason says what to do. Empty: it may.
 */
export async function refusals(
  pools: Record<'server' | 'auth' | 'admin', pg.Pool>,
  migrations: Migration[],
  roles: Record<RoleName, string>,
): Promise<string[]> {
  const found: string[] = []
  for (const [purpose, pool] of Object.entries(pools)) {
    const { rows } = await pool.query<{
      name: string
      version: number
      superuser: boolean
      bypass: boolean
      owns: boolean
      memberOfOwner: boolean
      mayBypass: boolean
    }>(`select r.rolname as name, current_setting('server_version_num')::int as version, r.rolsuper as superuser, r.rolbypassrls as bypass,
        exists (select from pg_class c where c.relnamespace = 'public'::regnamespace and c.relowner = r.oid) as owns,
        exists (select from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
          and pg_has_role(r.oid, c.relowner, 'MEMBER')) as "memberOfOwner",
        exists (select from pg_roles p where (p.rolsuper or p.rolbypassrls) and pg_has_role(r.oid, p.oid, 'MEMBER')) as "mayBypass"
      from pg_roles r where r.rolname = current_user`)
    const role = rows[0]
    if (!role) continue
    const expected = roles[purpose as keyof typeof pools]
    const variable = VARIABLES[purpose as keyof typeof pools]
    const remedy = `Run "npm run setup" with an administrator's URL and use the ${variable} it prints.`
    if (role.version < FLOOR) found.push(`PostgreSQL 15 or later is needed; this server is ${Math.floor(role.version / 10_000)}.`)
    if (role.superuser) found.push(`${variable}: the role ${role.name} is a superuser, whom row security does not bind. ${remedy}`)
    else if (role.bypass) found.push(`${variable}: the role ${role.name} has BYPASSRLS, so row security does not bind it. ${remedy}`)
    else if (role.mayBypass) found.push(`${variable}: the role ${role.name} may become one that row security does not bind. ${remedy}`)
    else if (role.owns || role.memberOfOwner)
      found.push(`${variable}: the role ${role.name} owns tables, or may become who does, and could switch row security off. ${remedy}`)
    else if (role.name !== expected)
      found.push(`${variable} names the role ${role.name}, but ${expected} is needed there. ${remedy} (Is DATABASE_ROLE_PREFIX right?)`)
  }
  if (found.length > 0) return found
  const missing = await missingMigrations(pools.server, migrations)
  return missing.length > 0 ? [`Migrations are missing: ${missing.join(', ')}. Run "npm run migrate".`] : []
}
