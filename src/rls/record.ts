/** What a person did, for the audit log: written in the transaction of what they did, by the session and so by every route. */
import type pg from 'pg'
import type { Identity } from '../auth/identity.ts'

/**
 * The statement that records the act of a session that changed something: none when the work answers that it found nothing (undefined, null
 * or false), and none for agents, whose scans are their record. What was made (`result.id`) is the target where the path names none. An administrator's act stands in the log of the account that it is about.
 */
export function recordOf(identity: Identity, result: unknown, readOnly: boolean): pg.QueryConfig[] {
  if (readOnly || result === undefined || result === null || result === false) return []
  if (identity.kind === 'agent' || !identity.act) return []
  const { operation, targetKind, targetId, address } = identity.act
  const target = targetId ?? idOf(result)
  return identity.kind === 'admin'
    ? [{ text: `select ctx.record_admin_act($1, $2, 'success', $3, null)`, values: [target ?? identity.userId, operation, address] }]
    : [{ text: `select ctx.record_act($1, $2, $3, 'success', $4, null)`, values: [operation, targetKind, target, address] }]
}

function idOf(result: unknown): string | null {
  const { id } = result as { id?: unknown }
  return typeof id === 'string' ? id : null
}
