/**
 * Beyond its capacity the server refuses requests at once instead of letting all of them wait. The bounded
 * queues for database connections refuse first (`rls/transaction.ts`). This limit applies when the event loop
 * is late nevertheless. Health is still answered.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { FastifyInstance } from 'fastify'
import { problem } from '../problem.ts'

/** How often the delay is sampled, milliseconds. Shedding begins and ends within about that time. */
const SAMPLE_MS = 500
const RESOLUTION_MS = 20

/** @param maxDelayMs mean delay of the event loop above which requests are refused; 0: never */
export function shedOverload(app: FastifyInstance, maxDelayMs: number): void {
  if (maxDelayMs === 0) return
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  let isLate = false
  let timer: NodeJS.Timeout | undefined
  // Measures only after the server listens: a start keeps the event loop busy too, and no request waits then.
  app.addHook('onListen', async () => {
    delays.enable()
    timer = setInterval(() => {
      // No sample in all that time means a delay too long to be measured.
      isLate = delays.count === 0 || delays.mean / 1e6 - RESOLUTION_MS > maxDelayMs
      delays.reset()
    }, SAMPLE_MS).unref()
  })
  app.addHook('onClose', async () => {
    clearInterval(timer)
    delays.disable()
  })
  app.addHook('onRequest', async ({ routeOptions }) => {
    if (isLate && !routeOptions.schema?.tags?.includes('health'))
      throw problem('unavailable', { detail: 'The server is busy', isExpected: true })
  })
}
