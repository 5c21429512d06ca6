/**
 * One connection that listens for the life of the process: wake-ups from other servers on the same database.
 */
import pg from 'pg'
import { streamOf } from './client.ts'

export type Notifications = { close(): Promise<void> }
export type NotificationsOptions = {
  /**
   * A direct connection. A pooler in transaction mode delivers no notifications, and `onError` reports that.
   */
  url: string
  channel: string
  onNotification: (payload: string) => void
  /** A notification may have been missed: the connection was lost and is back. */
  onGap: () => void
  onError: (error: Error) => void
  /** The interval of the heartbeat, and how long an answer may take, milliseconds. */
  heartbeat?: { everyMs: number; patienceMs: number }
}

/**
 * The heartbeat detects a connection that a firewall dropped, or whose other end vanished. Such a connection
 * otherwise looks idle.
 */
export const DEFAULT_HEARTBEAT = { everyMs: 10_000, patienceMs: 5_000 }
const RETRY_MS = { first: 100, last: 5_000 }

export function listenForNotifications({
  url,
  channel,
  onNotification,
  onGap,
  onError,
  heartbeat: { everyMs, patienceMs } = DEFAULT_HEARTBEAT,
}: NotificationsOptions): Notifications {
  let isClosed = false
  let client: pg.Client | undefined
  let retry: NodeJS.Timeout | undefined
  let delay = RETRY_MS.first
  let connecting = connect()

  async function connect(): Promise<void> {
    const next = new pg.Client({
      connectionString: url,
      application_name: 'netpilot notifications',
      keepAlive: true,
      connectionTimeoutMillis: 5_000,
      query_timeout: patienceMs,
    })
    let beating: NodeJS.Timeout | undefined
    const lost = (error?: Error) => {
      clearInterval(beating)
      if (client !== next && !isClosed && client !== undefined) return
      client = undefined
      if (isClosed || retry) return
      if (error) onError(error)
      retry = setTimeout(() => {
        retry = undefined
        connecting = connect()
      }, delay)
      delay = Math.min(delay * 2, RETRY_MS.last)
    }
    next.on('notification', ({ payload }) => payload && onNotification(payload))
    next.on('error', lost)
    next.on('end', () => lost())
    try {
      await next.connect()
      client = next
      await next.query(`listen ${pg.escapeIdentifier(channel)}`)
      delay = RETRY_MS.first
      beating = setInterval(() => {
        next.query('select 1').catch((error: Error) => {
          lost(error)
          streamOf(next).destroy()
        })
      }, everyMs)
      onGap()
      if (await isPooled(next))
        onError(
          new Error(
            'A pooler stands between, and in transaction mode it delivers none. Set DATABASE_URL_DIRECT.',
          ),
        )
    } catch (error) {
      lost(error as Error)
      streamOf(next).destroy()
    }
  }

  return {
    close: async () => {
      isClosed = true
      clearTimeout(retry)
      await connecting
      if (client) streamOf(client).destroy()
    },
  }
}

/** A pooler gives its clients process ids of its own. */
async function isPooled(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  return rows[0]?.pid !== (client as unknown as { processID: number }).processID
}
