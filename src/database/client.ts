import type { Socket } from 'node:net'
import pg from 'pg'

/**
 * A connection outside the pools, for one piece of work. When it dies, the statement under way fails, or the next one; without a listener
 * the driver would end the process.
 */
export async function openClient(connectionString: string, applicationName: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString, application_name: applicationName })
  client.on('error', () => {})
  await client.connect()
  return client
}

/** Destroyed rather than ended: an end waits for an answer, which may never come. */
export const streamOf = (client: pg.ClientBase) => (client as unknown as { connection: { stream: Socket } }).connection.stream
