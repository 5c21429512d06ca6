/** A bound on costly work: so many jobs at once, so many waiting, each for so long. */
import { problem } from '../problem.ts'

/**
 * `concurrency` jobs run at once, `queue` more wait, each at most `waitMs` milliseconds.
 */
export type JobLimits = { concurrency: number; queue: number; waitMs: number }

export type RunLimited = {
  /**
   * Runs a job when its turn comes, first come, first served. @throws Problem `unavailable` in its place;
   * such a job never runs later
   */
  <T>(job: () => Promise<T>): Promise<T>
  /**
   * For who would have work to do before the job. @throws Problem `unavailable` when a job would be turned
   * away at once
   */
  demandRoom(): void
}

export function createConcurrencyLimiter({ concurrency, queue, waitMs }: JobLimits): RunLimited {
  let running = 0
  const waiting = new Set<() => void>()
  // After `waitMs`, everyone who waits now has been served or sent away.
  const busy = () =>
    problem('unavailable', {
      detail: 'The server is busy',
      retryAfter: Math.max(1, Math.ceil(waitMs / 1_000)),
    })

  const turn = () =>
    new Promise<void>((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer)
        waiting.delete(start)
      }
      const start = () => {
        leave()
        resolve()
      }
      const timer = setTimeout(() => {
        leave()
        reject(busy())
      }, waitMs)
      waiting.add(start)
    })

  const demandRoom = () => {
    if (running >= concurrency && waiting.size >= queue) throw busy()
  }
  const run = async <T>(job: () => Promise<T>): Promise<T> => {
    demandRoom()
    if (running < concurrency) running += 1
    else await turn()
    try {
      return await job()
    } finally {
      // The place goes to the next in line without ever being free, so that nobody can slip in between.
      const [next] = waiting
      if (next) next()
      else running -= 1
    }
  }
  return Object.assign(run, { demandRoom })
}
