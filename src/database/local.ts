/**
 * The database of an installation without a configured one: an embedded PostgreSQL, set up and migrated, with
 * secrets of its own.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type pg from 'pg'
import { openClient } from './client.ts'
import { startEmbedded } from './embedded/embedded.ts'
import { type Home, resolveDataDirectory } from './embedded/home.ts'
import { isMigrated } from './migrations/runner.ts'
import { roleNames } from './role-names.ts'
import { bindSecrets, type LocalSecrets, makeSecrets, readSecrets } from './secrets-file.ts'
import { setUpDatabase } from './setup.ts'
import { StartRefused } from './start-refused.ts'

export type LocalDatabase = {
  urls: Record<'server' | 'auth' | 'admin' | 'migrate', string>
  secrets: LocalSecrets
  /** The data directory. */
  dataDir: string
  /** Whether this start created the database. */
  isNew: boolean
  stop(): Promise<void>
  /** Resolves when the database has ended and this process did not stop it. */
  lost: Promise<void>
}

const DATABASE = 'netpilot'
/** An arbitrary fixed number that identifies the lock within the cluster's first database. */
const LOCK = 7_265_715

/**
 * Starts the database, or attaches to it. Unless `readOnly` is set, it also creates, sets up and migrates the
 * database.
 * @throws Error when `readOnly` finds no usable database, when database and secrets do not belong together,
 * and what `startEmbedded` throws
 */
export async function openLocalDatabase(
  dataDir: string,
  rolePrefix: string,
  { readOnly = false } = {},
): Promise<LocalDatabase> {
  const none = () => new StartRefused(`There is no database in ${dataDir} yet: "npm start" makes one.`)
  if (readOnly && !existsSync(dataDir)) throw none()
  const home = await resolveDataDirectory(resolve(dataDir))
  const secretsFile = join(dataDir, 'secrets.json')
  // A first start writes the secrets, then the cluster, then the cluster's id into the secrets. Any other
  // combination means that a part was lost.
  const isNew = !existsSync(home.cluster)
  const kept = await readSecrets(secretsFile)
  if (!kept && !isNew) throw secretsLost(home, secretsFile)
  if (kept?.databaseId && !existsSync(home.cluster)) throw databaseLost(home, secretsFile)
  if (readOnly && isNew) throw none()
  const secrets = kept ?? (await makeSecrets(secretsFile))
  const embedded = await startEmbedded({ dataDir })
  try {
    const databaseId = await systemIdentifier(embedded.url)
    if (secrets.databaseId === undefined) await bindSecrets(secretsFile, secrets, databaseId)
    else if (secrets.databaseId !== databaseId) throw secretsMismatched(home, secretsFile)
    const adminUrl = new URL(embedded.url)
    adminUrl.pathname = `/${DATABASE}`
    if (!readOnly) {
      await ensureDatabase(embedded.url)
      await setUpDatabase({ adminUrl: adminUrl.href, rolePrefix, passwords: secrets.databasePasswords })
    }
    const names = roleNames(rolePrefix)
    const urlOf = (role: keyof LocalSecrets['databasePasswords']) => {
      const url = new URL(adminUrl)
      url.username = names[role]
      url.password = secrets.databasePasswords[role]
      return url.href
    }
    const urls = {
      server: urlOf('server'),
      auth: urlOf('auth'),
      admin: urlOf('admin'),
      migrate: urlOf('migrator'),
    }
    if (!readOnly && !(await isMigrated({ url: urls.migrate, rolePrefix })))
      await migrateApart(home, urls, rolePrefix)
    return { urls, secrets, dataDir: embedded.dataDir, isNew, stop: embedded.stop, lost: embedded.lost }
  } catch (error) {
    await embedded.stop()
    throw error
  }
}

const secretsLost = ({ cluster }: Home, secretsFile: string) =>
  new StartRefused(
    `The database in ${cluster} is there, but its secrets are not: ${secretsFile} is missing. Without them no password is right, and no second factor can be read.
  - Put back the secrets.json that was copied together with this database.
  - Or begin anew with an empty database: mv ${cluster} ${cluster}.old`,
  )

const databaseLost = ({ cluster, places }: Home, secretsFile: string) =>
  new StartRefused(
    `The secrets in ${secretsFile} are there, but their database is not: there is no ${places.map((place) => join(place, 'postgresql')).join(' and no ')}.
  - Put back the directory that was copied together with these secrets, to ${cluster}.
  - Or begin anew with an empty database: mv ${secretsFile} ${secretsFile}.old`,
  )

const secretsMismatched = ({ cluster }: Home, secretsFile: string) =>
  new StartRefused(
    `The secrets in ${secretsFile} belong to another database than the one in ${cluster}. With them no password would be right, and no second factor could be read.
  - Put back the secrets.json that was copied together with this database, or the database that was copied together with these secrets.
  - Or begin anew with an empty database: mv ${cluster} ${cluster}.old; mv ${secretsFile} ${secretsFile}.old`,
  )

/**
 * Runs `npm run migrate` as a separate process: the registry of manufacturers that it reads would stay in
 * this process's memory.
 */
async function migrateApart(
  { cluster }: Home,
  urls: LocalDatabase['urls'],
  rolePrefix: string,
): Promise<void> {
  const env = {
    ...process.env,
    DATABASE_URL: urls.server,
    DATABASE_MIGRATE_URL: urls.migrate,
    DATABASE_ROLE_PREFIX: rolePrefix,
  }
  await promisify(execFile)(
    process.execPath,
    [fileURLToPath(new URL('../cli/migrate.ts', import.meta.url))],
    { env },
  ).catch(({ stderr, message }: Error & { stderr?: string }) => {
    throw new StartRefused(`The database in ${cluster} could not be migrated. ${stderr?.trim() || message}
PostgreSQL's own words, such as of a full disk, are in ${join(cluster, 'server.log')}.`)
  })
}

/** The system identifier of the cluster: it stays the same in every copy of the data. */
async function systemIdentifier(url: string): Promise<string> {
  const client = await openClient(url, 'netpilot start')
  try {
    const { rows } = await client.query<{ id: string }>(
      'select system_identifier::text as id from pg_control_system()',
    )
    return rows[0]?.id ?? ''
  } finally {
    await client.end()
  }
}

async function ensureDatabase(url: string): Promise<void> {
  const client = await openClient(url, 'netpilot start')
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE])
    if (rowCount === 0) {
      await client.query(`create database ${DATABASE}`).catch((error: pg.DatabaseError) => {
        // A concurrent start created it at the same moment.
        if (error.code !== '42P04' && error.code !== '23505') throw error
      })
    }
    // The other databases of the cluster have no fence, and no other role needs them. Concurrent starts take
    // turns: PostgreSQL refuses the second of two changes to one row of its catalogue.
    await client.query('select pg_advisory_lock($1)', [LOCK])
    await client.query('revoke connect on database postgres, template1 from public')
  } finally {
    await client.end()
  }
}
