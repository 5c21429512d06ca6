/** The audit log while nobody is signed in: who signs in, or fails to. What signed-in people do, each session records by itself (`rls/record.ts`). */
import type { FastifyRequest } from 'fastify'
import type { Tx } from '../rls/session.ts'
import { visitorOf } from './act.ts'

/** `detail` holds nothing secret and nothing of anybody else: the log is shown to its owner. */
export async function recordAct(
  tx: Tx,
  userId: string,
  request: FastifyRequest,
  outcome: 'success' | 'failure',
  detail: Record<string, unknown> | null = null,
): Promise<void> {
  const operation = request.routeOptions.schema?.operationId ?? request.routeOptions.url
  await tx.query({
    name: 'record act of',
    text: `select ctx.record_act_of($1, 'user', $2, $3, $4, $5)`,
    values: [userId, operation, outcome, visitorOf(request).address, detail],
  })
}
