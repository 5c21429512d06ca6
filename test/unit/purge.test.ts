/** When what has had its time is removed. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { schedulePurge } from '../../src/jobs/purge.ts'
import type { Tx, WithTransaction } from '../../src/rls/transaction.ts'

const MINUTE_MS = 60_000

describe('housekeeping', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  /** @param scans how many old scans each call finds */
  function keep(scans: (number | Error)[] = [], firstAfterMs?: number) {
    const done: string[] = []
    const errors: unknown[] = []
    const query = async ({ name, values = [] }: { name: string; values?: unknown[] }) => {
      done.push(`${name} ${values}`)
      const removed = name === 'purge scans' ? (scans.shift() ?? 0) : 0
      if (removed instanceof Error) throw removed
      return [{ removed }]
    }
    const withTransaction: WithTransaction = (_, work) => work({ query } as unknown as Tx)
    const stop = schedulePurge({
      withTransaction,
      auditDays: 365,
      scanDays: 3,
      firstAfterMs,
      onError: (error) => errors.push(error),
    })
    return { done, errors, stop }
  }

  it('is done some minutes after a start, at another moment by each server, then every hour, until the server stops', async () => {
    const servers = Array.from({ length: 20 }, () => keep())
    const begun = () => servers.filter(({ done }) => done.length > 0).length
    await vi.advanceTimersByTimeAsync(2.5 * MINUTE_MS)
    expect(begun()).toBeGreaterThan(0)
    expect(begun()).toBeLessThan(20)
    await vi.advanceTimersByTimeAsync(2.5 * MINUTE_MS)
    for (const { done } of servers) expect(done).toEqual(['purge 365', 'purge scans 3'])
    await vi.advanceTimersByTimeAsync(60 * MINUTE_MS)
    for (const { done, stop } of servers) {
      expect(done).toHaveLength(4)
      stop()
    }
    await vi.advanceTimersByTimeAsync(120 * MINUTE_MS)
    for (const { done } of servers) expect(done).toHaveLength(4)
  })

  it('removes scans for as long as there are any, and goes on in an hour when it fails', async () => {
    const { done, errors, stop } = keep([5_000, 17, 0, new Error('busy'), 1, 0], 0)
    await vi.advanceTimersByTimeAsync(0)
    expect(done).toEqual(['purge 365', ...Array(3).fill('purge scans 3')])
    await vi.advanceTimersByTimeAsync(60 * MINUTE_MS)
    expect(errors).toEqual([new Error('busy')])
    await vi.advanceTimersByTimeAsync(60 * MINUTE_MS)
    expect(done.filter((name) => name === 'purge scans 3')).toHaveLength(6)
    stop()
  })
})
