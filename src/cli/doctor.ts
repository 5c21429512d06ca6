/**
 * `npm run doctor`: everything that a start asks of its database, at any time, and what takes the migrator's
 * rights besides. It changes nothing: the embedded database is not set up on the way, as it is by a start.
 * Exit code 0: nothing found; 2: nothing that would keep a server from starting; 1: more than that.
 */
import pg from 'pg'
import {
  type Config,
  ConfigError,
  loadEnvFile,
  readConfig,
  requireProductionSettings,
} from '../config/config.ts'
import { checkAuditLog } from '../database/catalogue/audit-chain.ts'
import { checkLookups } from '../database/catalogue/lookup-gaps.ts'
import {
  checkDatabase,
  checkLogins,
  explain,
  refuses,
  type Section,
} from '../database/catalogue/self-check.ts'
import { type LocalDatabase, openLocalDatabase } from '../database/local.ts'
import { readMigrations } from '../database/migrations/runner.ts'
import { type RoleName, roleNames } from '../database/role-names.ts'
import { run } from './run.ts'

run(async (print) => {
  loadEnvFile()
  const config = readConfig(process.env)
  const { dataDir, database } = config
  const local =
    database.url === undefined
      ? await openLocalDatabase(dataDir, database.rolePrefix, { readOnly: true })
      : undefined
  try {
    const sections = [checkConfiguration(config, local), ...(await examine(config, local))]
    for (const line of table(sections)) print(line)
    if (!sections.some(({ name }) => name === 'audit'))
      print('\nThe audit log was not read: that takes DATABASE_MIGRATE_URL, and a database that is migrated.')
    print(
      [
        '',
        ...(sections.every(({ findings }) => findings.length === 0) ? ['Nothing found.'] : explain(sections)),
      ].join('\n'),
    )
    process.exitCode = sections.some(refuses)
      ? 1
      : sections.some(({ findings }) => findings.length > 0)
        ? 2
        : 0
  } finally {
    await local?.stop()
  }
})

/**
 * That secrets are strong was asked when they were read. Those of the embedded database were made by its
 * start.
 */
function checkConfiguration(config: Config, local: LocalDatabase | undefined): Section {
  const faults = () => {
    try {
      if (!local) requireProductionSettings(config)
      return []
    } catch (error) {
      if (error instanceof ConfigError) return error.faults
      throw error
    }
  }
  return {
    name: 'configuration',
    promise: 'has what it takes to serve from it: three connection strings and two secrets',
    remedy: 'See .env.example.',
    lookedAt: 5,
    findings: faults().map((what) => ({ what, isWarning: false })),
  }
}

async function examine({ database }: Config, local: LocalDatabase | undefined): Promise<Section[]> {
  const roles = roleNames(database.rolePrefix)
  const migrations = await readMigrations()
  const strings: [variable: string, role: RoleName, url: string | undefined][] = [
    ['DATABASE_URL', 'server', local?.urls.server ?? database.url],
    ['DATABASE_URL_DIRECT', 'server', local ? undefined : database.directUrl],
    ['DATABASE_AUTH_URL', 'auth', local?.urls.auth ?? database.authUrl],
    ['DATABASE_ADMIN_URL', 'admin', local?.urls.admin ?? database.adminUrl],
    ['DATABASE_MIGRATE_URL', 'migrator', local?.urls.migrate ?? database.migrateUrl],
  ]
  const open = new Map<string, pg.Client>()
  const unreachable: string[] = []
  try {
    for (const [variable, , url] of strings) {
      if (url === undefined) continue
      const options = {
        connectionString: url,
        application_name: 'netpilot doctor',
        connectionTimeoutMillis: 5_000,
        pipeline: true,
      }
      const client = new pg.Client(options)
      await client.connect().then(
        () => open.set(variable, client),
        (error: NodeJS.ErrnoException) => unreachable.push(`${variable}: ${error.message || error.code}`),
      )
    }
    const logins = await checkLogins(
      strings.flatMap(([variable, role]) => {
        const db = open.get(variable)
        return db ? [{ variable, role: roles[role], db, migrates: role === 'migrator' }] : []
      }),
    )
    logins.lookedAt += unreachable.length
    logins.findings.push(...unreachable.map((what) => ({ what, isWarning: false })))
    const [server, migrator] = [open.get('DATABASE_URL'), open.get('DATABASE_MIGRATE_URL')]
    const asked = server ? await checkDatabase(server, migrations, roles) : []
    const isMigrated = asked.some(({ name, findings }) => name === 'migrations' && findings.length === 0)
    const read =
      migrator && isMigrated
        ? [await checkAuditLog(migrator, roles), await checkLookups(migrator, roles)]
        : []
    return [logins, ...asked, ...read]
  } finally {
    await Promise.all([...open.values()].map((client) => client.end()))
  }
}

const counted = (count: number, word: string): string[] =>
  count > 0 ? [`${count} ${word}${count > 1 ? 's' : ''}`] : []

/** A line for each check, under a heading. */
function table(sections: Section[]): string[] {
  const width = Math.max(...sections.map(({ name }) => name.length))
  const line = (name: string, lookedAt: string, found: string) =>
    `${name.padEnd(width)}  ${lookedAt.padStart(9)}  ${found}`
  return [
    line('check', 'looked at', 'found'),
    ...sections.map(({ name, lookedAt, findings }) => {
      const warnings = findings.filter(({ isWarning }) => isWarning).length
      const words = [...counted(findings.length - warnings, 'error'), ...counted(warnings, 'warning')]
      return line(name, String(lookedAt), words.join(', ') || '-')
    }),
  ]
}
