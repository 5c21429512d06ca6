/**
 * Measures what the time of sign-in reveals, and its cost for people who are signed in: `node
 * bench/sign-in.ts`, ten minutes. A real server runs as a separate process, on a throw-away embedded
 * PostgreSQL, with production's bcrypt cost. This script is its only client, on the same machine. The server
 * gets its settings from the environment (`BCRYPT_COST`, `BCRYPT_CONCURRENCY`). With `BCRYPT_COST=4`, the
 * statements around bcrypt become visible, and the run takes seconds.
 */
import { spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { openLocalDatabase } from '../src/database/local.ts'

const ROUNDS = 300
const WARM_UP = 10
const PARALLEL = 50
const DEVICES = 50
const PROBES = 300

const print = (line: string) => process.stdout.write(`${line}\n`)
const quantile = (values: number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN
const row = (what: string, values: number[]) =>
  print(`  ${what.padEnd(28)}${values.map((value) => value.toFixed(2).padStart(9)).join('')}`)

const dataDir = await mkdtemp(join(tmpdir(), 'netpilot-bench-'))
const database = await openLocalDatabase(dataDir, 'netpilot_')
const port = await freePort()
const server = spawn(process.execPath, [fileURLToPath(new URL('../src/server.ts', import.meta.url))], {
  cwd: dataDir,
  stdio: ['ignore', 'ignore', 'inherit'],
  env: {
    LOG_LEVEL: 'silent',
    // The limits on guesses are not what this measures.
    LOCKOUT_FAILURES: '1000',
    RATE_LIMIT_REGISTRATIONS: '1000000',
    RATE_LIMIT_SIGN_INS: '1000000',
    RATE_LIMIT_PERSON: '1000000',
    ...process.env,
    HOST: '127.0.0.1',
    PORT: String(port),
    DATA_DIR: dataDir,
    DATABASE_URL: database.urls.server,
    DATABASE_AUTH_URL: database.urls.auth,
    DATABASE_ADMIN_URL: database.urls.admin,
    JWT_SECRET: randomBytes(32).toString('hex'),
    PASSWORD_PEPPER: randomBytes(32).toString('hex'),
  },
})
// The server ends however this script ends.
process.once('exit', () => server.kill())

const call = openClient()
for (let isReady = false; !isReady; await wait(100)) {
  if (server.exitCode !== null) throw new Error('the server did not start')
  isReady = await call('GET', '/health/ready').then(
    ({ status }) => status === 200,
    () => false,
  )
}

/* Does the time of a refusal reveal its reason? */

const [known, googleOnly, deactivated] = [await register(), await register(), await register()]
const auth = new pg.Client({ connectionString: database.urls.auth })
await auth.connect()
await auth.query('update user_credentials set password_hash = null where user_id = $1', [googleOnly.id])
await auth.query('update users set is_active = false where id = $1', [deactivated.id])
await auth.end()
const refusals = [
  { reason: 'unknown', email: newEmail(), password: newPassword() },
  { reason: 'wrong password', email: known.email, password: newPassword() },
  { reason: 'Google only', email: googleOnly.email, password: googleOnly.password },
  { reason: 'deactivated', email: deactivated.email, password: deactivated.password },
].map((refusal) => ({ ...refusal, times: [] as number[] }))
for (let round = -WARM_UP; round < ROUNDS; round += 1) {
  // The order differs each time: the work that one refusal leaves to the server must not always delay the
  // same next one.
  const turns = refusals
    .map((refusal) => ({ ...refusal, turn: Math.random() }))
    .toSorted((a, b) => a.turn - b.turn)
  for (const { email, password, times } of turns) {
    const { status, ms } = await login(email, password)
    if (status !== 401) throw new Error(`a login was answered ${status}`)
    if (round >= 0) times.push(ms)
  }
}
print(`Refused logins, ${ROUNDS} rounds, ms   median      10 %     90 %`)
for (const { reason, times } of refusals)
  row(reason, [quantile(times, 0.5), quantile(times, 0.1), quantile(times, 0.9)])
const medians = refusals.map(({ times }) => quantile(times, 0.5))
row('largest gap of medians', [Math.max(...medians) - Math.min(...medians)])

/* What do many concurrent sign-ins cost all other people? */

const owner = await register()
const { id: routerId } = await made('/api/routers', owner.headers, { name: 'Home' })
const { key } = await made(`/api/routers/${routerId}/keys`, owner.headers, {})
const devices = Array.from({ length: DEVICES }, (_, index) => ({
  mac: `02:00:00:00:00:${index.toString(16).padStart(2, '0')}`,
}))
await made(
  '/api/agent/scans',
  { 'x-api-key': key },
  { scanId: randomUUID(), takenAt: new Date().toISOString(), devices },
)
const people = []
for (let index = 0; index < PARALLEL; index += 1) people.push(await register())

const probes = [
  { what: '/health/live', path: '/health/live', headers: {} },
  { what: `a list of ${DEVICES} devices`, path: '/api/devices?limit=200', headers: owner.headers },
].map((probe) => ({ ...probe, client: openClient(), atRest: [] as number[], besides: [] as number[] }))
await probe('atRest')

const answered = new Map<number, number>()
const times: number[] = []
let isOver = false
// Each person signs in again as soon as they are answered, so that their number stays constant.
const crowd = people.map(async ({ email, password }) => {
  for (const client = openClient(); !isOver; ) {
    const { status, ms } = await login(email, password, client)
    answered.set(status, (answered.get(status) ?? 0) + 1)
    if (status === 200) times.push(ms)
  }
})
await wait(500)
await probe('besides')
isOver = true
await Promise.all(crowd)

print(`\nBesides ${PARALLEL} logins, ms           median      99 %  at rest, median`)
for (const { what, atRest, besides } of probes)
  row(what, [quantile(besides, 0.5), quantile(besides, 0.99), quantile(atRest, 0.5)])
row('a login', [quantile(times, 0.5), quantile(times, 0.99)])
print(`  answers to logins: ${[...answered].map(([status, count]) => `${status} ${count} times`).join(', ')}`)

server.kill()
await once(server, 'exit')
await database.stop()
await rm(dataDir, { recursive: true, force: true })

async function freePort(): Promise<number> {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port: free } = taken.address() as AddressInfo
  taken.close()
  await once(taken, 'close')
  return free
}

/** A client that keeps its one connection. */
function openClient() {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  return async (
    method: 'GET' | 'POST',
    path: string,
    headers: Record<string, string> = {},
    body?: object,
  ) => {
    const began = performance.now()
    const type = body && { 'content-type': 'application/json' }
    const sent = request({ agent, host: '127.0.0.1', port, method, path, headers: { ...headers, ...type } })
    sent.end(body && JSON.stringify(body))
    const [answer] = await once(sent, 'response')
    const chunks: Buffer[] = []
    for await (const chunk of answer) chunks.push(chunk)
    return {
      status: answer.statusCode as number,
      text: Buffer.concat(chunks).toString(),
      ms: performance.now() - began,
    }
  }
}

async function made(path: string, headers: Record<string, string>, body: object) {
  const { status, text } = await call('POST', path, headers, body)
  if (status >= 400) throw new Error(`${path} answered ${status}: ${text}`)
  return JSON.parse(text)
}

function newEmail() {
  return `${randomUUID()}@example.com`
}

function newPassword() {
  return `pw ${randomUUID()}`
}

async function register() {
  const [email, password] = [newEmail(), newPassword()]
  const { user, accessToken } = await made('/api/auth/register', {}, { email, password })
  return { id: user.id as string, email, password, headers: { authorization: `Bearer ${accessToken}` } }
}

function login(email: string, password: string, client = call) {
  return client('POST', '/api/auth/login', {}, { email, password })
}

async function probe(phase: 'atRest' | 'besides') {
  for (let index = 0; index < PROBES; index += 1) {
    for (const { client, path, headers, ...taken } of probes) {
      const { status, ms } = await client('GET', path, headers)
      if (status !== 200) throw new Error(`${path} answered ${status}`)
      taken[phase].push(ms)
    }
    await wait(20)
  }
}
