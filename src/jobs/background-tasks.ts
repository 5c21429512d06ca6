/**
 * Background tasks, for two purposes. An answer must not wait for some work, because the duration would
 * reveal whether an account exists; other work must not be lost.
 */
import { setTimeout as pause } from 'node:timers/promises'

export type BackgroundTasks = {
  /** Starts at once; a failure is only logged. */
  run(work: () => Promise<unknown>): void
  /**
   * The same, but retries a failure for this long, after growing pauses. @returns when it is done or given up
   */
  keepTrying(work: () => Promise<unknown>, forMs: number): Promise<void>
  /** Resolves when every started task has ended. */
  settled(): Promise<void>
  /** The same, but each task that waits for a retry runs once more, at once. */
  close(): Promise<void>
}

const FIRST_PAUSE_MS = 50
export const LONGEST_PAUSE_MS = 1_000

export function createBackgroundTasks(onError: (error: unknown) => void): BackgroundTasks {
  const underWay = new Set<Promise<void>>()
  const closing = new AbortController()

  function begin(work: () => Promise<unknown>): Promise<void> {
    const running = work()
      .then(() => {}, onError)
      .finally(() => underWay.delete(running))
    underWay.add(running)
    return running
  }

  async function persist(work: () => Promise<unknown>, forMs: number) {
    const end = Date.now() + forMs
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      const isLast = closing.signal.aborted || Date.now() >= end
      try {
        return await work()
      } catch (error) {
        if (isLast) throw error
      }
      // Half of the pause is random, so that tasks that failed together do not retry together.
      await pause((pauseMs * (1 + Math.random())) / 2, undefined, { signal: closing.signal }).catch(() => {})
    }
  }

  const settled = async () => void (await Promise.all(underWay))
  return {
    run: (work) => void begin(work),
    keepTrying: (work, forMs) => begin(() => persist(work, forMs)),
    settled,
    close() {
      closing.abort()
      return settled()
    },
  }
}
