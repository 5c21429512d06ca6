/** The database goes away and comes back; the server stays. A proxy plays the outage: connections are cut, then refused, then served again. */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { openServer, type Person, type TestServer, worldOf } from './support/world.ts'

const database = inject('database')
const target = new URL(database.adminUrl)
const sockets = new Set<Socket>()
let proxy: Server
let port = 0
let server: TestServer
let ada: Person

const listen = () =>
  new Promise<void>((resolve) => {
    proxy = createServer((client) => {
      const upstream = connect(Number(target.port || 5432), target.hostname)
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.add(from)
        from.pipe(to)
        from.on('error', () => to.destroy())
        from.on('close', () => to.destroy())
      }
    }).listen(port, '127.0.0.1', () => {
      port = (proxy.address() as { port: number }).port
      resolve()
    })
  })

const cut = () => {
  const closed = new Promise((resolve) => proxy.close(resolve))
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  return closed
}

beforeAll(async () => {
  await listen()
  const url = new URL(database.adminUrl)
  url.host = `127.0.0.1:${port}`
  server = await openServer({ DATABASE_ACQUIRE_TIMEOUT_MS: '500' }, { ...database, adminUrl: url.href })
  ada = await worldOf(server).person()
})
afterAll(async () => {
  await server.close()
  await cut()
})

describe('a database that goes away', () => {
  it('makes requests 503 with Retry-After, health 503, liveness 200; when it is back, so is everything, with nothing lost', async () => {
    const router = await ada.router({ name: 'before' })
    const get = (url: string) => server.app.inject({ url })
    expect((await get('/health/ready')).statusCode).toBe(200)

    await cut()
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

    await listen()
    expect((await get('/health')).json()).toMatchObject({ status: 'ok', database: { status: 'up' } })
    expect((await ada.call('GET', '/api/routers')).json()).toMatchObject({ total: 1, items: [{ name: 'before' }] })
    expect((await router.scan(['00:00:5e:00:53:01'])).json()).toMatchObject({ created: 1 })
  })
})
