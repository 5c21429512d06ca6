/** Whether a database fits this server: asked at the start, where it may refuse, and by the health routes, which only tell. */
import type pg from 'pg'
import { compareMigrations, type Migration } from './migrations.ts'

export type DatabaseState = { up: boolean /** Milliseconds. */; latencyMs: number | null; fault?: 'unreachable' | 'migrations-missing' }

const FLOOR = 150_000

/** Answers within the pool's own bounds, so that a health check never hangs. */
export function databaseCheck(pools: pg.Pool[], migrations: Migration[]): () => Promise<DatabaseState> {
  const [server] = pools as [pg.Pool, ...pg.Pool[]]
  // Once seen, migrations stay: only the first answers cost more than a round trip.
  let isCurrent = false
  return async () => {
    const began = performance.now()
    try {
      await Promise.all(pools.map((pool) => pool.query('select 1')))
      const latencyMs = Math.round((performance.now() - began) * 10) / 10
      isCurrent ||= (await missingMigrations(server, migrations)).length === 0
      return isCurrent ? { up: true, latencyMs } : { up: true, latencyMs, fault: 'migrations-missing' }
    } catch {
      return { up: false, latencyMs: null, fault: 'unreachable' }
    }
  }
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
export async function refusals(pools: { server: pg.Pool; auth: pg.Pool }, migrations: Migration[]): Promise<string[]> {
  const found: string[] = []
  for (const [purpose, pool] of Object.entries(pools)) {
    const { rows } = await pool.query<{
      name: string
      version: number
      superuser: boolean
      bypass: boolean
      owns: boolean
      memberOfOwner: boolean
    }>(`select r.rolname as name, current_setting('server_version_num')::int as version, r.rolsuper as superuser, r.rolbypassrls as bypass,
        exists (select from pg_class c where c.relnamespace = 'public'::regnamespace and c.relowner = r.oid) as owns,
        exists (select from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
          and pg_has_role(r.oid, c.relowner, 'MEMBER')) as "memberOfOwner"
      from pg_roles r where r.rolname = current_user`)
    const role = rows[0]
    if (!role) continue
    const variable = purpose === 'server' ? 'DATABASE_URL' : 'DATABASE_AUTH_URL'
    const remedy = `Run "npm run setup" with an administrator's URL and use the ${variable} it prints.`
    if (role.version < FLOOR) found.push(`PostgreSQL 15 or later is needed; this server is ${Math.floor(role.version / 10_000)}.`)
    if (role.superuser) found.push(`${variable}: the role ${role.name} is a superuser, whom row security does not bind. ${remedy}`)
    else if (role.bypass) found.push(`${variable}: the role ${role.name} has BYPASSRLS, so row security does not bind it. ${remedy}`)
    else if (role.owns || role.memberOfOwner)
      found.push(`${variable}: the role ${role.name} owns tables, or may become who does, and could switch row security off. ${remedy}`)
  }
  if (found.length > 0) return found
  const missing = await missingMigrations(pools.server, migrations)
  return missing.length > 0 ? [`Migrations are missing: ${missing.join(', ')}. Run "npm run migrate".`] : []
}
