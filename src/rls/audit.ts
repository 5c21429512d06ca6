/**
 * What a person did, for the audit log: written in the transaction of what they did, by the session and so by
 * every route.
 */
import type pg from 'pg'
import type { Identity } from './identity.ts'

/** What a route says of its act beyond what the request tells: `tx.audit`. */
export type AuditNote = {
  /** What it is about, where the path does not name it: the id of what was made. */
  targetId?: string
  /** What a call about many did: counts. Shown to the owner of the log. */
  detail?: Record<string, number>
  /** The call succeeded and found nothing to do: no line. */
  changedNothing?: boolean
}

/**
 * The statement that records the act of a session that can write, unless its route said that nothing changed.
 * Agents leave no lines: their scans are their record. An administrator's act stands in the log of the
 * account that it is about.
 */
export function auditStatements(
  identity: Identity,
  { targetId, detail, changedNothing = false }: AuditNote,
): pg.QueryConfig[] {
  if (changedNothing || identity.kind === 'agent' || !identity.audited) return []
  const { operation, targetKind, targetId: named, address } = identity.audited
  const target = targetId ?? named
  return identity.kind === 'admin'
    ? [
        {
          text: `select ctx.record_admin_act($1, $2, 'success', $3, $4)`,
          values: [target ?? identity.userId, operation, address, detail ?? null],
        },
      ]
    : [
        {
          text: `select ctx.record_act($1, $2, $3, 'success', $4, $5)`,
          values: [operation, targetKind, target, address, detail ?? null],
        },
      ]
}
