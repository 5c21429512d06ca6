/** The server of a cluster: starts it, or finds the running one. */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import { StartRefused } from '../start-refused.ts'
import type { Binaries } from './binaries.ts'
import { endOfLog, type Guarded, runGuarded } from './guard.ts'
import type { Home } from './home.ts'

/** Settings of postgresql.conf by name. */
export type Settings = Record<string, string>

const SETTINGS: Settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  shared_preload_libraries: 'pg_stat_statements',
  log_checkpoints: 'off',
}

/**
 * Starts the server on a free loopback port and waits until it answers. The wait has no limit, because
 * recovery from a crash may take minutes. @throws Error with the end of the server's log when the server ends
 * instead
 */
export async function startServer(
  home: Home,
  { postgres }: Binaries,
  settings: Settings,
): Promise<Guarded & { url: string }> {
  const log = join(home.cluster, 'server.log')
  for (let attempt = 1; ; attempt++) {
    const all = { ...SETTINGS, ...settings, port: String(await freePort()) }
    const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const server = runGuarded([postgres, '-D', join(home.cluster, 'data'), ...flags], log, home.account)
    const gone = server.exited.then(() => true)
    do {
      const url = await findServer(home.cluster)
      if (url) {
        server.unref()
        return { ...server, url }
      }
    } while (!(await Promise.race([gone, setTimeout(10, false)])))
    const reason = await endOfLog(log)
    // Another program may have taken the port since we found it free.
    if (attempt < 3 && reason.includes('could not bind')) continue
    throw new StartRefused(`PostgreSQL did not start in ${home.cluster}.\n${reason}`)
  }
}

/**
 * The password of the superuser. @param binaries for choosing a new one: given only when the server does not
 * run
 * @throws StartRefused when the password file is missing
 */
export async function readPassword(cluster: string, binaries?: Binaries): Promise<string> {
  const file = join(cluster, 'password')
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    const anew = binaries
      ? `choose a new one, as the user that ${cluster} belongs to:
      umask 077; openssl rand -hex 24 | tr -d '\\n' > '${file}'
      echo "alter role postgres password '$(cat '${file}')'" | '${binaries.postgres}' --single -D '${join(cluster, 'data')}' postgres`
      : 'end what runs this database, and start NetPilot: it says how to choose a new one.'
    throw new StartRefused(
      `The password of the embedded database is gone: ${file} is missing.
  - Put back the file that was copied together with this database.
  - Or ${anew}`,
    )
  })
}

/**
 * The connection string of a server that runs on this cluster and answers. A pid file may be left over, so
 * only an answer counts.
 */
export async function findServer(cluster: string): Promise<string | undefined> {
  const { port, status } = await readPidFile(cluster)
  if (status !== 'ready') return undefined
  const password = await readPassword(cluster)
  const url = `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.end()
    return url
  } catch {
    return undefined
  }
}

/**
 * The lines of postmaster.pid: pid, data directory, start time, port, socket directory, address, shared
 * memory, status, which is padded (PostgreSQL's src/include/utils/pidfile.h). All are absent when there is no
 * file.
 */
export async function readPidFile(
  cluster: string,
): Promise<{ pid?: string; port?: string; status?: string }> {
  try {
    const lines = (await readFile(join(cluster, 'data/postmaster.pid'), 'utf8'))
      .split('\n')
      .map((line) => line.trim())
    const [pid = '', , , port = '', , , , status = ''] = lines
    return { pid, port, status }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
}

/** A port of the loopback address that is free at this moment. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  return port
}
