/**
 * The one runner of `drizzle/*.sql`. Any number may start at once: an advisory lock lets one work, and the
 * others then find nothing to do. The runner applies each file by name, in one transaction, as the owner of
 * the schema. It stores the file's SHA-256, so that it notices an edited file.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { openClient } from '../client.ts'
import { roleNames, withPrefix } from '../role-names.ts'
import { hasManufacturers, loadManufacturers } from './manufacturers.ts'

export type Migration = {
  name: string
  sha256: Buffer
  up: string /** How to undo it; every migration has one. */
  down: string
}
export type MigrateOptions = { url: string; rolePrefix: string; directory?: string }

const DIRECTORY = fileURLToPath(new URL('../../../drizzle', import.meta.url))
/** An arbitrary fixed number that identifies the lock within the database. */
const LOCK = 7_265_713
/**
 * A migration that waits longer than `lock_timeout` for a table yields to requests and tries again, this
 * often.
 */
const LOCK_ATTEMPTS = 10
/** The migration waited too long, or it and another process (such as autovacuum) waited for each other. */
const LOCK_FAILURES = ['55P03', '40P01']

/** The migrations of a directory, in the order in which they apply. @throws when one has no down migration */
export async function readMigrations(directory: string = DIRECTORY): Promise<Migration[]> {
  const files = (await readdir(directory)).filter((file) => file.endsWith('.sql'))
  const ups = files.filter((file) => !file.endsWith('.down.sql')).sort()
  return Promise.all(
    ups.map(async (file) => {
      const name = file.slice(0, -'.sql'.length)
      if (!files.includes(`${name}.down.sql`))
        throw new Error(`Migration ${name} has no way back: write ${name}.down.sql`)
      const up = await readFile(join(directory, file), 'utf8')
      const down = await readFile(join(directory, `${name}.down.sql`), 'utf8')
      return { name, up, down, sha256: createHash('sha256').update(up).digest() }
    }),
  )
}

/**
 * The differences between a database and this version of the software; empty when they match. A newer version
 * applied the `unknown` migrations.
 */
export function compareMigrations(
  migrations: Migration[],
  applied: { name: string; sha256: Buffer }[],
): { missing: string[]; edited: string[]; unknown: string[] } {
  const known = new Map(applied.map((row) => [row.name, row.sha256]))
  return {
    missing: migrations.filter(({ name }) => !known.has(name)).map(({ name }) => name),
    edited: migrations
      .filter(({ name, sha256 }) => known.get(name)?.equals(sha256) === false)
      .map(({ name }) => name),
    unknown: applied
      .map(({ name }) => name)
      .filter((name) => !migrations.some((migration) => migration.name === name)),
  }
}

/** What an operator can do when applied migrations differ from ours: `migrate` itself refuses to run. */
export function editedRemedy(migrations: Migration[], edited: string[]): string {
  const target = migrations.findLast(({ name }) => edited.every((other) => name < other))?.name ?? 'none'
  return [
    '- Start the build that migrated it.',
    '- Or bring it to this build. Copy the data first: what the migrations that are undone store goes with them.',
    `    npm run migrate -- --back-to ${target}`,
    '    npm run migrate',
    '- Or, if you edited the files: restore them, and add a new migration instead.',
  ]
    .map((line) => `  ${line}`)
    .join('\n')
}

/**
 * Applies the missing migrations, and updates the reference data to this version. @returns the applied names
 * @throws when an applied file was edited since, or when one fails (it is rolled back)
 */
export async function migrate({ url, rolePrefix, directory }: MigrateOptions): Promise<string[]> {
  const migrations = await readMigrations(directory)
  return withLock({ url, rolePrefix }, async (client) => {
    const { missing, edited } = compareMigrations(migrations, await appliedMigrations(client))
    if (edited.length > 0)
      throw new Error(
        `Another build of NetPilot migrated this database; its files differ from these: ${edited.join(', ')}.\n${editedRemedy(migrations, edited)}`,
      )
    for (const { name, up, sha256 } of migrations.filter((migration) => missing.includes(migration.name))) {
      await inTransaction(client, rolePrefix, `Migration ${name}`, withPrefix(up, rolePrefix), () =>
        client.query('insert into drizzle.migrations (name, sha256) values ($1, $2)', [name, sha256]),
      )
    }
    if (directory === undefined) await loadManufacturers(client)
    return missing
  })
}

/** Whether `migrate` would find nothing to do. */
export async function isMigrated({ url, rolePrefix, directory }: MigrateOptions): Promise<boolean> {
  const migrations = await readMigrations(directory)
  const client = await openClient(url, 'netpilot migrate', 'DATABASE_MIGRATE_URL')
  try {
    await client.query(`set role ${pg.escapeIdentifier(roleNames(rolePrefix).owner)}`)
    const { missing, edited } = compareMigrations(migrations, await appliedMigrations(client))
    return missing.length === 0 && edited.length === 0 && (await hasManufacturers(client))
  } catch (error) {
    // Neither schema nor journal exists yet.
    if (['3F000', '42P01'].includes((error as pg.DatabaseError).code ?? '')) return false
    throw error
  } finally {
    await client.end()
  }
}

/**
 * Undoes the newest migrations until `target` is the newest applied one (`null`: until none is applied).
 * @returns the undone names
 */
export async function migrateBack(
  target: string | null,
  { url, rolePrefix, directory }: MigrateOptions,
): Promise<string[]> {
  const migrations = await readMigrations(directory)
  if (target !== null && !migrations.some(({ name }) => name === target))
    throw new Error(`There is no migration ${target}`)
  return withLock({ url, rolePrefix }, async (client) => {
    const applied = new Set((await appliedMigrations(client)).map(({ name }) => name))
    const undone = migrations
      .filter(({ name }) => applied.has(name) && (target === null || name > target))
      .reverse()
    for (const { name, down } of undone) {
      await inTransaction(
        client,
        rolePrefix,
        `The way back of migration ${name}`,
        withPrefix(down, rolePrefix),
        () => client.query('delete from drizzle.migrations where name = $1', [name]),
      )
    }
    return undone.map(({ name }) => name)
  })
}

const appliedMigrations = async (client: pg.Client) =>
  (await client.query<{ name: string; sha256: Buffer }>('select name, sha256 from drizzle.migrations')).rows

/** Takes the lock on a separate connection, as the owner, and creates the journal if necessary. */
async function withLock<T>(
  { url, rolePrefix }: MigrateOptions,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const names = roleNames(rolePrefix)
  const client = await openClient(url, 'netpilot migrate', 'DATABASE_MIGRATE_URL')
  try {
    // Waiting for another runner is no reason to fail. The lock belongs to the connection, so it also ends
    // with it.
    await client.query('set lock_timeout = 0')
    await client.query('select pg_advisory_lock($1)', [LOCK])
    await client.query(`set lock_timeout = '5s'`)
    await client.query(`set role ${pg.escapeIdentifier(names.owner)}`)
    await client.query(
      'create table if not exists drizzle.migrations (name text primary key, sha256 bytea not null, applied_at timestamptz not null default now())',
    )
    await client.query(`grant usage on schema drizzle to ${pg.escapeIdentifier(names.context)}`)
    await client.query(`grant select on drizzle.migrations to ${pg.escapeIdentifier(names.context)}`)
    return await work(client)
  } catch (error) {
    const { cause = error, message } = error as Error
    if ((cause as pg.DatabaseError).code !== '53100') throw error
    throw new Error(
      `${message}. Make room on the disk of the database, and migrate again: what was done before stays.`,
      { cause },
    )
  } finally {
    await client.end()
  }
}

async function inTransaction(
  client: pg.Client,
  rolePrefix: string,
  what: string,
  statements: string,
  record: () => Promise<unknown>,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.query('begin')
      await client.query(statements)
      // A file may have assumed the context role to create what that role owns; the journal belongs to the
      // owner.
      await client.query(`set local role ${pg.escapeIdentifier(roleNames(rolePrefix).owner)}`)
      await record()
      await client.query('commit')
      return
    } catch (error) {
      await client.query('rollback')
      const { code, message } = error as pg.DatabaseError
      if (LOCK_FAILURES.includes(code ?? '') && attempt < LOCK_ATTEMPTS) continue
      throw new Error(`${what} failed and was rolled back: ${message}`, { cause: error })
    }
  }
}
