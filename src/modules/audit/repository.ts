import { and, desc, eq, sql } from '../../database/drizzle.ts'
import type { Tx } from '../../rls/transaction.ts'
import { pageAfter } from '../paging/cursor.ts'
import type { ActFilters, AdminAuditEvent } from './schema.ts'
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

type Filters = Omit<ActFilters, 'cursor' | 'limit'>
type Found = AdminAuditEvent & { micros: string }

/** The end of a page: microseconds since 1970, account, number. */
export type EventPosition = { micros: string; userId: string; sequence: string }
export const POSITION =
  /^(?<micros>\d{1,17})\.(?<userId>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})\.(?<sequence>\d{1,15})$/

/** Audit events of one account or, for an administrator, of all accounts, newest first. */
export async function listActs(
  tx: Tx,
  filters: Omit<ActFilters, 'cursor'>,
  after: EventPosition | undefined,
) {
  const { limit = 50 } = filters
  const found = await (filters.userId === undefined
    ? listEverybodys(tx, filters, after, limit + 1)
    : listOnes(tx, filters, after, limit + 1))
  const { items, nextCursor } = pageAfter(found, limit, ({ micros, userId, sequence }) => [
    micros,
    userId,
    sequence,
  ])
  return { items: items.map(({ micros, ...act }) => act), nextCursor }
}

/**
 * A database function runs the query: the log of an account grows without bound, and under row security a
 * range condition cannot use an index.
 */
function listOnes(
  tx: Tx,
  { userId, act, outcome, actorKind, from, to }: Filters,
  after: EventPosition | undefined,
  limit: number,
) {
  return tx.query<Found>({
    name: 'list acts of an account',
    text: `select user_id as "userId", sequence::float8 as sequence, at, actor_kind as "actorKind", actor_id as "actorId", act,
        target_kind as "targetKind", target_id as "targetId", outcome, host(address) as address, detail,
        (extract(epoch from at) * 1000000)::bigint::text as micros
      from ctx.page_of_acts($1, $2, $3, $4, $5, $6, to_timestamp(0) + $7::bigint * interval '1 microsecond', $8, $9)
      order by at desc, sequence desc`,
    values: [userId, act, outcome, actorKind, from, to, after?.micros, after?.sequence, limit].map(
      (value) => value ?? null,
    ),
  })
}

function listEverybodys(
  tx: Tx,
  { act, outcome, actorKind, from, to }: Filters,
  after: EventPosition | undefined,
  limit: number,
): Promise<Found[]> {
  const micros = sql<string>`(extract(epoch from ${auditLog.at}) * 1000000)::bigint`
  return tx
    .select({ ...columns, micros })
    .from(auditLog)
    .where(
      and(
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
    .limit(limit)
}
