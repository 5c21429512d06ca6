/**
 * Holds every statement that any test causes to the rule that it names its owner: that routes it to a shard,
 * and helps the planner.
 */
import type pg from 'pg'

const OWNED = /\b(?:from|join|into|update)\s+"?user_[a-z_]+/i
const NAMED = /\buser_id"?\s*=\s*\$\d|\binsert into "?user_[a-z_]+"?\s*\("?user_id"?\b/i

/** Whether a statement on owned tables says whose rows it is about. */
export const namesOwner = (text: string): boolean => !OWNED.test(text) || NAMED.test(text)

/**
 * Refuses statements that do not, so that the test that caused one fails. Applies to connections that the
 * pool opens from now on.
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
