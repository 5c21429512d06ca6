/** Connections to PostgreSQL, with limits on their number and on waiting. */
import pg from 'pg'
import { streamOf } from './client.ts'

/**
 * pg sends a text without values by the simple protocol, which runs stacked statements (`a; b`). This client
 * uses the extended protocol for every query, which refuses them (42601).
 */
class ExtendedClient extends pg.Client {
  // biome-ignore lint/suspicious/noExplicitAny: pg overloads `query` eight ways; this passes each on unchanged.
  override query(config: any, values?: any, callback?: any): any {
    const extended =
      typeof config === 'string'
        ? { text: config, queryMode: 'extended' }
        : { ...config, queryMode: 'extended' }
    return super.query(typeof config?.submit === 'function' ? config : extended, values, callback)
  }
}

export type PoolOptions = {
  url: string
  /** The maximum number of connections. */
  size: number
  /** How long a request waits for a connection, milliseconds. */
  acquireTimeoutMs: number
  applicationName: string
  /** Called when an idle connection dies; the pool replaces it by itself. */
  onIdleError: (error: Error) => void
}

const QUERY_TIMEOUT_MS = 6_000

export function createPool({
  url,
  size,
  acquireTimeoutMs,
  applicationName,
  onIdleError,
}: PoolOptions): pg.Pool {
  const options = {
    connectionString: url,
    max: size,
    connectionTimeoutMillis: acquireTimeoutMs,
    idleTimeoutMillis: 30_000,
    application_name: applicationName,
    keepAlive: true,
    // Longer than `statement_timeout`, for a database that no longer answers at all. The pool then destroys
    // the connection.
    query_timeout: QUERY_TIMEOUT_MS,
    // BEGIN, identity and first query of a transaction travel together.
    pipeline: true,
    Client: ExtendedClient,
  }
  const pool = new pg.Pool(options)
  // Without a listener, an idle connection that dies (a database restart) would end the process.
  pool.on('error', onIdleError)
  dropIdleAfterTimeout(pool)
  return pool
}

/** The error with which the pool releases a connection after a query took longer than its `query_timeout`. */
const isTimeout = (error: Error | undefined) => error?.message === 'Query read timeout'

/**
 * When one connection does not answer, the pool's idle connections use the same network, and each would block
 * a request as long. The pool replaces them. That takes milliseconds if they were healthy; a test of each
 * would take longer and more code.
 */
function dropIdleAfterTimeout(pool: pg.Pool): void {
  const idle = new Set<pg.PoolClient>()
  pool.on('acquire', (client) => idle.delete(client))
  pool.on('remove', (client) => idle.delete(client))
  pool.on('release', (error, client) => {
    if (!error) idle.add(client)
    if (!isTimeout(error)) return
    for (const each of idle) {
      // The pool removes it now, not when the system has closed it.
      each.emit('error', new Error('a connection beside this one does not answer'))
      streamOf(each).destroy()
    }
  })
}
