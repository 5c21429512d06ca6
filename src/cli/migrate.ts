/**
 * `npm run migrate` brings the database up to this version. `npm run migrate -- --back-to NAME` (or `none`)
 * undoes all migrations after NAME.
 */
import { parseArgs } from 'node:util'
import { loadEnvFile, readConfig } from '../config/config.ts'
import { openLocalDatabase } from '../database/local.ts'
import { migrate, migrateBack } from '../database/migrations/runner.ts'
import { run } from './run.ts'

run(async (print) => {
  const { values } = parseArgs({ options: { 'back-to': { type: 'string' } } })
  loadEnvFile()
  const { database, dataDir } = readConfig(process.env)
  const backTo = values['back-to']
  // Starting the embedded database in the usual way would migrate it, and it may be unfit for that.
  const local =
    database.url === undefined
      ? await openLocalDatabase(dataDir, database.rolePrefix, { readOnly: backTo !== undefined })
      : undefined
  try {
    const url = local?.urls.migrate ?? database.migrateUrl
    if (!url)
      throw new Error(
        'DATABASE_MIGRATE_URL is missing: set the connection string of the migrator that "npm run setup" prints',
      )
    const options = { url, rolePrefix: database.rolePrefix }
    const done =
      backTo === undefined
        ? await migrate(options)
        : await migrateBack(backTo === 'none' ? null : backTo, options)
    print(
      done.length === 0
        ? 'Nothing to do: the database is at this version.'
        : `${backTo === undefined ? 'Applied' : 'Undone'}: ${done.join(', ')}`,
    )
  } finally {
    await local?.stop()
  }
})
