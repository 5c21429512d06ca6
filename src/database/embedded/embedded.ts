/**
 * The PostgreSQL that runs when no DATABASE_URL is set: a real server from npm's platform packages, on
 * loopback. It lives exactly as long as the process that owns it. A second process on the same data attaches
 * to the running server instead.
 *
 *     <dataDir>/postgresql.lock        locked by the owner for as long as its server runs
 *     <dataDir>/postgresql/data        the cluster
 *     <dataDir>/postgresql/password    of the superuser `postgres`
 *     <dataDir>/postgresql/server.log  since this start; `server.log.1` is the one before
 */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import { StartRefused } from '../start-refused.ts'
import { findBinaries } from './binaries.ts'
import { createCluster, requireVersion, waitForOldServer } from './cluster.ts'
import { type Home, resolveDataDirectory } from './home.ts'
import { tryLock } from './lock.ts'
import { findServer, readPassword, type Settings, startServer } from './server.ts'

export type EmbeddedDatabase = {
  /** Connection string of the superuser, on loopback, password included: keep it out of logs. */
  url: string
  /**
   * The data directory: `dataDir` as given, or a directory under /var/lib/netpilot when root's server cannot
   * reach that.
   */
  dataDir: string
  /**
   * Stops the server and waits until it has ended. It cuts off open connections, and PostgreSQL rolls back
   * their transactions. It does nothing in a process that attached: that server ends when its owner stops or
   * dies.
   */
  stop(): Promise<void>
  /**
   * Resolves when the server has ended without a call of `stop`: it crashed, or its owner, to which this
   * process attached, ended.
   */
  lost: Promise<void>
}

/** How long to wait for another process that is starting the same database, milliseconds. */
const PATIENCE_MS = 60_000

/**
 * Starts the database in `dataDir` and creates both if necessary, or attaches to it if another process runs
 * it already. Any number of processes may call this at once. `settings` are postgresql.conf settings, such as
 * `fsync: 'off'` for a throw-away database.
 * @throws Error saying what is missing or wrong and what to do, with the end of PostgreSQL's log if there is
 * one
 */
export async function startEmbedded(options: {
  dataDir: string
  settings?: Settings
}): Promise<EmbeddedDatabase> {
  if (process.platform === 'win32') {
    throw new StartRefused(
      'The embedded PostgreSQL needs Linux or macOS. On Windows use WSL, or set DATABASE_URL to a PostgreSQL server.',
    )
  }
  const home = await resolveDataDirectory(resolve(options.dataDir))
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const release = tryLock(join(home.directory, 'postgresql.lock'))
    if (release) return await own(home, options.settings ?? {}, release)
    const url = await findServer(home.cluster)
    if (url) return attach(home, url)
    if (performance.now() > deadline)
      throw new StartRefused(
        `Another process has been starting the database in ${home.directory} for a minute.`,
      )
    await setTimeout(25)
  }
}

async function own(home: Home, settings: Settings, release: () => void): Promise<EmbeddedDatabase> {
  try {
    const binaries = await findBinaries(home.account)
    if (!existsSync(home.cluster))
      await createCluster(home, binaries, { isDurable: settings.fsync !== 'off' })
    await requireVersion(home, binaries)
    await readPassword(home.cluster, binaries)
    const leftover = await waitForOldServer(home.cluster)
    if (leftover) {
      release()
      return attach(home, leftover)
    }
    const server = await startServer(home, binaries, settings)
    const gone = server.exited.then(release)
    let isStopped = false
    const stop = () => {
      isStopped = true
      server.end()
      return gone
    }
    const lost = new Promise<void>((resolve) => void gone.then(() => isStopped || resolve()))
    return { url: server.url, dataDir: home.directory, stop, lost }
  } catch (error) {
    release()
    throw error
  }
}

/** Keeps one connection for as long as it is attached: when that connection ends, the server has ended. */
async function attach(home: Home, url: string): Promise<EmbeddedDatabase> {
  const witness = new pg.Client({
    connectionString: url,
    application_name: 'netpilot attached',
    keepAlive: true,
  })
  witness.on('error', () => {})
  await witness.connect()
  let isStopped = false
  const lost = new Promise<void>((resolve) => void witness.once('end', () => isStopped || resolve()))
  const stop = async () => {
    isStopped = true
    await witness.end()
  }
  return { url, dataDir: home.directory, stop, lost }
}
