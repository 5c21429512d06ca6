/** The database of an installation that was given none: an embedded PostgreSQL, set up and migrated, with secrets of its own. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { startEmbedded } from './embedded.ts'
import { isMigrated } from './migrations.ts'
import { roleNames } from './role-names.ts'
import { keepSecrets, type LocalSecrets } from './secrets-file.ts'
import { setUpDatabase } from './setup.ts'

export type LocalDatabase = {
  urls: Record<'server' | 'auth' | 'admin' | 'migrate', string>
  secrets: LocalSecrets
  /** Where the data lies. */
  dataDir: string
  stop(): Promise<void>
  /** Resolves when the database is gone though nobody here stopped it. */
  lost: Promise<void>
}

const DATABASE = 'netpilot'

/**
 * Starts the database, or attaches to it. Unless it is to be taken `asItIs`, it is made, set up and migrated on the way.
 * @throws Error when there is none to be taken as it is, and what `startEmbedded` does
 */
export async function openLocalDatabase(dataDir: string, rolePrefix: string, { asItIs = false } = {}): Promise<LocalDatabase> {
  const secretsFile = join(dataDir, 'secrets.json')
  if (asItIs && !existsSync(secretsFile)) throw new Error(`There is no database in ${dataDir} yet: "npm start" makes one.`)
  const secrets = await keepSecrets(secretsFile)
  const embedded = await startEmbedded({ dataDir })
  try {
    const adminUrl = new URL(embedded.url)
    adminUrl.pathname = `/${DATABASE}`
    if (!asItIs) {
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
    const urls = { server: urlOf('server'), auth: urlOf('auth'), admin: urlOf('admin'), migrate: urlOf('migrator') }
    if (!asItIs && !(await isMigrated({ url: urls.migrate, rolePrefix }))) await migrateApart(urls, rolePrefix)
    return { urls, secrets, dataDir: embedded.dataDir, stop: embedded.stop, lost: embedded.lost }
  } catch (error) {
    await embedded.stop()
    throw error
  }
}

/** `npm run migrate` as a process of its own: what it reads (the registry of manufacturers) would stay in this one's memory. */
async function migrateApart(urls: LocalDatabase['urls'], rolePrefix: string): Promise<void> {
  const env = { ...process.env, DATABASE_URL: urls.server, DATABASE_MIGRATE_URL: urls.migrate, DATABASE_ROLE_PREFIX: rolePrefix }
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL('../cli/migrate.ts', import.meta.url))], { env })
}

async function ensureDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE])
    if (rowCount === 0) {
      await client.query(`create database ${DATABASE}`).catch((error: pg.DatabaseError) => {
        // Another start made it in the same moment.
        if (error.code !== '42P04' && error.code !== '23505') throw error
      })
    }
    // The other databases of the cluster have no fence, and nobody else has business there.
    await client.query('revoke connect on database postgres, template1 from public')
  } finally {
    await client.end()
  }
}
