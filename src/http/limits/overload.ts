/**
 * Beyond its capacity the server turns requests away at once instead of letting all of them wait. The bounded
 * queues for connections do it first (`rls/transaction.ts`); this is for when even that is too much, and the
 * event loop is late. Health goes on answering.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { FastifyInstance } from 'fastify'
import { problem } from '../problem.ts'

/** How often the delay is looked at, milliseconds: shedding begins and ends within about that time. */
const SAMPLE_MS = 500
const RESOLUTION_MS = 20

/** @param maxDelayMs mean delay of the event loop beyond which requests are shed; 0: never */
export function shedOverload(app: FastifyInstance, maxDelayMs: number): void {
  if (maxDelayMs === 0) return
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  let isLate = false
  let timer: NodeJS.Timeout | undefined
  // From when it listens: a start keeps the event loop busy too, and nobody waits for an answer then.
  app.addHook('onListen', async () => {
    delays.enable()
    timer = setInterval(() => {
      // Not one sample in all that time: later than can be measured.
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
