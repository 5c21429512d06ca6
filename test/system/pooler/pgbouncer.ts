/**
 * A PgBouncer of a test's own, with the settings that we recommend (docs/pgbouncer.ini). It ends with the
 * process that started it.
 */
import { chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { endOfLog, runGuarded } from '../../../src/database/embedded/guard.ts'
import { serviceAccount } from '../../../src/database/embedded/home.ts'
import { freePort } from '../../../src/database/embedded/server.ts'
import { roleNames } from '../../../src/database/role-names.ts'
import { asAdmin, servingUrl, type TestDatabase } from '../../support/database.ts'

const RECOMMENDED = join(import.meta.dirname, '../../../docs/pgbouncer.ini')
/** Debian puts it where only root's PATH leads. */
const PATH = `${process.env.PATH}:/usr/sbin`

export type Pooler = { /** Host and port. */ address: string; stop(): Promise<void> }

type PoolerOptions = {
  /** Host and port that it connects to. */
  upstream?: string
  /** Other settings than we recommend. */
  settings?: Record<string, string | number>
}

/** With two connections for each role. @throws Error with the end of its log when it does not serve */
export async function startPooler(
  database: TestDatabase,
  options: PoolerOptions = {},
  attempt = 1,
): Promise<Pooler> {
  const directory = await mkdtemp(join(tmpdir(), 'netpilot-pooler-'))
  const [config, users, log] = [
    join(directory, 'pgbouncer.ini'),
    join(directory, 'userlist.txt'),
    join(directory, 'pgbouncer.log'),
  ]
  const upstream = new URL(options.upstream ? `postgres://${options.upstream}` : database.adminUrl)
  const port = await freePort()
  const ours = {
    listen_port: port,
    unix_socket_dir: '',
    auth_file: users,
    default_pool_size: 2,
    ...options.settings,
  }
  const everyDatabase = `* = host=${upstream.hostname} port=${upstream.port || 5432}`
  const recommended = (await readFile(RECOMMENDED, 'utf8')).replace(/^netpilot = .*$/m, everyDatabase)
  // What stands last counts.
  await writeFile(
    config,
    [recommended, ...Object.entries(ours).map(([name, value]) => `${name} = ${value}`), ''].join('\n'),
  )
  const { server, auth, admin } = roleNames(database.rolePrefix)
  await writeFile(users, [server, auth, admin].map((role) => `"${role}" "${database.password}"\n`).join(''))
  // It refuses to run as root.
  const account = process.getuid?.() === 0 ? await serviceAccount() : undefined
  if (account)
    await Promise.all([directory, config, users].map((path) => chown(path, account.uid, account.gid)))

  const program = runGuarded(['env', `PATH=${PATH}`, 'pgbouncer', config], log, account)
  const stop = async () => {
    program.end()
    await program.exited
    await rm(directory, { recursive: true, force: true })
  }
  const address = `127.0.0.1:${port}`
  const gone = program.exited.then(() => true)
  while (!(await answers({ ...database, pooler: address }))) {
    if (!(await Promise.race([gone, wait(10, false)]))) continue
    const reason = await endOfLog(log)
    await stop()
    // Between finding the port free and taking it, another program may have taken it.
    if (reason.includes('cannot listen') && attempt < 3) return startPooler(database, options, attempt + 1)
    throw new Error(`PgBouncer (Debian: apt-get install pgbouncer) did not start.\n${reason}`)
  }
  return { address, stop }
}

/** A client is let in only when PostgreSQL let the pooler in. */
const answers = (database: TestDatabase): Promise<boolean> =>
  asAdmin(servingUrl(database, 'server'), async () => true).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNREFUSED') return false
    throw error
  })
