/**
 * The process as an operator has it: `node src/server.ts` on an embedded database, started, killed, asked to
 * stop, and refused.
 */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { loginUrl } from '../support/database.ts'
import { serverProcesses } from '../support/server-process.ts'

let dataDir: string
const processes = serverProcesses()

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'netpilot-process-'))
  // Started by root, the database runs as another user, who must get through.
  await chmod(dataDir, 0o711)
})
afterAll(async () => {
  processes.killAll()
  await rm(dataDir, { recursive: true, force: true })
})

/** On the embedded database. */
const start = (env: Record<string, string> = {}) => processes.start({ DATA_DIR: dataDir, ...env })

const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })

async function databasePid(): Promise<number> {
  const { stdout } = await promisify(execFile)('sh', [
    '-c',
    `ps -eo pid,args | grep '[p]ostgres -D ${dataDir}' | awk '{print $1}' | tail -1`,
  ])
  return Number(stdout)
}
const isAlive = (pid: number) => existsSync(`/proc/${pid}`)
async function gone(pid: number): Promise<void> {
  const deadline = Date.now() + 5_000
  while (isAlive(pid)) {
    if (Date.now() > deadline) throw new Error(`process ${pid} is still there`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

describe('the server process', () => {
  let token = ''
  const account = { email: 'ada@example.com', password: 'violet anchor pillow lantern' }

  it('starts from nothing, says where it listens and where the data lies, and keeps its secrets to itself', async () => {
    const { child, url, output } = await start()
    expect(output.join('\n')).toMatch(/listens on.*127\.0\.0\.1/)
    expect(output.join('\n')).toContain(dataDir)
    expect((await fetch(`${url}/health`)).status).toBe(200)
    const registered = await post(`${url}/api/auth/register`, account)
    expect(registered.status).toBe(201)
    token = ((await registered.json()) as { accessToken: string }).accessToken
    expect((await stat(join(dataDir, 'secrets.json'))).mode & 0o777).toBe(0o600)
    const secrets = JSON.parse(await readFile(join(dataDir, 'secrets.json'), 'utf8'))
    expect(
      new Set([secrets.jwtSecret, secrets.passwordPepper, ...Object.values(secrets.databasePasswords)]).size,
    ).toBe(6)
    child.kill('SIGKILL')
    await once(child, 'exit')
  })

  it('loses nothing acknowledged to kill -9, leaves no database behind, and starts again without a hand', {
    timeout: 60_000,
  }, async () => {
    const acknowledged: string[] = []
    for (let round = 0; round < 3; round += 1) {
      const { child, url } = await start()
      const database = await databasePid()
      expect(database).toBeGreaterThan(0)
      const headers = { authorization: `Bearer ${token}` }
      // The signing key was kept: the token of the first start still opens the door.
      expect((await fetch(`${url}/api/auth/me`, { headers })).status).toBe(200)
      const writes = Array.from({ length: 20 }, async (_, index) => {
        const name = `router ${round}.${index}`
        const answer = await post(`${url}/api/routers`, { name }, headers).catch(() => undefined)
        if (answer?.status === 201) acknowledged.push(name)
        if (acknowledged.length >= round * 20 + 8) child.kill('SIGKILL')
      })
      await Promise.all([...writes, once(child, 'exit')])
      await gone(database)
    }
    const { child, url } = await start()
    const { items } = (await (
      await fetch(`${url}/api/routers?limit=200`, { headers: { authorization: `Bearer ${token}` } })
    ).json()) as {
      items: { name: string }[]
    }
    const kept = new Set(items.map(({ name }) => name))
    expect(acknowledged.length).toBeGreaterThanOrEqual(8)
    expect(acknowledged.filter((name) => !kept.has(name))).toEqual([])
    child.kill('SIGKILL')
    await once(child, 'exit')
  })

  it('finishes what is under way on SIGTERM, is not ready meanwhile, and exits 0 with its database', async () => {
    const { child, url, output } = await start({ SHUTDOWN_NOTICE_MS: '600', BCRYPT_COST: '13' })
    const database = await databasePid()
    const slow = post(`${url}/api/auth/register`, { ...account, email: 'slow@example.com' })
    await fetch(`${url}/health/live`)
    child.kill('SIGTERM')
    const exited = once(child, 'exit')
    while (!output.join('\n').includes('closing')) await once(child.stdout as Readable, 'data')
    const ready = await fetch(`${url}/health/ready`)
    expect([ready.status, await ready.json()]).toEqual([503, { status: 'not-ready', reason: 'closing' }])
    expect((await slow).status).toBe(201)
    expect(await exited).toEqual([0, null])
    await gone(database)
    expect(output.join('\n')).toContain('closed')
  })

  it('shares one database with a second server started on the same data at the same time', async () => {
    const [first, second] = await Promise.all([start(), start()])
    for (const { url } of [first, second])
      expect(
        (await fetch(`${url}/api/auth/me`, { headers: { authorization: `Bearer ${token}` } })).status,
      ).toBe(200)
    const exits = Promise.all([first, second].map(({ child }) => once(child, 'exit')))
    for (const { child } of [first, second]) child.kill('SIGTERM')
    expect(await exits).toEqual([
      [0, null],
      [0, null],
    ])
  })

  it('is examined by the doctor while it runs and at rest; where nothing ever ran, nothing is made', async () => {
    const doctor = (directory: string) =>
      promisify(execFile)(process.execPath, ['src/cli/doctor.ts'], {
        env: { PATH: process.env.PATH, DATA_DIR: directory },
      })
    const { child, url } = await start()
    expect((await doctor(dataDir)).stdout).toMatch(
      /\naudit +\d+ {2}-\nlookups +\d+ {2}-\n\nNothing found\.\n$/,
    )
    expect((await fetch(`${url}/health`)).status).toBe(200)
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
    expect((await doctor(dataDir)).stdout).toMatch(/\n\nNothing found\.\n$/)
    const nowhere = join(dataDir, 'nowhere')
    await expect(doctor(nowhere)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no database in .*"npm start"/),
    })
    expect(existsSync(nowhere)).toBe(false)
  })

  it('gives up, with a word, when the server that runs its database goes away', async () => {
    const owner = await start()
    const attached = await start()
    const exited = once(attached.child, 'exit')
    owner.child.kill('SIGKILL')
    expect(await exited).toEqual([1, null])
    expect(attached.output.join('\n')).toContain('The database is gone')
  })

  it('refuses to start on a configuration or a database that it must not use, in words, with exit code 1 and no secret', async () => {
    const main = inject('database')
    const secrets = { JWT_SECRET: 'x'.repeat(48), PASSWORD_PEPPER: 'y'.repeat(48) }
    const refused = async (env: Record<string, string>) => {
      const failure = await start(env).then(
        () => undefined,
        (error: Error) => error.message,
      )
      expect(failure).toBeDefined()
      expect(failure).not.toContain(main.password)
      expect(failure).not.toContain('x'.repeat(48))
      return failure
    }
    expect(await refused({ PORT: 'x', LOG_LEVEL: 'loud' })).toMatch(
      /PORT must be a whole number[\s\S]*LOG_LEVEL must be one of/,
    )
    expect(await refused({ DATABASE_URL: loginUrl(main, 'server') })).toMatch(
      /DATABASE_AUTH_URL is missing[\s\S]*DATABASE_ADMIN_URL is missing[\s\S]*JWT_SECRET is missing[\s\S]*PASSWORD_PEPPER is missing/,
    )
    const own = {
      DATABASE_URL: main.adminUrl,
      DATABASE_AUTH_URL: loginUrl(main, 'auth'),
      DATABASE_ADMIN_URL: loginUrl(main, 'admin'),
      DATABASE_ROLE_PREFIX: main.rolePrefix,
      ...secrets,
    }
    expect(await refused(own)).toMatch(/is a superuser[\s\S]*npm run setup/)
    expect(await refused({ ...own, DATABASE_URL: 'postgres://nobody:nothing@127.0.0.1:9/x' })).toMatch(
      /cannot be reached/,
    )
    expect(await refused({ NODE_ENV: 'production', BCRYPT_COST: '10' })).toMatch(
      /BCRYPT_COST must be a whole number from 12/,
    )
  })
})
