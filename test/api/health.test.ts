/** What operators ask: does the process answer, does the database, and would a request be served. */
import { beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { asAdmin, prepare, separateDatabase, type TestDatabase } from '../support/database.ts'
import { expectProblem } from '../support/problems.ts'
import { openServer, sharedWorld, type World, worldOf } from '../support/world.ts'

let world: World
beforeAll(async () => {
  world = await sharedWorld()
})

/** Status, Retry-After and body of the three questions. */
async function health(app: World['app']) {
  const ask = async (url: string) => {
    const answer = await app.inject({ url })
    return [answer.statusCode, answer.headers['retry-after'], answer.json()]
  }
  const [state, live, ready] = await Promise.all([ask('/health'), ask('/health/live'), ask('/health/ready')])
  return { state, live, ready }
}
const stateOf = (status: string, up: boolean) => ({
  status,
  version: '0.0.0-test',
  database: { status: up ? 'up' : 'down', latencyMs: up ? expect.any(Number) : null },
})
const alive = [200, undefined, { status: 'ok' }]
const well = {
  state: [200, undefined, stateOf('ok', true)],
  live: alive,
  ready: [200, undefined, { status: 'ready' }],
}
const notReady = (reason: string) => [503, '1', { status: 'not-ready', reason }]

async function serve(env: Record<string, string>, database?: TestDatabase) {
  const server = await openServer(env, database)
  onTestFinished(server.close)
  return server
}

describe('health', () => {
  it('tells version, database and latency to anyone, and nothing that names the database', async () => {
    expect(await health(world.app)).toEqual(well)
    const { database } = (await world.send('GET', '/health')).json()
    expect(database.latencyMs).toBeGreaterThan(0)
    expect(database.latencyMs).toBeLessThan(5_000)
  })

  it('is degraded and not ready while the database cannot be reached, but the process lives, L4', async () => {
    const { app } = await serve(
      {},
      { ...inject('database'), adminUrl: 'postgres://nobody@127.0.0.1:1/nothing' },
    )
    expect(await health(app)).toEqual({
      state: [503, '1', stateOf('degraded', false)],
      live: alive,
      ready: notReady('unreachable'),
    })
  })

  it('is not ready while migrations are missing, or are another build’s, and ready once they are there, without a restart', async () => {
    const database = await separateDatabase(inject('database'), 'health')
    await asAdmin(database.adminUrl, (client) =>
      client.query(`grant connect on database ${database.rolePrefix}health to public`),
    )
    const { app } = await serve({}, database)
    const missing = {
      state: [503, '1', stateOf('degraded', true)],
      live: alive,
      ready: notReady('migrations-missing'),
    }
    expect(await health(app)).toEqual(missing)
    await prepare(database)
    const journal = (statement: string) =>
      asAdmin(database.adminUrl, (client) => client.query(`update drizzle.migrations ${statement}`))
    await journal(`set sha256 = decode(reverse(encode(sha256, 'hex')), 'hex')`)
    expect(await health(app)).toEqual({ ...missing, ready: notReady('migrations-edited') })
    await journal(`set sha256 = decode(reverse(encode(sha256, 'hex')), 'hex')`)
    expect(await health(app)).toEqual(well)
  })

  it('is degraded and not ready while the database takes no writes: reads go on, writes are 503, and all is well without a restart', async () => {
    const database = await separateDatabase(inject('database'), 'read_only')
    await prepare(database)
    const server = await serve(
      { DATABASE_POOL_SIZE: '1', DATABASE_AUTH_POOL_SIZE: '1', DATABASE_ADMIN_POOL_SIZE: '1' },
      database,
    )
    const ada = await worldOf(server).person()
    const name = new URL(database.adminUrl).pathname.slice(1)
    const setDefault = (statement: string) =>
      asAdmin(inject('database').adminUrl, async (client) => {
        await client.query(`alter database ${name} ${statement}`)
        // Connections that are open keep their default.
        await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [
          name,
        ])
      })
    const write = () => ada.call('POST', '/api/routers', { body: { name: 'Home' } })

    await setDefault('set default_transaction_read_only = on')
    const readOnly = {
      state: [503, '1', stateOf('degraded', true)],
      live: alive,
      ready: notReady('read-only'),
    }
    await expect.poll(() => health(server.app)).toEqual(readOnly)
    expect((await ada.call('GET', '/api/routers')).statusCode).toBe(200)
    expectProblem(await write(), 503, 'unavailable')

    await setDefault('reset default_transaction_read_only')
    await expect.poll(() => health(server.app)).toEqual(well)
    expect((await write()).statusCode).toBe(201)
  })

  it('is not ready from the moment the server means to close, while it still serves', async () => {
    const { app, closing } = await serve({})
    expect(await health(app)).toEqual(well)
    closing.abort()
    expect(await health(app)).toEqual({ ...well, ready: notReady('closing') })
  })

  it.each(['server', 'auth'] as const)(
    'answers within the bound of the pool when every connection of the %s pool is taken',
    async (pool) => {
      const { app, pools } = await serve({
        DATABASE_POOL_SIZE: '1',
        DATABASE_AUTH_POOL_SIZE: '1',
        DATABASE_ACQUIRE_TIMEOUT_MS: '1500',
      })
      const taken = await pools[pool].connect()
      const start = performance.now()
      const meanwhile = await health(app)
      taken.release()
      expect(meanwhile).toEqual({
        state: [503, '1', stateOf('degraded', false)],
        live: alive,
        ready: notReady('unreachable'),
      })
      expect(performance.now() - start).toBeLessThan(10_000)
      expect(await health(app)).toEqual(well)
    },
  )
})
