/**
 * Measures requests beyond capacity: `node bench/overload.ts`, two minutes. A real server runs as a separate
 * process, on a throw-away embedded PostgreSQL; this script is its clients, on the same machine. The capacity
 * is the rate that clients reach who each wait for their answer. Requests then arrive at multiples of that
 * rate, whether or not earlier ones were answered, as when many people come at once.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, type IncomingMessage, request } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { openLocalDatabase } from '../src/database/local.ts'

const SECONDS = 10
const LOADS = [0.5, 1, 2, 4]
const CLIENTS = 32
const DEVICES = 50
const LIST = '/api/devices?limit=50'
/** Arrivals are sent in this many portions a second. */
const TICKS = 100

type Answer = { status: number; retryAfter: string | undefined; text: string }

const dataDir = await mkdtemp(join(tmpdir(), 'netpilot-bench-'))
const database = await openLocalDatabase(dataDir, 'netpilot_')
const port = await freePort()
const server = spawn(process.execPath, [fileURLToPath(new URL('../src/server.ts', import.meta.url))], {
  cwd: dataDir,
  stdio: ['ignore', 'ignore', 'inherit'],
  env: {
    LOG_LEVEL: 'silent',
    // One person represents many, and the limit for one person is not what this measures.
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

const crowd = openClient()
await untilReady(server)
const person = await signUp()

await capacityOver(2)
const capacity = await capacityOver(5)
print(
  `Capacity: ${capacity.toFixed(0)} lists of ${DEVICES} devices a second, to ${CLIENTS} clients that wait for their answers`,
)
print(`Arrivals for ${SECONDS} s; times in ms, from when a request was due\n`)
print(
  columns([
    'load',
    'arrivals/s',
    '200',
    '503',
    'failed',
    '200/s',
    'p50 of 200',
    'p99 of 200',
    'p99 of 503',
    'p99 of live',
    'recovered s',
    'clients late',
  ]),
)
for (const load of LOADS) {
  const lives: number[] = []
  let isOver = false
  const lateness = monitorEventLoopDelay({ resolution: 5 })
  lateness.enable()
  const probing = probeLive(lives, () => isOver)
  const burst = await arrive(capacity * load, SECONDS)
  isOver = true
  lateness.disable()
  await probing
  // Half of the capacity: any refusal now is a result of the burst.
  const after = await arrive(capacity / 2, 5)
  const failedAt = after.filter(({ status }) => status !== 200).map(({ due }) => due)
  const of = (wanted: number) => burst.filter(({ status }) => status === wanted)
  const share = (count: number) => `${((100 * count) / burst.length).toFixed(1)} %`
  const unexplained = of(503).filter(({ retryAfter }) => !retryAfter).length
  if (unexplained > 0) throw new Error(`${unexplained} answers of 503 do not say when to come back`)
  const [served, shed] = [of(200), of(503)]
  const times = (answers: typeof burst) => answers.map(({ ms }) => ms)
  print(
    columns([
      `${load}x`,
      (burst.length / SECONDS).toFixed(0),
      share(served.length),
      share(shed.length),
      share(burst.length - served.length - shed.length),
      (served.length / SECONDS).toFixed(0),
      quantile(times(served), 0.5),
      quantile(times(served), 0.99),
      quantile(times(shed), 0.99),
      quantile(lives, 0.99),
      (failedAt.length > 0 ? Math.max(...failedAt) / 1_000 : 0).toFixed(2),
      // The delay of this script's own event loop, the 99th percentile: every time above includes it.
      (lateness.percentile(99) / 1e6 - 5).toFixed(1),
    ]),
  )
}

server.kill()
await once(server, 'exit')
await database.stop()
await rm(dataDir, { recursive: true, force: true })

/**
 * Sends requests at an even rate, none of which waits for another. @returns each request with its due time,
 * from the first
 */
async function arrive(perSecond: number, seconds: number): Promise<(Answer & { due: number; ms: number })[]> {
  const began = performance.now()
  const sent: Promise<Answer & { due: number; ms: number }>[] = []
  const total = Math.round(perSecond * seconds)
  while (sent.length < total) {
    const due = Math.min(total, Math.floor(((performance.now() - began) / 1_000) * perSecond))
    while (sent.length < due) sent.push(askAt((sent.length / perSecond) * 1_000, began))
    await wait(1_000 / TICKS)
  }
  return Promise.all(sent)
}

async function askAt(due: number, began: number) {
  const answer = await crowd('GET', LIST, person).catch(() => ({
    status: 0,
    retryAfter: undefined,
    text: '',
  }))
  return { ...answer, due, ms: performance.now() - began - due }
}

async function capacityOver(seconds: number): Promise<number> {
  const end = performance.now() + seconds * 1_000
  let answered = 0
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (performance.now() < end) {
      const { status, text } = await crowd('GET', LIST, person)
      if (status !== 200) throw new Error(`a list was answered ${status}: ${text}`)
      answered += 1
    }
  })
  await Promise.all(clients)
  return answered / seconds
}

async function probeLive(times: number[], isOver: () => boolean): Promise<void> {
  for (const client = openClient(); !isOver(); await wait(50)) {
    const began = performance.now()
    const { status } = await client('GET', '/health/live')
    if (status !== 200) throw new Error(`/health/live answered ${status}`)
    times.push(performance.now() - began)
  }
}

/** A client that keeps its connections, and has as many as it has requests in progress. */
function openClient() {
  const agent = new Agent({ keepAlive: true })
  return (
    method: 'GET' | 'POST',
    path: string,
    headers: Record<string, string> = {},
    body?: object,
  ): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const type = body && { 'content-type': 'application/json' }
      const sent = request({ agent, host: '127.0.0.1', port, method, path, headers: { ...headers, ...type } })
      sent.on('error', reject)
      sent.on('response', (answer: IncomingMessage) => {
        let text = ''
        answer.setEncoding('utf8').on('data', (chunk) => {
          text += chunk
        })
        answer.on('error', reject)
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, retryAfter: answer.headers['retry-after'], text }),
        )
      })
      sent.end(body && JSON.stringify(body))
    })
}

/** Creates a person with a router that sees devices. @returns the headers for requests */
async function signUp(): Promise<Record<string, string>> {
  const made = async (path: string, headers: Record<string, string>, body: object) => {
    const { status, text } = await crowd('POST', path, headers, body)
    if (status >= 400) throw new Error(`${path} answered ${status}: ${text}`)
    return JSON.parse(text)
  }
  const { accessToken } = await made(
    '/api/auth/register',
    {},
    { email: `${randomUUID()}@example.com`, password: `pw ${randomUUID()}` },
  )
  const headers = { authorization: `Bearer ${accessToken}` }
  const { id } = await made('/api/routers', headers, { name: 'Home' })
  const { key } = await made(`/api/routers/${id}/keys`, headers, {})
  const devices = Array.from({ length: DEVICES }, (_, index) => ({
    mac: `02:00:00:00:00:${index.toString(16).padStart(2, '0')}`,
  }))
  await made(
    '/api/agent/scans',
    { 'x-api-key': key },
    { scanId: randomUUID(), takenAt: new Date().toISOString(), devices },
  )
  return headers
}

async function untilReady(child: ChildProcess): Promise<void> {
  for (let isReady = false; !isReady; await wait(100)) {
    if (child.exitCode !== null) throw new Error('the server did not start')
    isReady = await crowd('GET', '/health/ready').then(
      ({ status }) => status === 200,
      () => false,
    )
  }
}

async function freePort(): Promise<number> {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port: free } = taken.address() as AddressInfo
  taken.close()
  await once(taken, 'close')
  return free
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

function columns(cells: string[]): string {
  return cells.map((cell) => cell.padStart(13)).join('')
}

function quantile(values: number[], share: number): string {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)]?.toFixed(1) ?? '-'
}
