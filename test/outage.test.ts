/** The database goes away and comes back; the server stays. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { openOutage } from './support/outage.ts'
import { openServer, type Person, type TestServer, worldOf } from './support/world.ts'

let outage: Awaited<ReturnType<typeof openOutage>>
let server: TestServer
let ada: Person

beforeAll(async () => {
  outage = await openOutage(inject('database'))
  server = await openServer({ DATABASE_ACQUIRE_TIMEOUT_MS: '500' }, outage.database)
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
    expect((await ada.call('GET', '/api/routers')).json()).toMatchObject({ total: 1, items: [{ name: 'before' }] })
    expect((await router.scan(['00:00:5e:00:53:01'])).json()).toMatchObject({ created: 1 })
  })
})
