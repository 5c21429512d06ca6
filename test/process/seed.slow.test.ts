/**
 * `npm run seed`, beside a server that runs, and without one.
 */
import { type ExecFileException, execFile } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ROUTERS } from '../../src/cli/seed/house.ts'
import { type Running, serverProcesses } from '../support/server-process.ts'

const root = join(import.meta.dirname, '../..')
const processes = serverProcesses()
let dataDir: string
let server: Running

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'netpilot-seed-'))
  // Started by root, the database runs as another user, who must get through.
  await chmod(dataDir, 0o711)
})
afterAll(async () => {
  processes.killAll()
  await rm(dataDir, { recursive: true, force: true, maxRetries: 10 })
})

type Outcome = { code: unknown; stdout: string; stderr: string }
const seed = (args: string[] = [], env: Record<string, string> = {}) =>
  new Promise<Outcome>((resolve) => {
    const options = {
      cwd: root,
      env: { PATH: process.env.PATH, DATA_DIR: dataDir, BCRYPT_COST: '4', ...env },
    }
    const done = (error: ExecFileException | null, stdout: string, stderr: string) =>
      resolve({ code: error?.code ?? 0, stdout, stderr })
    execFile(process.execPath, ['src/cli/seed.ts', ...args], options, done)
  })
const said = (name: string, stdout: string) => new RegExp(`^  ${name} +(\\S+)`, 'm').exec(stdout)?.[1] ?? ''

type Answer = { total: number; revision: string; items: Record<string, string>[] }
const ask = async (path: string, headers: Record<string, string>) => {
  const response = await fetch(new URL(path, server.url), { headers })
  expect(response.status, path).toBe(200)
  return (await response.json()) as Answer
}
async function signIn(stdout: string) {
  const response = await fetch(new URL('/api/auth/login', server.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: said('e-mail', stdout), password: said('password', stdout) }),
  })
  expect(response.status).toBe(200)
  const { accessToken } = (await response.json()) as { accessToken: string }
  return { authorization: `Bearer ${accessToken}` }
}

const fortnight = 14 * 86_400_000
const accountsOf = async () =>
  Object.entries(JSON.parse(await readFile(join(dataDir, 'seed.json'), 'utf8')) as Record<string, unknown>)

describe('npm run seed', { timeout: 120_000 }, () => {
  let first: Outcome

  it('makes a person whom one can sign in as, beside the server that runs', async () => {
    server = await processes.start({ DATA_DIR: dataDir })
    first = await seed([], { PORT: new URL(server.url).port })
    expect(first).toMatchObject({ code: 0, stderr: '' })
    expect(first.stdout).toContain('It has 3 routers, 39 devices, 3 groups, 2 schedules, 2 blocks.')
    expect(said('address', first.stdout)).toBe(`http://localhost:${new URL(server.url).port}`)
    expect(first.stdout).not.toContain('no server answers')
    const ada = await signIn(first.stdout)
    expect(await ask('/api/users/account-status', ada)).toMatchObject({ emailVerified: true, role: 'user' })

    const routers = await ask('/api/routers?sort=name', ada)
    expect(routers.items.map(({ name, mode, status, drift }) => [name, mode, status, drift])).toEqual([
      ['Cabin', 'whitelist', 'online', false],
      ['Home', 'blacklist', 'online', expect.any(Boolean)],
      ['Parents', 'none', 'online', true],
    ])
    const home = routers.items[1]?.id
    const { items: devices } = await ask(`/api/devices?routerId=${home}&limit=100&sort=firstSeen`, ada)
    expect(devices).toHaveLength(ROUTERS.home.devices.length)
    const age = Date.now() - Date.parse(devices[0]?.firstSeen ?? '')
    expect(Math.round(age / fortnight)).toBe(1)
    // Every prefix that claims a manufacturer has one.
    expect(devices.filter((device) => !device.manufacturer && !device.randomMac)).toEqual([])
    expect((await ask(`/api/routers/${home}/inbox`, ada)).total).toBe(3)
    expect((await ask(`/api/devices/suggestions?routerId=${home}`, ada)).total).toBe(1)
    const { items: blocks } = await ask('/api/blocks?active=true', ada)
    expect(blocks.map(({ type }) => type).sort()).toEqual(['manual', 'pause'])
    expect((await ask('/api/blacklist', ada)).total).toBe(1)
    expect((await ask('/api/whitelist', ada)).total).toBe(2)
    const tv = devices.find(({ hostname }) => hostname === 'lgwebostv')
    const { items: groups } = await ask('/api/groups?sort=name', ada)
    expect(groups.map(({ name, deviceCount }) => [name, deviceCount])).toEqual([
      ['Guests', 3],
      ['Kids', 4],
      ['Smart home', 7],
    ])
    const { items: history } = await ask(`/api/devices/${tv?.id}/history`, ada)
    expect(history.map(({ kind }) => kind)).toEqual(['paused', 'first-seen', 'address'])
  })

  it('prints keys that work', async () => {
    const [script = '', agent = ''] = [...first.stdout.matchAll(/X-API-Key: (np\w+)/g)].map(([, key]) => key)
    expect((await ask('/api/devices', { 'x-api-key': script })).total).toBe(39)
    expect((await ask('/api/agent/policy', { 'x-api-key': agent })).revision).toBeTruthy()
  })

  it('keeps them for nobody else to read', async () => {
    expect((await stat(join(dataDir, 'seed.json'))).mode & 0o777).toBe(0o600)
  })

  it('says again how to sign in, and changes nothing', async () => {
    const again = await seed([], { PORT: new URL(server.url).port })
    expect(again).toMatchObject({ code: 0, stderr: '' })
    expect(again.stdout).toContain('grace@example.com is there already; nothing was changed.')
    const lines = (text: string) => text.split('\n').slice(2)
    expect(lines(again.stdout)).toEqual(lines(first.stdout))
  })

  it('makes another person, who has devices of their own', async () => {
    const other = await seed(['--email', ' Other@Example.com '])
    expect(other).toMatchObject({ code: 0, stderr: '' })
    expect(said('e-mail', other.stdout)).toBe('other@example.com')
    expect((await ask('/api/devices', await signIn(other.stdout))).total).toBe(39)
    expect((await accountsOf()).map(([email]) => email)).toEqual(['grace@example.com', 'other@example.com'])
  })

  it('makes an account anew that was not filled to its end', async () => {
    const { keys: _, ...halfDone } = Object.fromEntries(await accountsOf())['other@example.com'] as {
      keys: unknown
    }
    const accounts = { ...Object.fromEntries(await accountsOf()), 'other@example.com': halfDone }
    await writeFile(join(dataDir, 'seed.json'), JSON.stringify(accounts))
    const { code, stdout } = await seed(['--email', 'other@example.com'])
    expect(code).toBe(0)
    expect((await ask('/api/routers', await signIn(stdout))).total).toBe(3)
  })

  it('leaves an account alone that it did not make', async () => {
    await fetch(new URL('/api/auth/register', server.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: 'ada@example.com', password: 'violet anchor pillow lantern' }),
    })
    expect(await seed(['--email', 'ada@example.com'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^There is an account with the address ada@example\.com that this command did not make/,
      ),
    })
    expect((await accountsOf()).map(([email]) => email)).not.toContain('ada@example.com')
  })

  it.each([
    ['a database of one’s own', { DATABASE_URL: 'postgres://netpilot_server:x@127.0.0.1:1/netpilot' }],
    ['production', { NODE_ENV: 'production', BCRYPT_COST: '12' }],
  ])('does nothing to %s that nobody said yes to', async (_what, env) => {
    expect(await seed([], env)).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('npm run seed -- --yes'),
    })
  })

  it('repeats what the server says that does not start', async () => {
    const { code, stderr } = await seed(['--yes'], {
      DATABASE_URL: 'postgres://netpilot_server:x@127.0.0.1:1/netpilot',
    })
    expect(code).toBe(1)
    expect(stderr).toContain('DATABASE_AUTH_URL is missing')
  })

  it('works without a server that runs, and says so', async () => {
    const ended = new Promise((resolve) => server.child.once('exit', resolve))
    server.child.kill('SIGTERM')
    await ended
    const { code, stdout } = await seed([], { PORT: new URL(server.url).port })
    expect(code).toBe(0)
    expect(stdout).toContain('(no server answers there yet: npm start)')
    server = await processes.start({ DATA_DIR: dataDir })
    await signIn(stdout)
  })
})
