/**
 * The embedded database and its secrets: made together, refused apart, and one however many processes start
 * at once.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openLocalDatabase } from '../../src/database/local.ts'
import { StartRefused } from '../../src/database/start-refused.ts'
import { type Running, serverProcesses } from '../support/server-process.ts'

const processes = serverProcesses()
const directories: string[] = []
async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'netpilot-first-'))
  // Started by root, the database runs as another user, who must get through.
  await chmod(directory, 0o711)
  directories.push(directory)
  return directory
}
afterAll(async () => {
  processes.killAll()
  for (const directory of directories) await rm(directory, { recursive: true, force: true, maxRetries: 10 })
})

const account = { email: 'ada@example.com', password: 'violet anchor pillow lantern' }
const post = async (url: string, body: unknown) =>
  (
    await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  ).status

async function stop({ child }: Running): Promise<void> {
  child.kill('SIGTERM')
  expect(await once(child, 'exit')).toEqual([0, null])
}
/** What a start says that is refused; in this process, where that is quicker. */
const refusal = async (dataDir: string): Promise<string> => {
  const refused = await openLocalDatabase(dataDir, 'netpilot_').catch((error) => error)
  expect(refused).toBeInstanceOf(StartRefused)
  return refused.message
}

describe('the database and its secrets', () => {
  let whole: string
  beforeAll(async () => {
    whole = await newDirectory()
    const running = await processes.start({ DATA_DIR: whole })
    expect(running.output.join('\n')).toContain('nothing was there: a new, empty database was made')
    expect(await post(`${running.url}/api/auth/register`, account)).toBe(201)
    await stop(running)
  })
  const copy = async () => {
    const directory = await newDirectory()
    // As `cp -a` does: the database belongs to the user that it runs as.
    await once(spawn('cp', ['-a', '--', `${whole}/.`, directory]), 'exit')
    return directory
  }
  const serves = async (dataDir: string) => {
    const database = await openLocalDatabase(dataDir, 'netpilot_')
    expect(database.isNew).toBe(false)
    await database.stop()
  }

  it('are one backup: a copy of both serves, and says that the data was there', async () => {
    const running = await processes.start({ DATA_DIR: await copy() })
    expect(running.output.join('\n')).toContain('the database that was there is used')
    expect(await post(`${running.url}/api/auth/login`, account)).toBe(200)
    await stop(running)
  })

  it('are refused when the secrets are missing, in words that name the file; put back, they serve', async () => {
    const dataDir = await copy()
    await rename(join(dataDir, 'secrets.json'), join(dataDir, 'elsewhere'))
    const process = await processes.start({ DATA_DIR: dataDir }).catch((error: Error) => error.message)
    for (const said of [process, await refusal(dataDir)]) {
      expect(said).toContain(`${join(dataDir, 'secrets.json')} is missing`)
      expect(said).toMatch(/Put back the secrets\.json[\s\S]*begin anew with an empty database: mv /)
      expect(said).not.toMatch(/\n +at /)
    }
    await rename(join(dataDir, 'elsewhere'), join(dataDir, 'secrets.json'))
    await serves(dataDir)
  })

  it('are refused when the database is missing; put back, it serves; moved away as the message says, a new one is made', async () => {
    const dataDir = await copy()
    await rename(join(dataDir, 'postgresql'), join(dataDir, 'elsewhere'))
    const said = await refusal(dataDir)
    expect(said).toContain(`there is no ${join(dataDir, 'postgresql')}`)
    const [, command = ''] = /begin anew with an empty database: (mv .*)/.exec(said) ?? []
    await rename(join(dataDir, 'elsewhere'), join(dataDir, 'postgresql'))
    await serves(dataDir)

    await rename(join(dataDir, 'postgresql'), join(dataDir, 'elsewhere'))
    await once(spawn('sh', ['-c', command]), 'exit')
    const anew = await openLocalDatabase(dataDir, 'netpilot_')
    expect(anew.isNew).toBe(true)
    await anew.stop()
  })

  it('are refused when they belong to two installations', async () => {
    const [dataDir, other] = await Promise.all([copy(), newDirectory()])
    await (await openLocalDatabase(other, 'netpilot_')).stop()
    await cp(join(other, 'secrets.json'), join(dataDir, 'secrets.json'))
    expect(await refusal(dataDir)).toMatch(/belong to another database than the one in[\s\S]*begin anew/)
    await cp(join(whole, 'secrets.json'), join(dataDir, 'secrets.json'))
    await serves(dataDir)
  })

  it('go on where a first start was cut off after the secrets, or come from a version that kept no id with them', async () => {
    const dataDir = await copy()
    const file = join(dataDir, 'secrets.json')
    const { databaseId, ...secrets } = JSON.parse(await readFile(file, 'utf8'))
    expect(databaseId).toMatch(/^\d{15,}$/)
    await writeFile(file, JSON.stringify(secrets))
    await serves(dataDir)
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ ...secrets, databaseId })

    const cut = await newDirectory()
    await writeFile(join(cut, 'secrets.json'), JSON.stringify(secrets))
    await (await openLocalDatabase(cut, 'netpilot_')).stop()
  })
})

describe('first starts at once in one folder', () => {
  it('all serve one database, each on its own port', { timeout: 120_000 }, async () => {
    const dataDir = await newDirectory()
    const running = await Promise.all(Array.from({ length: 8 }, () => processes.start({ DATA_DIR: dataDir })))
    const [first] = running as [Running]
    expect(await post(`${first.url}/api/auth/register`, account)).toBe(201)
    for (const { url } of running) expect(await post(`${url}/api/auth/login`, account)).toBe(200)
    for (const { child } of running) child.kill('SIGTERM')
    await Promise.all(running.map(({ child }) => child.exitCode ?? once(child, 'exit')))
  })

  it('on one port leave one that serves, and the others say that the port is taken', {
    timeout: 60_000,
  }, async () => {
    const dataDir = await newDirectory()
    const probe = createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    const PORT = String((probe.address() as AddressInfo).port)
    probe.close()
    await once(probe, 'close')
    const ended = await Promise.allSettled(
      Array.from({ length: 4 }, () => processes.start({ DATA_DIR: dataDir, PORT })),
    )
    const [serving, ...more] = ended.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []))
    expect(more).toEqual([])
    for (const start of ended)
      if (start.status === 'rejected')
        expect(start.reason.message).toMatch(/EADDRINUSE.*Another program listens there/)
    expect(await post(`${serving?.url}/api/auth/register`, account)).toBe(201)
    await stop(serving as Running)
  })
})
