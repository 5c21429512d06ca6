/** The origin and the subject of a request, for the audit log and for lists of login sessions. */
import type { FastifyRequest } from 'fastify'
import { isUuid } from '../../crypto/uuid.ts'
import { requestOrigin } from '../../http/request-origin.ts'
import type { AuditedOperation } from '../../rls/identity.ts'

/** @returns undefined for a request that only reads, or that is not documented as an operation */
export function auditedOperationOf(request: FastifyRequest): AuditedOperation | undefined {
  const { operationId, tags } = request.routeOptions.schema ?? {}
  if (operationId === undefined || request.method === 'GET' || request.method === 'HEAD') return undefined
  const ids = Object.values((request.params ?? {}) as Record<string, unknown>).filter(isUuid)
  return {
    operation: operationId,
    targetKind: tags?.[0] ?? null,
    targetId: ids.at(-1) ?? null,
    address: requestOrigin(request).address,
  }
}
