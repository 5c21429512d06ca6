/** The directory of a cluster, and the operating system user of its server. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { StartRefused } from '../start-refused.ts'

export type SystemAccount = { uid: number; gid: number }
export type Home = {
  /** Real path of the directory that holds lock and cluster. */
  directory: string
  cluster: string
  /** Every directory that was searched for a cluster. */
  places: string[]
  /**
   * The user that the server runs as when we are root, because PostgreSQL refuses root. When absent, the
   * server runs as our user.
   */
  account?: SystemAccount
}

const STATE_DIRECTORY = '/var/lib/netpilot'

/**
 * Decides which directory holds the cluster of `dataDir`, and creates it. Started as root, the server runs as
 * `postgres` or `nobody`. If that user cannot reach the data directory (a clone in root's home), a directory
 * under /var/lib/netpilot replaces it. An existing cluster keeps its place and its owner, so a change of a
 * parent directory's mode never leads to an empty database.
 * @throws Error when the owner of the cluster cannot reach it, or root finds no user to run as
 */
export async function resolveDataDirectory(dataDir: string): Promise<Home> {
  const isRoot = process.getuid?.() === 0
  const created = await mkdir(dataDir, { recursive: true })
  if (!isRoot && created) await chmod(dataDir, 0o700)
  // Root's server must pass through the directory. An empty directory has no secrets yet, and later secrets
  // have their own modes.
  if (isRoot && (created || (await readdir(dataDir)).length === 0)) await chmod(dataDir, 0o711)
  const here = homeIn(await realpath(dataDir))
  if (!isRoot) return here

  const aside = homeIn(
    join(STATE_DIRECTORY, createHash('sha256').update(here.directory).digest('hex').slice(0, 16)),
  )
  const existing = [here, aside].find((home) => existsSync(home.cluster))
  if (existing) {
    const { uid, gid } = await stat(existing.cluster)
    if (await canEnter({ uid, gid }, existing.directory)) return { ...existing, account: { uid, gid } }
    throw new StartRefused(
      `The database in ${existing.directory} runs as user ${uid}, who cannot get there: allow passing through its parent directories (chmod o+x).`,
    )
  }
  const account = await serviceAccount()
  const places = [here.directory, aside.directory]
  if (await canEnter(account, here.directory)) return { ...here, places, account }
  await openStateDirectory()
  await mkdir(aside.directory, { recursive: true })
  await chmod(aside.directory, 0o711)
  return { ...aside, places, account }
}

/**
 * For root only: the directory for what the service account cannot reach elsewhere, regardless of the umask.
 */
export async function openStateDirectory(): Promise<string> {
  await mkdir(STATE_DIRECTORY, { recursive: true })
  await chmod(STATE_DIRECTORY, 0o711)
  return STATE_DIRECTORY
}

const homeIn = (directory: string): Home => ({
  directory,
  cluster: join(directory, 'postgresql'),
  places: [directory],
})

/** Asks the system rather than reading modes, so that access control lists and mount options count too. */
const canEnter = (account: SystemAccount, directory: string): Promise<boolean> =>
  promisify(execFile)('/bin/sh', ['-c', 'cd "$1"', 'sh', directory], { ...account, cwd: '/' }).then(
    () => true,
    () => false,
  )

/** initdb requires a user that has an entry in passwd. */
export async function serviceAccount(): Promise<SystemAccount> {
  const users = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'))
  for (const wanted of ['postgres', 'nobody']) {
    const [, , uid, gid] = users.find(([name]) => name === wanted) ?? []
    if (uid && gid) return { uid: Number(uid), gid: Number(gid) }
  }
  throw new StartRefused(
    'PostgreSQL refuses to run as root, and there is no user "postgres" or "nobody": start as another user, or set DATABASE_URL.',
  )
}
