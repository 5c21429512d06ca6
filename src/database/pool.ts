/** Connections to PostgreSQL, bounded in number and in waiting. */
import pg from 'pg'

/**
 * pg sends a text without values by the simple protocol, which runs stacked statements (`a; b`). Here every query takes the extended
 * protocol, which refuses them (42601).
 */
class ExtendedClient extends pg.Client {
  // biome-ignore lint/suspicious/noExplicitAny: pg overloads `query` eight ways; this passes each on unchanged.
  override query(config: any, values?: any, callback?: any): any {
    const extended = typeof config === 'string' ? { text: config, queryMode: 'extended' } : { ...config, queryMode: 'extended' }
    return super.query(typeof config?.submit === 'function' ? config : extended, values, callback)
  }
}

export type PoolOptions = {
  url: string
  /** Connections at most. */
  size: number
  /** How long a borrower waits for a connection, milliseconds. */
  acquireTimeoutMs: number
  applicationName: string
  /** Called when a connection dies while nobody uses it; the pool replaces it by itself. */
  onIdleError: (error: Error) => void
}

const QUERY_TIMEOUT_MS = 6_000

export function openPool({ url, size, acquireTimeoutMs, applicationName, onIdleError }: PoolOptions): pg.Pool {
  const options = {
    connectionString: url,
    max: size,
    connectionTimeoutMillis: acquireTimeoutMs,
    idleTimeoutMillis: 30_000,
    application_name: applicationName,
    keepAlive: true,
    // Above `statement_timeout`: for a database that no longer answers at all. The connection is then destroyed.
    query_timeout: QUERY_TIMEOUT_MS,
    // A session's BEGIN, identity and first query travel together.
    pipeline: true,
    Client: ExtendedClient,
  }
  const pool = new pg.Pool(options)
  // Without a listener, an idle connection that dies (a database restart) would end the process.
  pool.on('error', onIdleError)
  return pool
}
