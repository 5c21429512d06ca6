/** Requests that wait for the lock on a router's row. */
import { inject } from 'vitest'
import { asAdmin } from './database.ts'
import type { Answer } from './world.ts'

/**
 * Locks a router's row until the request waits for it, changes something, and releases the lock.
 * @param change a statement and its values
 */
export const changedWhileWaiting = (
  routerId: string,
  request: () => Promise<Answer>,
  change: [text: string, values: unknown[]],
): Promise<Answer> =>
  asAdmin(inject('database').adminUrl, async (client) => {
    await client.query('begin')
    await client.query('select from user_routers where id = $1 for update', [routerId])
    const asked = request()
    const waiting = 'select from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid))'
    while ((await client.query(waiting)).rowCount === 0);
    await client.query(...change)
    await client.query('commit')
    return asked
  })
