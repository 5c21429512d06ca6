/**
 * Whether a database answers, accepts writes and has every migration: the health routes report this.
 * `self-check.ts` decides whether a server may use the database.
 */
import type pg from 'pg'
import { compareMigrations, type Migration } from './migrations/runner.ts'

export type DatabaseState = {
  up: boolean
  /** Milliseconds. */
  latencyMs: number | null
  fault?: 'unreachable' | 'read-only' | 'migrations-missing' | 'migrations-edited'
}

/** Longer than a healthy database takes, shorter than a health probe waits. */
const PATIENCE_MS = 2_000
/**
 * A connection that takes longer is dead; the pool replaces it and its other idle connections (`pool.ts`).
 */
const ANSWER_MS = 1_500

/** A standby's transactions are read-only, too. */
const IS_READ_ONLY = {
  text: `select current_setting('transaction_read_only') = 'on' as "isReadOnly"`,
  query_timeout: ANSWER_MS,
}

/** Concurrent requests share one check, which takes at most two seconds. */
export function databaseCheck(pools: pg.Pool[], migrations: Migration[]): () => Promise<DatabaseState> {
  const [server] = pools as [pg.Pool, ...pg.Pool[]]
  // Applied migrations stay applied, so only the first answers cost more than a round trip.
  let isCurrent = false
  let underWay: Promise<DatabaseState> | undefined

  const migrationFault = async () => {
    const { missing, edited } = await compareWithApplied(server, migrations)
    return edited.length > 0 ? 'migrations-edited' : missing.length > 0 ? 'migrations-missing' : undefined
  }
  const check = async (): Promise<DatabaseState> => {
    const began = performance.now()
    try {
      const responses = await inTime(Promise.all(pools.map((pool) => pool.query(IS_READ_ONLY))))
      const latencyMs = Math.round((performance.now() - began) * 10) / 10
      if (responses.some(({ rows }) => rows[0].isReadOnly)) return { up: true, latencyMs, fault: 'read-only' }
      const fault = isCurrent ? undefined : await migrationFault()
      isCurrent = !fault
      return { up: true, latencyMs, ...(fault && { fault }) }
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

/**
 * The differences between a database and this version. The query uses the rights of the server's login,
 * before the identity is known.
 */
export async function compareWithApplied(
  db: Pick<pg.ClientBase, 'query'>,
  migrations: Migration[],
): Promise<ReturnType<typeof compareMigrations>> {
  const applied = await db
    .query<{ name: string; sha256: Buffer }>('select name, sha256 from ctx.applied_migrations()')
    .catch((error: pg.DatabaseError) => {
      // The schema or function does not exist, or the login has no right to it: the database was never
      // migrated.
      if (['3F000', '42883', '42501', '42P01'].includes(error.code ?? '')) return { rows: [] }
      throw error
    })
  return compareMigrations(migrations, applied.rows)
}
