/**
 * `npm run setup` is needed once per database and may be repeated. DATABASE_SETUP_URL must be an
 * administrator's. The command makes the roles match the connection strings in the environment, and prints
 * those that it generated.
 */
import { loadEnvFile, readConfig } from '../config/config.ts'
import { roleNames } from '../database/role-names.ts'
import { type LoginRole, newPassword, setUpDatabase } from '../database/setup.ts'
import { run } from './run.ts'

/** The variable with the connection string of each role. */
const VARIABLES = {
  server: 'DATABASE_URL',
  auth: 'DATABASE_AUTH_URL',
  admin: 'DATABASE_ADMIN_URL',
  migrator: 'DATABASE_MIGRATE_URL',
} as const
type SetUpRole = keyof typeof VARIABLES

run(async (print) => {
  loadEnvFile()
  const { database } = readConfig(process.env)
  if (!database.setupUrl)
    throw new Error(
      "DATABASE_SETUP_URL is missing: set an administrator's connection string to the database that NetPilot is to use",
    )
  const given: Record<SetUpRole, string | undefined> = {
    server: database.url,
    auth: database.authUrl,
    admin: database.adminUrl,
    migrator: database.migrateUrl,
  }
  const names = roleNames(database.rolePrefix)
  const made: string[] = []
  const passwords: Partial<Record<LoginRole, string>> = {}
  for (const role of Object.keys(VARIABLES) as SetUpRole[]) {
    const url = new URL(given[role] ?? database.setupUrl)
    if (given[role] === undefined) {
      url.username = names[role]
      url.password = newPassword()
      made.push(`${VARIABLES[role]}=${url.href}`)
    } else if (decodeURIComponent(url.username) !== names[role])
      throw new Error(`${VARIABLES[role]} must name the role ${names[role]}`)
    passwords[role] = decodeURIComponent(url.password)
  }
  const { created, refused } = await setUpDatabase({
    adminUrl: database.setupUrl,
    rolePrefix: database.rolePrefix,
    passwords,
  })
  print(
    created.length > 0
      ? `Created the roles ${created.map((role) => names[role]).join(', ')}.`
      : 'The roles already exist and are correct.',
  )
  for (const refusal of refused)
    print(`The server refused (NetPilot runs without it; a superuser could do it): ${refusal}`)
  if (made.length === 0) return
  print(
    '\nNew passwords were set. Keep these lines in .env (readable only by you); they are not shown again:\n',
  )
  for (const line of made) print(line)
})
