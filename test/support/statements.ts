/** The statements that a server sends to PostgreSQL on one of its pools. */
import type pg from 'pg'

/** @returns their texts; the list grows. It covers connections that the pool creates from now on */
export function recordStatements(pool: pg.Pool): string[] {
  const texts: string[] = []
  pool.on('connect', (client) => {
    const { query } = client
    client.query = (...args: unknown[]) => {
      const [config] = args as [string | { text: string }]
      texts.push(typeof config === 'string' ? config : config.text)
      return Reflect.apply(query, client, args)
    }
  })
  return texts
}
