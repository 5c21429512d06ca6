/** The cluster on disk: creates it, checks it, and waits until no earlier server uses it. */
import { execFile } from 'node:child_process'
import { chown, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { newPassword } from '../setup.ts'
import { StartRefused } from '../start-refused.ts'
import { type Binaries, LOCALE } from './binaries.ts'
import { endOfLog, runGuarded } from './guard.ts'
import type { Home } from './home.ts'
import { findServer, readPidFile } from './server.ts'

/** A leftover server that still answers after this time will not stop: a person started it. Milliseconds. */
const LEFTOVER_STAYS_MS = 2_000
/** The longest wait for the shutdown of a leftover server, milliseconds. */
const LEFTOVER_PATIENCE_MS = 60_000

/**
 * Creates cluster and password under a temporary name, and renames the directory when it is complete. A crash
 * in between leaves no incomplete cluster. The caller has the lock. @throws Error with the end of initdb's
 * output
 */
export async function createCluster(
  home: Home,
  { initdb }: Binaries,
  { isDurable }: { isDurable: boolean },
): Promise<void> {
  const prefix = 'postgresql-unfinished-'
  for (const name of await readdir(home.directory)) {
    // An initdb whose parent was just killed may write there a moment longer.
    if (name.startsWith(prefix))
      await rm(join(home.directory, name), { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  }
  const unfinished = await mkdtemp(join(home.directory, prefix))
  try {
    const password = join(unfinished, 'password')
    await writeFile(password, newPassword(), { mode: 0o600, flush: true })
    if (home.account) {
      await chown(password, home.account.uid, home.account.gid)
      await chown(unfinished, home.account.uid, home.account.gid)
    }
    const log = join(unfinished, 'server.log')
    const flags = [
      '--username=postgres',
      '--auth=scram-sha-256',
      `--pwfile=${password}`,
      '--encoding=UTF8',
      '--locale-provider=builtin',
    ]
    const locale = [`--locale=${LOCALE}`, '--builtin-locale=C.UTF-8']
    const command = [
      initdb,
      '-D',
      join(unfinished, 'data'),
      ...flags,
      ...locale,
      ...(isDurable ? [] : ['--no-sync']),
    ]
    const status = await runGuarded(command, log, home.account).exited
    if (status !== 0)
      throw new StartRefused(
        `The database could not be created in ${home.directory}.\n${await endOfLog(log)}`,
      )
    await rename(unfinished, home.cluster)
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true })
    throw error
  }
}

/** @throws Error when another major version created the cluster: these programs cannot read its data */
export async function requireVersion({ cluster }: Home, { major }: Binaries): Promise<void> {
  const found = (await readFile(join(cluster, 'data/PG_VERSION'), 'utf8')).trim()
  if (found === major) return
  throw new StartRefused(
    `${cluster} holds data of PostgreSQL ${found}, but this is PostgreSQL ${major}. Export it with the release that made it and import it ` +
      'here, or move the directory away to start empty.',
  )
}

/**
 * The caller has the lock, so a server on this cluster belongs to a process that has just died, and is
 * shutting down. Waits until that server has ended. Removes the pid file of a crashed server, because its pid
 * may now belong to another program. @returns the connection string of a server that stays because it never
 * was ours
 */
export async function waitForOldServer(cluster: string): Promise<string | undefined> {
  const start = performance.now()
  while (await isServed(cluster)) {
    const waited = performance.now() - start
    const url = waited > LEFTOVER_STAYS_MS ? await findServer(cluster) : undefined
    if (url) return url
    if (waited > LEFTOVER_PATIENCE_MS)
      throw new StartRefused(
        `A PostgreSQL that neither answers nor ends holds ${cluster}/data: see postmaster.pid there.`,
      )
    await setTimeout(25)
  }
  await rm(join(cluster, 'data/postmaster.pid'), { force: true })
  return undefined
}

/**
 * A pid proves nothing: the system may have given it to another program. The command line must name this
 * cluster.
 */
async function isServed(cluster: string): Promise<boolean> {
  const { pid } = await readPidFile(cluster)
  if (!pid) return false
  const command = await (process.platform === 'linux'
    ? readFile(`/proc/${pid}/cmdline`, 'utf8')
    : promisify(execFile)('ps', ['-ww', '-o', 'command=', '-p', pid]).then(({ stdout }) => stdout)
  ).catch(() => '')
  return command.includes(join(cluster, 'data'))
}
