/**
 * One PostgreSQL for a run: a throw-away embedded one, or with DATABASE_URL_TEST (a superuser's URL) any
 * other server from 15 on. The run removes the databases and prefixed roles that it creates, and changes
 * nothing else.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { startEmbedded } from '../../src/database/embedded/embedded.ts'
import { migrate } from '../../src/database/migrations/runner.ts'
import { type RoleName, roleNames } from '../../src/database/role-names.ts'
import { setUpDatabase } from '../../src/database/setup.ts'

export type TestDatabase = {
  /** A superuser's connection string, to the database that was set up and migrated. */
  adminUrl: string
  rolePrefix: string
  /** The password of every login role. */
  password: string
  /**
   * The host and port of the pooler, in a run behind one: the tested servers connect there, everything else
   * directly.
   */
  pooler?: string
}

declare module 'vitest' {
  interface ProvidedContext {
    database: TestDatabase
    /**
     * Whether the given PostgreSQL lets every role connect to other databases: the self-check warns of it.
     */
    hasOpenNeighbours: boolean
  }
}

export default async function openTestDatabase({ provide }: TestProject) {
  const { database, hasOpenNeighbours, close } = await makeTestDatabase()
  provide('database', database)
  provide('hasOpenNeighbours', hasOpenNeighbours)
  return close
}

/** @returns a database that is set up and migrated, and a function that removes it */
export async function makeTestDatabase(
  given = process.env.DATABASE_URL_TEST,
): Promise<{ database: TestDatabase; hasOpenNeighbours: boolean; close(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'netpilot-test-'))
  const embedded = given
    ? undefined
    : await startEmbedded({
        dataDir: directory,
        settings: {
          fsync: 'off',
          synchronous_commit: 'off',
          full_page_writes: 'off',
          max_connections: '200',
        },
      })
  const serverUrl = given ?? (embedded as { url: string }).url
  const run = `np_${randomBytes(4).toString('hex')}_`
  const database: TestDatabase = {
    adminUrl: urlOf(serverUrl, { database: `${run}main` }),
    rolePrefix: run,
    password: randomBytes(16).toString('hex'),
  }
  const hasOpenNeighbours = await asAdmin(serverUrl, async (client) => {
    // As in the embedded database of a server.
    if (embedded) await client.query('revoke connect on database postgres, template1 from public')
    const open = `select from pg_database where datallowconn and has_database_privilege('public', oid, 'connect')`
    return (await client.query(open)).rowCount !== 0
  })
  await createClosed(serverUrl, `${run}main`)
  await prepare(database)

  const close = async () => {
    await asAdmin(serverUrl, async (client) => {
      const { rows } = await client.query<{ datname: string }>(
        'select datname from pg_database where starts_with(datname, $1)',
        [run],
      )
      for (const { datname } of rows)
        await client.query(`drop database ${pg.escapeIdentifier(datname)} with (force)`)
      const roles = await client.query<{ rolname: string }>(
        'select rolname from pg_roles where starts_with(rolname, $1)',
        [run],
      )
      for (const { rolname } of roles.rows) await client.query(`drop role ${pg.escapeIdentifier(rolname)}`)
    })
    await embedded?.stop()
    await rm(directory, { recursive: true, force: true })
    if (embedded) await rm(embedded.dataDir, { recursive: true, force: true })
  }
  return { database, hasOpenNeighbours, close }
}

/** Sets up and migrates a database, as an operator would. */
export async function prepare({ adminUrl, rolePrefix, password }: TestDatabase): Promise<void> {
  const passwords = {
    migrator: password,
    server: password,
    auth: password,
    admin: password,
    backup: password,
    monitor: password,
  }
  await setUpDatabase({ adminUrl, rolePrefix, passwords })
  await migrate({ url: loginUrl({ adminUrl, rolePrefix, password }, 'migrator'), rolePrefix })
}

export const loginUrl = ({ adminUrl, rolePrefix, password }: TestDatabase, role: RoleName) =>
  urlOf(adminUrl, { username: roleNames(rolePrefix)[role], password })

/** The connection string with which a server serves requests. */
export const servingUrl = (database: TestDatabase, role: RoleName) =>
  urlOf(loginUrl(database, role), { ...(database.pooler && { host: database.pooler }) })

/**
 * A separate database for a test that changes the schema or stops connections; the run drops it. It is empty,
 * or a copy of another one.
 */
export async function separateDatabase(
  main: TestDatabase,
  name: string,
  template = 'template1',
): Promise<TestDatabase> {
  await createClosed(main.adminUrl, main.rolePrefix + name, template)
  return { ...main, adminUrl: urlOf(main.adminUrl, { database: main.rolePrefix + name }) }
}

/**
 * No role may connect to it before a setup allows it, at any moment: the self-check of a concurrent test
 * would report it.
 */
const createClosed = (url: string, name: string, template = 'template1') =>
  asAdmin(url, async (client) => {
    await client.query(`create database ${name} template ${template} allow_connections false`)
    await client.query(`revoke connect on database ${name} from public`)
    await client.query(`alter database ${name} allow_connections true`)
  })

export async function asAdmin<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

type UrlParts = { host?: string; database?: string; username?: string; password?: string }
function urlOf(base: string, { host, database, username, password }: UrlParts): string {
  const url = new URL(base)
  if (host) url.host = host
  if (database) url.pathname = `/${database}`
  if (username) url.username = username
  if (password) url.password = password
  return url.href
}
