import { describe, expect, it } from 'vitest'
import { waitingAgents } from '../support/waiters.ts'

describe('two thousand agents that wait on a pool of ten', () => {
  it('are none of them turned away when they begin at once, or when all are woken', {
    timeout: 300_000,
  }, async () => {
    const { server, owner, statuses, wakeAll } = await waitingAgents(2_000, { DATABASE_POOL_SIZE: '10' })
    for (let round = 0; round < 3; round += 1) {
      wakeAll()
      expect((await owner.call('GET', '/api/devices')).statusCode).toBe(200)
    }
    server.closing.abort()
    expect(await statuses()).toEqual(new Set([304]))
  })
})
