/**
 * Work that an answer must not wait for, because how long it takes would tell whether there is such an
 * account; or that must not be lost.
 */
import { setTimeout as pause } from 'node:timers/promises'

export type BackgroundTasks = {
  /** Begins at once; a failure is only logged. */
  run(work: () => Promise<unknown>): void
  /**
   * The same, but a failure is tried again for so long, after growing pauses. @returns when it is done or
   * given up
   */
  keepTrying(work: () => Promise<unknown>, forMs: number): Promise<void>
  /** When everything that was begun has ended. */
  settled(): Promise<void>
  /** The same, but what waits to be tried again is tried once more, at once. */
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
      // Half of it by chance: those who failed together come back apart.
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
