/**
 * Beyond its capacity the server turns requests away at once, its health goes on answering, and it recovers
 * by itself. L1, L12.
 */
import { describe, expect, it, onTestFinished } from 'vitest'
import { expectProblem } from '../support/problems.ts'
import { type Answer, openServer, worldOf } from '../support/world.ts'

async function serve(env: Record<string, string>) {
  const server = await openServer(env)
  onTestFinished(server.close)
  const world = worldOf(server)
  return { ...server, world, ada: await world.person() }
}
const LIVE = { status: 'ok' }
/** Of `rls/transaction.ts`, for one connection. */
const WAITERS = 16

describe('a server whose connections are all taken', () => {
  it('lets so many wait, turns the others away at once, stays alive, and then serves everybody, L1 L12', async () => {
    const { pools, world, ada } = await serve({
      DATABASE_POOL_SIZE: '1',
      DATABASE_ACQUIRE_TIMEOUT_MS: '15000',
    })
    const router = await ada.router()
    const excess = 40
    const taken = await pools.server.connect()
    const early: Answer[] = []
    const { promise: areTurnedAway, resolve } = Promise.withResolvers<void>()
    const asked = Array.from({ length: WAITERS + excess }, async (_, index) => {
      const answer = await (index % 2
        ? ada.call('GET', '/api/routers')
        : router.call('POST', '/api/agent/heartbeat', { body: {} }))
      if (early.push(answer) === excess) resolve()
      return answer
    })
    await areTurnedAway
    // Nothing was given back yet: these did not wait for it.
    expect(pools.server.waitingCount).toBe(WAITERS)
    for (const answer of early)
      expect(expectProblem(answer, 503, 'unavailable').detail).toBe('The server is busy')
    expect((await world.send('GET', '/health/live')).json()).toEqual(LIVE)
    // Signing in has connections of its own.
    expect(
      (await world.send('POST', '/api/auth/login', { body: { email: ada.email, password: ada.password } }))
        .statusCode,
    ).toBe(200)
    taken.release()
    const statuses = (await Promise.all(asked)).map(({ statusCode }) => statusCode)
    expect(statuses.filter((status) => status === 200)).toHaveLength(WAITERS)
    expect(statuses.filter((status) => status === 503)).toHaveLength(excess)
    const after = await Promise.all(Array.from({ length: WAITERS }, () => ada.call('GET', '/api/routers')))
    expect(after.map(({ statusCode }) => statusCode)).toEqual(after.map(() => 200))
    expect([pools.server.waitingCount, pools.server.idleCount]).toEqual([0, 1])
  })

  it('answers who waited in vain within the time that is set, and again when there is room, L1', async () => {
    const { pools, ada } = await serve({ DATABASE_POOL_SIZE: '1', DATABASE_ACQUIRE_TIMEOUT_MS: '2000' })
    const taken = await pools.server.connect()
    const answers = await Promise.all(Array.from({ length: WAITERS }, () => ada.call('GET', '/api/routers')))
    taken.release()
    for (const answer of answers) expectProblem(answer, 503, 'unavailable')
    expect((await ada.call('GET', '/api/routers')).statusCode).toBe(200)
  })

  it('spends none on who brings no good credentials', async () => {
    const { pools, world } = await serve({ DATABASE_POOL_SIZE: '1', DATABASE_ACQUIRE_TIMEOUT_MS: '15000' })
    const taken = await pools.server.connect()
    const headers = { authorization: 'Bearer nonsense' }
    const answers = await Promise.all(
      Array.from({ length: 3 * WAITERS }, () => world.send('GET', '/api/routers', { headers })),
    )
    taken.release()
    for (const answer of answers) expectProblem(answer, 401, 'unauthenticated')
  })
})

describe('a server whose event loop is late', () => {
  const block = (ms: number) => {
    const end = performance.now() + ms
    while (performance.now() < end);
  }

  it('turns everything away but questions for its health, and recovers by itself, L12', async () => {
    const { app, world, ada } = await serve({ OVERLOAD_EVENT_LOOP_DELAY_MS: '200' })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const ask = () => ada.call('GET', '/api/routers')
    expect((await ask()).statusCode).toBe(200)
    const askAll = () =>
      Promise.all([ask(), world.send('GET', '/health/live'), world.send('GET', '/api/routers')])
    let [known, health, unknown] = await askAll()
    // Once is enough, unless the delay fell between two looks at it.
    for (; known.statusCode === 200; [known, health, unknown] = await askAll()) block(1_000)
    expect(expectProblem(known, 503, 'unavailable').detail).toBe('The server is busy')
    expect(health.json()).toEqual(LIVE)
    // Before it is looked at who asks.
    expectProblem(unknown, 503, 'unavailable')
    let answer = known
    for (; answer.statusCode === 503; answer = await ask()) await new Promise(setImmediate)
    expect(answer.statusCode).toBe(200)
  })

  it('turns nobody away when that is switched off', async () => {
    const { app, ada } = await serve({ OVERLOAD_EVENT_LOOP_DELAY_MS: '0' })
    await app.listen({ host: '127.0.0.1', port: 0 })
    for (let round = 0; round < 3; round += 1) {
      block(600)
      expect((await ada.call('GET', '/api/routers')).statusCode).toBe(200)
    }
  })
})
