/** The database goes away and comes back; the server stays. */
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { openOutage } from '../support/outage.ts'
import { openServer, type Person, type TestServer, worldOf } from '../support/world.ts'

let outage: Awaited<ReturnType<typeof openOutage>>
let server: TestServer
let ada: Person

beforeAll(async () => {
  outage = await openOutage(inject('database'))
  server = await openServer({}, outage.database)
  ada = await worldOf(server).person()
})
afterAll(async () => {
  await server.close()
  await outage.cut()
})

describe('a database that goes away', () => {
  it('makes requests 503 with Retry-After, health 503, liveness 200; when it is back, so is everything, with nothing lost', async () => {
    const router = await ada.router({ name: 'before' })
    const get = (url: string) => server.app.inject({ url })
    expect((await get('/health/ready')).statusCode).toBe(200)

    await outage.cut()
    for (const call of [
      () => ada.call('GET', '/api/devices'),
      () => router.scan(['00:00:5e:00:53:01']),
      () => ada.call('POST', '/api/routers', { body: { name: 'x' } }),
    ]) {
      const answer = await call()
      expect(answer.statusCode).toBe(503)
      expect(answer.headers['retry-after']).toBe('1')
      expect(Object.keys(answer.json()).sort()).toEqual(['code', 'requestId', 'status', 'title', 'type'])
    }
    const health = await get('/health')
    expect(health.statusCode).toBe(503)
    expect(health.json()).toMatchObject({ status: 'degraded', database: { status: 'down', latencyMs: null } })
    expect((await get('/health/live')).statusCode).toBe(200)
    expect((await get('/health/ready')).json()).toEqual({ status: 'not-ready', reason: 'unreachable' })

    await outage.restore()
    expect((await get('/health')).json()).toMatchObject({ status: 'ok', database: { status: 'up' } })
    expect((await ada.call('GET', '/api/routers')).json()).toMatchObject({
      total: 1,
      items: [{ name: 'before' }],
    })
    expect((await router.scan(['00:00:5e:00:53:01'])).json()).toMatchObject({ created: 1 })
  })
})

describe('a network that loses its connections without a word', () => {
  it('costs one wait of three seconds: the other idle connections are made anew, not found out one by one', {
    timeout: 60_000,
  }, async () => {
    const lossy = await openOutage(inject('database'))
    const own = await openServer({ DATABASE_POOL_SIZE: '8', LOG_LEVEL: 'warn' }, lossy.database)
    onTestFinished(async () => {
      await own.close()
      await lossy.cut()
    })
    const bob = await worldOf(own).person()
    const list = async () => (await bob.call('GET', '/api/routers')).statusCode
    const isReady = async () => (await own.app.inject({ url: '/health/ready' })).statusCode
    await Promise.all(Array.from({ length: 8 }, list))
    expect(own.pools.server.idleCount).toBe(8)

    await lossy.freeze()
    const began = performance.now()
    expect(await list()).toBe(503)
    // From then on every request is served: as many at once as there were dead connections.
    expect(await Promise.all(Array.from({ length: 8 }, list))).toEqual(Array(8).fill(200))
    // Where BEGIN may wait for somebody else's connection, only the bound of every query tells.
    expect(performance.now() - began).toBeLessThan(own.config.database.namedStatements ? 5_000 : 9_000)

    // Whoever asks about health finds it out as well, for every pool.
    await lossy.freeze()
    expect(await isReady()).toBe(503)
    expect(await list()).toBe(200)
    expect(await isReady()).toBe(200)
  })
})
