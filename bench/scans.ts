/**
 * Measures the cost of a scan, by its size, in one run: `node bench/scans.ts`. It uses a throw-away embedded
 * PostgreSQL without statistics of its routers, as in production. Ratios are of medians, measured in turn, so
 * that a change of the machine's speed affects all sizes.
 */

import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildApp } from '../src/app.ts'
import { readConfig } from '../src/config/config.ts'
import { openLocalDatabase } from '../src/database/local.ts'
import { readMigrations } from '../src/database/migrations/runner.ts'
import { createPool } from '../src/database/pool.ts'
import { newSecrets } from '../test/support/world.ts'

const SIZES = [50, 500, 5_000]
const ROUNDS = 7

const dataDir = await mkdtemp(join(tmpdir(), 'netpilot-bench-'))
const database = await openLocalDatabase(dataDir, 'netpilot_')
const pool = (url: string) =>
  createPool({ url, size: 4, acquireTimeoutMs: 1_000, applicationName: 'bench', onIdleError: () => {} })
const pools = {
  server: pool(database.urls.server),
  auth: pool(database.urls.auth),
  admin: pool(database.urls.admin),
}
const secrets = newSecrets()
const config = readConfig({ LOG_LEVEL: 'silent', BCRYPT_COST: '4' })
const app = await buildApp({ config, version: 'bench', secrets, pools, migrations: await readMigrations() })

const call = async (
  method: 'GET' | 'POST',
  url: string,
  headers: Record<string, string>,
  payload?: object,
) => {
  const answer = await app.inject({ method, url, headers, ...(payload && { payload }) })
  if (answer.statusCode >= 400) throw new Error(`${url} answered ${answer.statusCode}: ${answer.body}`)
  return answer.json()
}
const { accessToken } = await call(
  'POST',
  '/api/auth/register',
  {},
  { email: 'bench@example.com', password: 'violet anchor pillow lantern' },
)
const person = { authorization: `Bearer ${accessToken}` }
const macOf = (index: number) =>
  ['02', ...index.toString(16).padStart(10, '0').matchAll(/../g)].map(String).join(':')

const networks = await Promise.all(
  SIZES.map(async (size) => {
    const router = await call('POST', '/api/routers', person, { name: String(size) })
    const { key } = await call('POST', `/api/routers/${router.id}/keys`, person, {})
    const devices = Array.from({ length: size }, (_, index) => ({
      mac: macOf(index),
      ip: `10.${size % 200}.${index >> 8}.${index & 255}`,
    }))
    const scan = async () => {
      const began = performance.now()
      await call(
        'POST',
        '/api/agent/scans',
        { 'x-api-key': key },
        { scanId: randomUUID(), takenAt: new Date().toISOString(), devices },
      )
      return performance.now() - began
    }
    return { size, scan, repeated: [] as number[] }
  }),
)
const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
const firsts: number[] = []
for (const { scan } of networks) firsts.push(await scan())
for (let round = 0; round < ROUNDS; round += 1)
  for (const { scan, repeated } of networks) repeated.push(await scan())

const perDevice = networks.map(({ size, repeated }) => median(repeated) / size)
process.stdout.write('devices  first ms  repeated ms  per device, of that at 50\n')
for (const [index, { size, repeated }] of networks.entries()) {
  const cells = [
    size,
    (firsts[index] ?? 0).toFixed(0),
    median(repeated).toFixed(1),
    ((perDevice[index] ?? 0) / (perDevice[0] ?? 1)).toFixed(2),
  ]
  process.stdout.write(
    `${cells.map((cell, column) => String(cell).padStart([7, 8, 11, 25][column] ?? 0)).join('  ')}\n`,
  )
}

await app.close()
await Promise.all(Object.values(pools).map((each) => each.end()))
await database.stop()
await rm(dataDir, { recursive: true, force: true })
