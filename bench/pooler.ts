/**
 * Measures the cost behind PgBouncer of leaving nothing on a connection for the next transaction: `node
 * bench/pooler.ts`, some minutes. It requests a list of 50 devices, one at a time and 8 at once. It uses the
 * recommended settings with and without their reset query, each with two connections. Both take short turns,
 * in reverse order every other round. Ratios compare neighbouring turns, and their median counts.
 */

import { buildApp } from '../src/app.ts'
import { readConfig } from '../src/config/config.ts'
import { readMigrations } from '../src/database/migrations/runner.ts'
import { createPool } from '../src/database/pool.ts'
import { makeTestDatabase, servingUrl } from '../test/support/database.ts'
import { newSecrets } from '../test/support/world.ts'
import { startPooler } from '../test/system/pooler/pgbouncer.ts'
import { callerOf, median, personWith } from './servers.ts'

const ROUNDS = 121
const REQUESTS = 32

const { database, close } = await makeTestDatabase()
const ends: (() => Promise<unknown>)[] = [close]
const secrets = newSecrets()

async function openSide(settings: Record<string, string | number>) {
  const pooler = await startPooler(database, { settings })
  const pool = (role: 'server' | 'auth' | 'admin') =>
    createPool({
      url: servingUrl({ ...database, pooler: pooler.address }, role),
      size: 8,
      acquireTimeoutMs: 5_000,
      applicationName: `netpilot ${role}`,
      onIdleError: () => {},
    })
  const pools = { server: pool('server'), auth: pool('auth'), admin: pool('admin') }
  const env = {
    ...{
      LOG_LEVEL: 'silent',
      BCRYPT_COST: '4',
      RATE_LIMIT_PERSON: '1000000',
      OVERLOAD_EVENT_LOOP_DELAY_MS: '0',
    },
    ...{ DATABASE_ROLE_PREFIX: database.rolePrefix, DATABASE_NAMED_STATEMENTS: 'off' },
  }
  const app = await buildApp({
    config: readConfig(env),
    version: 'bench',
    secrets,
    pools,
    migrations: await readMigrations(),
  })
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  ends.unshift(async () => {
    await app.close()
    await Promise.all(Object.values(pools).map((each) => each.end()))
    await pooler.stop()
  })
  return address
}

try {
  const sides = [await openSide({ server_reset_query_always: 0 }), await openSide({})]
  const { accessToken } = await personWith(sides[0] as string, 50)
  for (const atOnce of [1, 8]) {
    const turn = async (address: string) => {
      const call = callerOf(address, { authorization: `Bearer ${accessToken}` })
      let left = REQUESTS
      const began = performance.now()
      await Promise.all(
        Array.from({ length: atOnce }, async () => {
          while (left-- > 0) await call('GET', '/api/devices?limit=50')
        }),
      )
      return (REQUESTS / (performance.now() - began)) * 1_000
    }
    for (const side of sides) await turn(side)
    const ratios: number[] = []
    const all: [number[], number[]] = [[], []]
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const index of round % 2 ? ([0, 1] as const) : ([1, 0] as const))
        all[index].push(await turn(sides[index] as string))
      ratios.push((all[1].at(-1) ?? 0) / (all[0].at(-1) ?? 1))
    }
    const [without, within] = all.map((rates) => median(rates).toFixed(0))
    process.stdout.write(
      `${atOnce} at once: ${without} a second without a reset, ${within} with it, ${median(ratios).toFixed(3)} of the rate\n`,
    )
  }
} finally {
  for (const end of ends) await end()
}
