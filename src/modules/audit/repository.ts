import { and, desc, eq, sql } from '../../database/drizzle.ts'
import type { Tx } from '../../rls/session.ts'
import type { ActFilters } from './schema.ts'
import { auditLog } from './table.ts'

const columns = {
  userId: auditLog.userId,
  sequence: auditLog.sequence,
  at: auditLog.at,
  actorKind: auditLog.actorKind,
  actorId: auditLog.actorId,
  act: auditLog.act,
  targetKind: auditLog.targetKind,
  targetId: auditLog.targetId,
  outcome: auditLog.outcome,
  address: sql<string | null>`host(${auditLog.address})`,
  detail: sql<Record<string, unknown> | null>`${auditLog.detail}`,
}

/** Where a page ended: microseconds since 1970, account, number. A page begins after it, so that acts that come meanwhile shift nothing. */
type Position = { micros: string; userId: string; sequence: string }
const POSITION = /^(?<micros>\d{1,17})\.(?<userId>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})\.(?<sequence>\d{1,15})$/

/** @returns undefined for a text that is no cursor of ours; a made-up one only names another place in the same list */
export function readCursor(cursor: string): Position | undefined {
  return POSITION.exec(Buffer.from(cursor, 'base64url').toString('latin1'))?.groups as Position | undefined
}

/** Acts of one account, or (an administrator's session) of all, the newest first. */
export async function listActs(tx: Tx, filters: Omit<ActFilters, 'cursor'>, after: Position | undefined) {
  const { userId, act, outcome, actorKind, from, to, limit = 50 } = filters
  const micros = sql<string>`(extract(epoch from ${auditLog.at}) * 1000000)::bigint`
  const found = await tx
    .select({ ...columns, micros })
    .from(auditLog)
    .where(
      and(
        userId === undefined ? undefined : eq(auditLog.userId, userId),
        act === undefined ? undefined : eq(auditLog.act, act),
        outcome === undefined ? undefined : eq(auditLog.outcome, outcome),
        actorKind === undefined ? undefined : eq(auditLog.actorKind, actorKind),
        from === undefined ? undefined : sql`${auditLog.at} >= ${from}::timestamptz`,
        to === undefined ? undefined : sql`${auditLog.at} < ${to}::timestamptz`,
        after &&
          sql`(${auditLog.at}, ${auditLog.userId}, ${auditLog.sequence})
            < (to_timestamp(0) + ${after.micros}::bigint * interval '1 microsecond', ${after.userId}::uuid, ${after.sequence}::bigint)`,
      ),
    )
    .orderBy(desc(auditLog.at), desc(auditLog.userId), desc(auditLog.sequence))
    .limit(limit + 1)
  const items = found.slice(0, limit)
  const last = items.at(-1)
  const isMore = found.length > limit && last
  return { items, nextCursor: isMore ? Buffer.from(`${last.micros}.${last.userId}.${last.sequence}`).toString('base64url') : null }
}
