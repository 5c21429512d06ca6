/**
 * `npm run create-admin -- ada@example.com` makes the account with this address an administrator, because the
 * first administrator has to come from somewhere. If there is no such account, the command asks whether to
 * create one (`--new` answers yes). It then prints a token with which the owner chooses a password.
 * `--remove` takes the administrator role away again. The account stays.
 */
import { parseArgs } from 'node:util'
import { findAccountByEmail, makeAdministrator, removeAdministrator } from '../auth/credentials/repository.ts'
import { addToken } from '../auth/one-time-tokens/repository.ts'
import { ConfigError, loadEnvFile, readConfig } from '../config/config.ts'
import { cannotConnect } from '../database/client.ts'
import { openLocalDatabase } from '../database/local.ts'
import { createPool } from '../database/pool.ts'
import { roleNames } from '../database/role-names.ts'
import { MINUTES } from '../mail/account-mail.ts'
import { normalisedEmail } from '../network/email-address.ts'
import { ANONYMOUS } from '../rls/identity.ts'
import { createTransactions } from '../rls/transaction.ts'
import { confirm } from './confirm.ts'
import { run } from './run.ts'

run(async (print) => {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { new: { type: 'boolean' }, remove: { type: 'boolean' } },
  })
  const email = normalisedEmail(positionals[0] ?? '')
  if (positionals.length !== 1 || !/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(email) || (values.new && values.remove))
    throw new Error('Usage: npm run create-admin -- [--new | --remove] ada@example.com')
  loadEnvFile()
  const { database, dataDir } = readConfig(process.env)
  const local = database.url === undefined ? await openLocalDatabase(dataDir, database.rolePrefix) : undefined
  const url = local?.urls.auth ?? database.authUrl
  if (!url)
    throw new ConfigError([
      'DATABASE_AUTH_URL is missing: set the connection string that "npm run setup" prints',
    ])
  // The rights of the auth login suffice here, so the other two logins are not needed.
  const pool = createPool({
    url,
    size: 1,
    acquireTimeoutMs: 5_000,
    applicationName: 'netpilot create-admin',
    onIdleError: () => {},
  })
  try {
    await pool.query('select').catch((error) => {
      throw cannotConnect('DATABASE_AUTH_URL', error)
    })
    const roles = roleNames(database.rolePrefix)
    const withTransaction = createTransactions({
      server: pool,
      auth: pool,
      admin: pool,
      roles,
      namedStatements: false,
    })
    const isThere = await withTransaction(ANONYMOUS, (tx) => findAccountByEmail(tx, email), {
      readOnly: true,
    })
    if (values.remove) {
      if (!isThere) throw new Error(`There is no account with the address ${email}.`)
      await withTransaction(ANONYMOUS, (tx) => removeAdministrator(tx, isThere.id))
      return print(`${email} is no administrator any more.`)
    }
    const question = `There is no account with the address ${email}. Create one as an administrator?`
    if (!isThere && !values.new && !(await confirm(question, process)))
      throw new Error(
        `There is no account with the address ${email}, and none was created. To create one: npm run create-admin -- --new ${email}`,
      )
    const token = await withTransaction(ANONYMOUS, async (tx) => {
      const { id, isNew } = await makeAdministrator(tx, email)
      return isNew ? addToken(tx, id, { purpose: 'invitation', minutes: MINUTES.invitation }) : undefined
    })
    print(`${email} is an administrator.`)
    if (token)
      print(
        `\nThe account is new. Choose its password within a week, by POST /api/auth/reset-password with this token:\n\n${token}`,
      )
  } finally {
    await pool.end()
    await local?.stop()
  }
})
