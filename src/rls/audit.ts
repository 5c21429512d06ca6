/**
 * Audit events: what a person did. Each event is written in the transaction of the change that it records.
 * The transaction module writes it, so every route has it.
 */
import type pg from 'pg'
import type { Identity } from './identity.ts'

/** What a route adds to its audit event beyond what the request tells: `tx.audit`. */
export type AuditNote = {
  /** The id of the target where the path does not name it, such as the id of a new row. */
  targetId?: string
  /** Counts of a request about many rows. The owner of the log sees them. */
  detail?: Record<string, number>
  /** The request succeeded and changed nothing, so it has no audit event. */
  changedNothing?: boolean
}

/**
 * The statement that records the audit event of a transaction that can write, unless its route said that
 * nothing changed. Agents have no audit events: their scans are their record. An administrator's event is in
 * the log of the account that it is about.
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
