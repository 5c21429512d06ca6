/** Limits costly work: the number of running jobs, the number of waiting jobs, and how long each waits. */
import { problem } from '../problem.ts'

/** `concurrency` jobs run at once. `queue` more wait, each at most `waitMs` milliseconds. */
export type JobLimits = { concurrency: number; queue: number; waitMs: number }

export type RunLimited = {
  /**
   * Runs a job when its turn comes, in order of arrival. @throws Problem `unavailable` when the job is
   * refused; a refused job never runs later
   */
  <T>(job: () => Promise<T>): Promise<T>
  /**
   * For callers that have work to do before the job. @throws Problem `unavailable` when a job would be
   * refused at once
   */
  demandRoom(): void
}

export function createConcurrencyLimiter({ concurrency, queue, waitMs }: JobLimits): RunLimited {
  let running = 0
  const waiting = new Set<() => void>()
  // After `waitMs`, every job that waits now has been run or refused.
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
      // The slot passes directly to the next waiting job, so that no new job can take it in between.
      const [next] = waiting
      if (next) next()
      else running -= 1
    }
  }
  return Object.assign(run, { demandRoom })
}
