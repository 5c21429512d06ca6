/**
 * Agents that wait are woken together when the server may have missed something: each is answered, and nobody
 * else waits for them.
 */
import { describe, expect, it, vi } from 'vitest'
import { waitingAgents } from '../support/waiters.ts'

describe('three hundred agents that wait on a pool of four', () => {
  it('are none of them turned away when they begin at once, or when all are woken; others are served meanwhile', {
    timeout: 60_000,
  }, async () => {
    const { server, owner, statuses, wakeAll } = await waitingAgents(300)
    for (let round = 0; round < 3; round += 1) {
      wakeAll()
      expect((await owner.call('GET', '/api/devices')).statusCode).toBe(200)
      // Half of the pool is theirs at most.
      expect(server.pools.server.waitingCount).toBe(0)
    }
    server.closing.abort()
    expect(await statuses()).toEqual(new Set([304]))
  })

  it('wait on while there is no connection, and hear of the change when there is', {
    timeout: 60_000,
  }, async () => {
    const { server, owner, router, statuses, wakeAll } = await waitingAgents(100)
    const { pools } = server
    await owner.call('PATCH', `/api/routers/${router.id}`, { body: { mode: 'whitelist' } })
    const taken = await Promise.all(Array.from({ length: 4 }, () => pools.server.connect()))
    const borrow = vi.spyOn(pools.server, 'connect')
    wakeAll()
    const failed = async () =>
      (await Promise.allSettled(borrow.mock.results.map(({ value }) => value))).filter(
        ({ status }) => status === 'rejected',
      )
    await expect.poll(async () => (await failed()).length, { timeout: 10_000 }).toBeGreaterThan(2)
    for (const client of taken) client.release()
    wakeAll()
    expect(await statuses()).toEqual(new Set([200]))
  })
})
