import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { type EmbeddedDatabase, startEmbedded } from '../../src/database/embedded/embedded.ts'
import { runGuarded } from '../../src/database/embedded/guard.ts'

const settings = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' }

/** A path where nothing is yet; what comes to lie there goes with the test. */
function newDirectory(): string {
  const path = join(tmpdir(), `netpilot-${randomUUID()}`)
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

async function start(dataDir: string, more: Record<string, string> = {}): Promise<EmbeddedDatabase> {
  const database = await startEmbedded({ dataDir, settings: { ...settings, ...more } })
  onTestFinished(() => database.stop())
  return database
}

/** Another process that starts the database in the same directory, and keeps it until it is killed. */
async function startElsewhere(dataDir: string): Promise<{ url: string; process: ChildProcess }> {
  const script = `
    import { startEmbedded } from ${JSON.stringify(new URL('../../src/database/embedded/embedded.ts', import.meta.url).href)}
    const { url } = await startEmbedded({ dataDir: process.argv[1], settings: ${JSON.stringify(settings)} })
    process.stdout.write(url)
    process.stdin.resume()`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script, dataDir], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [url] = await once(child.stdout, 'data')
  return { url: String(url), process: child }
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query({ text, rowMode: 'array' })).rows.flat()
  } finally {
    await client.end()
  }
}

const serverPid = async (dataDir: string) =>
  Number.parseInt(await readFile(join(dataDir, 'postgresql/data/postmaster.pid'), 'utf8'), 10)
const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('the embedded database', () => {
  it('keeps its data between starts, and is gone in between', async () => {
    const dataDir = newDirectory()
    const first = await start(dataDir)
    const pid = await serverPid(dataDir)
    await query(first.url, `create table kept as select 'Grüße' as word`)
    await first.stop()
    expect(isAlive(pid)).toBe(false)
    const second = await start(dataDir)
    expect(await query(second.url, 'select word from kept')).toEqual(['Grüße'])
  })

  it('is one when several processes start it for the first time at once', async () => {
    const dataDir = newDirectory()
    const all = await Promise.all([startElsewhere(dataDir), startElsewhere(dataDir), start(dataDir)])
    expect(new Set(all.map(({ url }) => url)).size).toBe(1)
    for (const { url } of all) expect(await query(url, 'select 1')).toEqual([1])
  })

  it('ends within two seconds when its owner is killed, and the next start needs no hand', async () => {
    const dataDir = newDirectory()
    const owner = await startElsewhere(dataDir)
    await query(owner.url, 'create table acknowledged as select 1 as n')
    const pid = await serverPid(dataDir)
    owner.process.kill('SIGKILL')
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 2_000, interval: 10 })

    const again = await startElsewhere(dataDir)
    again.process.kill('SIGKILL')
    const atOnce = await start(dataDir)
    expect(await query(atOnce.url, 'select n from acknowledged')).toEqual([1])
  })

  it('ends also when it does not heed a fast shutdown', async () => {
    const log = join(tmpdir(), `netpilot-${randomUUID()}`)
    onTestFinished(() => rm(log, { force: true }))
    const program = `process.on('SIGINT', () => {}).on('SIGQUIT', () => process.exit(7)); setInterval(() => {}, 1_000); console.log('deaf')`
    const deaf = runGuarded([process.execPath, '-e', program], log, undefined, 30)
    await vi.waitFor(async () => expect(await readFile(log, 'utf8')).toContain('deaf'), {
      timeout: 10_000,
      interval: 10,
    })
    deaf.end()
    expect(await deaf.exited).toBe(7)
  })

  it('starts over the pid file of a server that crashed, also when the pid now belongs to another program', async () => {
    const dataDir = newDirectory()
    const crashed = await start(dataDir)
    process.kill(await serverPid(dataDir), 'SIGKILL')
    await crashed.stop()
    const pidFile = join(dataDir, 'postgresql/data/postmaster.pid')
    await writeFile(pidFile, (await readFile(pidFile, 'utf8')).replace(/^\d+/, String(process.pid)))
    const next = await start(dataDir)
    expect(await query(next.url, 'select 1')).toEqual([1])
  })

  it('starts under a directory that only its owner may enter, root included', async () => {
    const parent = newDirectory()
    await mkdir(parent, { mode: 0o700 })
    const database = await start(join(parent, 'data'))
    onTestFinished(() => rm(database.dataDir, { recursive: true, force: true }))
    expect(await query(database.url, 'select 1')).toEqual([1])
    await database.stop()
    expect((await start(join(parent, 'data'))).dataDir).toBe(database.dataDir)
  })

  it('says why it does not start, in the words of the log and without the password', async () => {
    const dataDir = newDirectory()
    const database = await start(dataDir)
    await database.stop()
    const password = await readFile(join(dataDir, 'postgresql/password'), 'utf8')
    const failure: unknown = await start(dataDir, { no_such_setting: 'on' }).catch((error) => error)
    expect(String(failure)).toMatch(
      /did not start in .*\n.*unrecognized configuration parameter "no_such_setting"/,
    )
    expect(String(failure)).not.toContain(password)
    expect(await query((await start(dataDir)).url, 'select 1')).toEqual([1])
  })

  it('refuses data of another major version, and says what to do', async () => {
    const dataDir = newDirectory()
    await mkdir(join(dataDir, 'postgresql/data'), { recursive: true })
    await writeFile(join(dataDir, 'postgresql/data/PG_VERSION'), '17\n')
    await expect(start(dataDir)).rejects.toThrow(
      /holds data of PostgreSQL 17, but this is PostgreSQL 18\. Export it/,
    )
  })
})

describe('a running embedded database', () => {
  const dataDir = join(tmpdir(), `netpilot-${randomUUID()}`)
  let database: EmbeddedDatabase
  beforeAll(async () => {
    database = await startEmbedded({ dataDir, settings })
  })
  afterAll(async () => {
    await database.stop()
    await rm(dataDir, { recursive: true })
  })

  it('is UTF-8 with a collation that does not depend on the machine, and loads pg_stat_statements', async () => {
    const locale = `select pg_encoding_to_char(encoding), datlocprovider, datlocale from pg_database where datname = 'postgres'`
    expect(await query(database.url, locale)).toEqual(['UTF8', 'b', 'C.UTF-8'])
    expect(await query(database.url, 'show shared_preload_libraries')).toEqual(['pg_stat_statements'])
  })

  it('refuses a wrong password and trusts nobody', async () => {
    const wrong = new URL(database.url)
    wrong.password = 'postgres'
    await expect(query(wrong.href, 'select 1')).rejects.toMatchObject({ code: '28P01' })
    expect(await query(database.url, 'select distinct auth_method from pg_hba_file_rules')).toEqual([
      'scram-sha-256',
    ])
  })

  it('listens on loopback only', async () => {
    expect(await query(database.url, 'show listen_addresses')).toEqual(['127.0.0.1'])
    expect(await query(database.url, 'show unix_socket_directories')).toEqual([''])
  })

  it('keeps its secret and its files to itself', async () => {
    expect((await stat(join(dataDir, 'postgresql/password'))).mode & 0o777).toBe(0o600)
    expect((await stat(join(dataDir, 'postgresql'))).mode & 0o777).toBe(0o700)
  })

  it('outlives a process that attached to it', async () => {
    const attached = await startEmbedded({ dataDir })
    expect(attached).toMatchObject({ url: database.url, dataDir: database.dataDir })
    await attached.stop()
    expect(await query(database.url, 'select 1')).toEqual([1])
  })
})
