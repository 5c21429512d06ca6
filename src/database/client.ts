import type { Socket } from 'node:net'
import pg from 'pg'
import { StartRefused } from './start-refused.ts'

/**
 * A connection outside the pools, for one task. When it dies, the current or the next statement fails.
 * Without a listener, the driver would end the process.
 * @param variable that holds the connection string @throws StartRefused when no server answers at that
 * address
 */
export async function openClient(
  connectionString: string,
  applicationName: string,
  variable?: string,
): Promise<pg.Client> {
  const client = new pg.Client({ connectionString, application_name: applicationName })
  client.on('error', () => {})
  await client.connect().catch((error) => {
    throw cannotConnect(variable ?? 'The embedded database', error)
  })
  return client
}

/** What to check, by the system's code or the SQLSTATE. */
const CONNECTION_FAULTS: Record<string, string> = {
  ENOTFOUND: 'Is its host right, and does this machine know the name?',
  EAI_AGAIN: 'Is its host right, and does this machine know the name?',
  ECONNREFUSED: 'Are its host and port right, and does the database run?',
  '28P01':
    'Is its password right? "npm run setup" gives the roles the passwords of the connection strings in .env.',
  '28000': 'Is its user right, and does pg_hba.conf let it in from here?',
  '3D000': 'Is its database right? "createdb" makes one, then "npm run setup".',
}

/** Explains why no server answers at a connection string. @param variable that holds it */
export function cannotConnect(variable: string, error: NodeJS.ErrnoException): StartRefused {
  const { code = '', message } = error
  const hint = CONNECTION_FAULTS[code] ?? 'Does the database run, and is it reached from this machine?'
  return new StartRefused(`${variable}: the database cannot be reached (${message || code}). ${hint}`, {
    cause: error,
  })
}

/** Callers destroy the stream rather than end it: an end waits for an answer, which may never come. */
export const streamOf = (client: pg.ClientBase) =>
  (client as unknown as { connection: { stream: Socket } }).connection.stream
