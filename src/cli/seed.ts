/**
 * `npm run seed` creates an account for development: three routers, a house full of devices and two weeks of
 * scans. It prints how to sign in, also when it runs again. `-- --email ADDRESS` creates another account. Its
 * passwords and keys are in `seed.json` beside the database, readable only by the owner of the file.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { loadEnvFile, readConfig } from '../config/config.ts'
import { normalisedEmail } from '../network/email-address.ts'
import { run } from './run.ts'
import { type Api, createApi, Refused } from './seed/api.ts'
import { confirmEmail } from './seed/confirm-email.ts'
import { fillAccount } from './seed/fill.ts'
import { withTemporaryServer } from './seed/temporary-server.ts'

type Account = {
  password: string
  /** Missing until the account has been filled completely. */
  keys?: { agentKey: string; scriptKey: string }
}

run(async (print) => {
  const { values } = parseArgs({
    options: { email: { type: 'string', default: 'grace@example.com' }, yes: { type: 'boolean' } },
  })
  loadEnvFile()
  const config = readConfig(process.env)
  if ((config.database.url !== undefined || config.isProduction) && !values.yes)
    throw new Error(
      'This would put made-up people and devices into a database of your own, or one in production. If that is what you mean: npm run seed -- --yes',
    )
  const email = normalisedEmail(values.email)
  const file = join(config.dataDir, 'seed.json')
  const accounts = await readAccounts(file)
  const address = config.publicUrl ?? `http://localhost:${config.port}`

  await withTemporaryServer(async (url) => {
    const api = createApi(url)
    const known = accounts[email]
    const token = known && (await signIn(api, email, known.password))
    if (token && known.keys) {
      print(`${email} is there already; nothing was changed.`)
      return print(await summary(api, token))
    }
    // An account that was not filled completely is deleted and created again.
    if (token) await api({ token }, 'DELETE', '/api/users/account', { password: known.password })
    const account: Account = { password: randomBytes(18).toString('base64url') }
    const now = new Date()
    const registered = await register(api, email, account.password)
    accounts[email] = account
    await writeAccounts(file, accounts)
    await confirmEmail(api, email, join(config.dataDir, 'outbox'), now)
    print(`Filling the account of ${email}: about ten seconds ...`)
    account.keys = await fillAccount(api, { token: registered, password: account.password }, now)
    await writeAccounts(file, accounts)
    print(await summary(api, registered))
  })

  const { password, keys } = accounts[email] as Required<Account>
  const isRunning = await fetch(`${address}/health`).then(
    (answer) => answer.ok,
    () => false,
  )
  print(
    [
      '',
      `  address      ${address}${isRunning ? '' : ' (no server answers there yet: npm start)'}`,
      `  e-mail       ${email}`,
      `  password     ${password}`,
      '',
      'As a script of hers, and as the agent of the router "Home":',
      '',
      `  curl -H 'X-API-Key: ${keys.scriptKey}' '${address}/api/devices?sort=-lastSeen'`,
      `  curl -H 'X-API-Key: ${keys.agentKey}' -H 'Accept: text/plain' ${address}/api/agent/policy`,
      '',
      `Kept in ${file}. Another account: npm run seed -- --email ADDRESS`,
    ].join('\n'),
  )
})

/** @returns an access token, or undefined when the address and password match no account */
async function signIn(api: Api, email: string, password: string): Promise<string | undefined> {
  try {
    const answer = await api<{ accessToken: string }>(undefined, 'POST', '/api/auth/login', {
      email,
      password,
    })
    return answer.accessToken
  } catch (error) {
    if (error instanceof Refused && error.code === 'invalid-credentials') return undefined
    throw error
  }
}

async function register(api: Api, email: string, password: string): Promise<string> {
  try {
    const body = { email, password, fullName: 'Grace Example' }
    const answer = await api<{ accessToken: string }>(undefined, 'POST', '/api/auth/register', body)
    return answer.accessToken
  } catch (error) {
    if (error instanceof Refused && error.code === 'email-taken')
      throw new Error(
        `There is an account with the address ${email} that this command did not make, or whose password was changed since. Another one: npm run seed -- --email ADDRESS`,
      )
    throw error
  }
}

/** Summarises the account in one line. */
async function summary(api: Api, token: string): Promise<string> {
  const counts = ['routers', 'devices', 'groups', 'schedules', 'blocks'].map(async (name) => {
    const { total } = await api<{ total: number }>({ token }, 'GET', `/api/${name}?limit=1`)
    return `${total} ${name}`
  })
  return `It has ${(await Promise.all(counts)).join(', ')}.`
}

async function readAccounts(file: string): Promise<Record<string, Account>> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{}'
    throw error
  })
  return JSON.parse(text)
}

async function writeAccounts(file: string, accounts: Record<string, Account>): Promise<void> {
  // Same mode as the data directory of an embedded database: the user it runs as may only traverse it.
  await mkdir(dirname(file), { recursive: true, mode: 0o711 })
  await writeFile(`${file}.new`, `${JSON.stringify(accounts, null, 2)}\n`, { mode: 0o600 })
  await rename(`${file}.new`, file)
}
