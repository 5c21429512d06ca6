/**
 * Writes audit events that a transaction does not record itself: sign-ins, failed sign-ins, and guesses by
 * signed-in people. Each transaction records all other changes by signed-in people (`rls/audit.ts`).
 */
import type { FastifyRequest } from 'fastify'
import { requestOrigin } from '../../http/request-origin.ts'
import type { Tx } from '../../rls/transaction.ts'

/** `detail` contains no secret and nothing about another person, because the owner of the log can read it. */
export async function recordAuditEvent(
  tx: Tx,
  userId: string,
  request: FastifyRequest,
  outcome: 'success' | 'failure',
  detail: Record<string, unknown> | null = null,
): Promise<void> {
  const { operationId, tags = [] } = request.routeOptions.schema ?? {}
  const operation = operationId ?? request.routeOptions.url
  const { address } = requestOrigin(request)
  await tx.query(
    tx.userId === undefined
      ? {
          name: 'record act of',
          text: `select ctx.record_act_of($1, 'user', $2, $3, $4, $5)`,
          values: [userId, operation, outcome, address, detail],
        }
      : {
          name: 'record act',
          text: 'select ctx.record_act($1, $2, null, $3, $4, $5)',
          values: [operation, tags[0] ?? null, outcome, address, detail],
        },
  )
}
