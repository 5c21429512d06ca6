/** When PgBouncer has no connection to give: all are taken, or PostgreSQL is away. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { listenForNotifications } from '../../../src/database/notifications.ts'
import { servingUrl, type TestDatabase } from '../../support/database.ts'
import { type DatabaseProxy, openProxy } from '../../support/outage.ts'
import { expectProblem } from '../../support/problems.ts'
import { openServer, type Person, type TestServer, worldOf } from '../../support/world.ts'
import { type Pooler, startPooler } from './pgbouncer.ts'

let proxy: DatabaseProxy
let pooler: Pooler
let database: TestDatabase
let server: TestServer
let ada: Person

beforeAll(async () => {
  proxy = await openProxy(new URL(inject('database').adminUrl).host)
  pooler = await startPooler(inject('database'), { upstream: proxy.address })
  database = { ...inject('database'), pooler: pooler.address }
  server = await openServer({}, database)
  ada = await worldOf(server).person()
})
afterAll(async () => {
  await server.close()
  await pooler.stop()
  await proxy.cut()
})

const ready = async () => (await server.app.inject({ url: '/health/ready' })).statusCode

describe('behind the pooler', () => {
  it('who waits too long for a connection is told 503 with Retry-After, and the next one is served', async () => {
    const taken = await Promise.all([server.pools.server.connect(), server.pools.server.connect()])
    for (const client of taken) await client.query('begin')
    const answers = await Promise.all([
      ada.call('GET', '/api/routers'),
      ada.call('POST', '/api/routers', { body: { name: 'x' } }),
    ])
    for (const answer of answers) {
      expectProblem(answer, 503, 'unavailable')
      expect(answer.headers['retry-after']).toBe('1')
    }
    expect(await ready()).toBe(503)
    for (const client of taken) await client.query('rollback')
    for (const client of taken) client.release()
    expect((await ada.call('GET', '/api/routers')).json()).toMatchObject({ total: 0 })
    expect(await ready()).toBe(200)
  })

  it('requests are 503 while PostgreSQL is away, and served soon after it is back, without a restart', async () => {
    await proxy.cut()
    for (const answer of await Promise.all(
      Array.from({ length: 20 }, () => ada.call('GET', '/api/routers')),
    )) {
      expectProblem(answer, 503, 'unavailable')
      expect(answer.headers['retry-after']).toBe('1')
    }
    expect(await ready()).toBe(503)
    expect((await server.app.inject({ url: '/health/live' })).statusCode).toBe(200)
    await proxy.restore()
    while ((await ready()) !== 200)
      expect((await server.app.inject({ url: '/health/live' })).statusCode).toBe(200)
    expect((await ada.call('POST', '/api/routers', { body: { name: 'after' } })).statusCode).toBe(201)
  })

  it('a connection for wake-ups that does not go past it is told of', async () => {
    const told = await new Promise<Error>((resolve) => {
      const listening = listenForNotifications({
        url: servingUrl(database, 'server'),
        channel: 'netpilot_policy',
        onNotification: () => {},
        onGap: () => {},
        onError: (error) => void listening.close().then(() => resolve(error)),
      })
    })
    expect(told.message).toContain('Set DATABASE_URL_DIRECT')
  })
})
