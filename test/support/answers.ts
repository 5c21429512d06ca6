/**
 * Compares every answer of every tested server with the API document: status, media type, body, headers and
 * the code of a problem. An answer that the document does not name fails the test that requested it.
 * `answers-seen.ts` lists after the run what the document names and no test saw.
 */
import { subscribe } from 'node:diagnostics_channel'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { afterAll, afterEach, type TaskMeta } from 'vitest'
import { type Contract, contractOf, type Document, PROBLEM } from './contract.ts'

declare module 'vitest' {
  interface TaskMeta {
    /** Answers that this worker saw for the first time in this test: `getDevice 404 not-found`. */
    answers?: string[]
    /** All answers that the document names, in one test of each worker. */
    documented?: string[]
  }
}

/** Answers of a database that a test breaks on purpose (`failures.test.ts`). */
const PLANTED = ['addRouter 404 not-found', 'addRouter 409 conflict']

/** What one worker knows: it runs several files in turn, and servers outlive them. */
type Witness = {
  contract?: Contract
  hasToldDocumented: boolean
  seen: Set<string>
  fresh: string[]
  faults: Set<string>
}

function watch(): Witness {
  const witness: Witness = { hasToldDocumented: false, seen: new Set(), fresh: [], faults: new Set() }
  subscribe('fastify.initialization', (message) => {
    const { fastify } = message as { fastify: FastifyInstance }
    const bodies = new WeakMap<FastifyReply, string>()
    fastify.addHook('onSend', async (_request, reply, body) => {
      if (typeof body === 'string' || Buffer.isBuffer(body)) bodies.set(reply, String(body))
    })
    fastify.addHook('onResponse', async ({ method, routeOptions }, reply) => {
      const operationId = routeOptions.schema?.operationId
      if (operationId === undefined || method === 'HEAD') return
      if (fastify.hasDecorator('swagger'))
        witness.contract ??= contractOf(fastify.swagger() as unknown as Document)
      const hasBody = reply.statusCode !== 204 && reply.statusCode !== 304
      const text = (hasBody && bodies.get(reply)) || ''
      const isProblem = String(reply.getHeader('content-type')).startsWith(PROBLEM)
      const answer = [operationId, reply.statusCode, ...(isProblem ? [JSON.parse(text).code] : [])].join(' ')
      for (const fault of witness.contract?.faultsOf(operationId, reply, text) ?? [])
        witness.faults.add(`${answer}: the document does not have ${fault}`)
      if (witness.seen.has(answer)) return
      witness.seen.add(answer)
      witness.fresh.push(answer)
    })
  })
  return witness
}

const WITNESS = Symbol.for('netpilot.answers')
const global = globalThis as { [WITNESS]?: Witness }
global[WITNESS] ??= watch()
const witness = global[WITNESS]

function note(meta: TaskMeta): void {
  if (witness.fresh.length > 0) meta.answers = [...(meta.answers ?? []), ...witness.fresh.splice(0)]
  if (!witness.contract || witness.hasToldDocumented) return
  meta.documented = witness.contract.documented
  witness.hasToldDocumented = true
}

function tell(): void {
  const faults = [...witness.faults].filter((fault) => !PLANTED.some((answer) => fault.startsWith(answer)))
  witness.faults.clear()
  if (faults.length > 0) throw new Error(faults.join('\n'))
}

afterEach(({ task }) => {
  note(task.meta)
  tell()
})
afterAll(tell)
