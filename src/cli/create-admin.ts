/**
 * `npm run create-admin -- ada@example.com`: makes the account with this address an administrator; the first one has to come from somewhere.
 * Where there is no such account it makes one, and prints the token that its owner chooses a password with.
 */
import { parseArgs } from 'node:util'
import { SIGN_IN } from '../auth/identity.ts'
import { MINUTES } from '../auth/owner-mail.ts'
import { normalisedEmail } from '../auth/password-proof.ts'
import { makeAdministrator } from '../auth/repository.ts'
import { addToken } from '../auth/token-repository.ts'
import { ConfigError, loadEnvFile, readConfig } from '../config.ts'
import { cannotConnect } from '../database/client.ts'
import { openLocalDatabase } from '../database/local.ts'
import { openPool } from '../database/pool.ts'
import { roleNames } from '../database/role-names.ts'
import { openSessions } from '../rls/session.ts'
import { run } from './run.ts'

run(async (print) => {
  const { positionals } = parseArgs({ allowPositionals: true })
  const email = normalisedEmail(positionals[0] ?? '')
  if (positionals.length !== 1 || !/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(email))
    throw new Error('Usage: npm run create-admin -- ada@example.com')
  loadEnvFile()
  const { database, dataDir } = readConfig(process.env)
  const local = database.url === undefined ? await openLocalDatabase(dataDir, database.rolePrefix) : undefined
  const url = local?.urls.auth ?? database.authUrl
  if (!url) throw new ConfigError(['DATABASE_AUTH_URL is missing: set the connection string that "npm run setup" prints'])
  // Accounts are the auth login's; the other two are not needed.
  const pool = openPool({ url, size: 1, acquireTimeoutMs: 5_000, applicationName: 'netpilot create-admin', onIdleError: () => {} })
  try {
    await pool.query('select').catch((error) => {
      throw cannotConnect('DATABASE_AUTH_URL', error)
    })
    const roles = roleNames(database.rolePrefix)
    const withSession = openSessions({ server: pool, auth: pool, admin: pool, roles, namedStatements: false })
    const token = await withSession(SIGN_IN, async (tx) => {
      const { id, isNew } = await makeAdministrator(tx, email)
      return isNew ? addToken(tx, id, { purpose: 'invitation', minutes: MINUTES.invitation }) : undefined
    })
    print(`${email} is an administrator.`)
    if (token)
      print(`\nThe account is new. Choose its password within a week, by POST /api/auth/reset-password with this token:\n\n${token}`)
  } finally {
    await pool.end()
    await local?.stop()
  }
})
