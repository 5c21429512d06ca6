/**
 * Checks that every statement that a test causes names its owner. The owner routes the statement to a shard,
 * and helps the planner.
 */
import type pg from 'pg'

const OWNED = /\b(?:from|join|into|update)\s+"?user_[a-z_]+/i
const NAMED = /\buser_id"?\s*=\s*\$\d|\binsert into "?user_[a-z_]+"?\s*\("?user_id"?\b/i

/** Whether a statement on owned tables names the owner. */
export const namesOwner = (text: string): boolean => !OWNED.test(text) || NAMED.test(text)

/**
 * Refuses statements that do not, so that the test that caused one fails. Applies to connections that the
 * pool creates from now on.
 */
export function requireOwner(pool: pg.Pool): void {
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown
    const guarded = (config: string | { text: string }, ...rest: unknown[]) => {
      const text = typeof config === 'string' ? config : config.text
      if (!namesOwner(text)) throw new Error(`a statement does not name its owner: ${text}`)
      return query(config, ...rest)
    }
    client.query = guarded as typeof client.query
  })
}
