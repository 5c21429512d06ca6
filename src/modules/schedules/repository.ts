import { and, eq, sql } from '../../database/drizzle.ts'
import { ownerOf, ownRows } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import { survivorOf } from '../devices/survivor.ts'
import { findPage, statementsBySort, TOTAL } from '../paging/page.ts'
import { notifyPolicyChanged } from '../routers/notify-policy-changed.ts'
import { lockRouter, lockRouterOf } from '../routers/repository.ts'
import type { AddSchedule, ChangeSchedule, ListSchedules, SCHEDULE_SORTS, Schedule } from './schema.ts'
import { schedules } from './table.ts'

/** The maximum number of schedules for each device and for each group. */
export const MAX_SCHEDULES = 50

const SCHEDULES = `select s.id, s.router_id as "routerId", survivor.id as "deviceId", s.group_id as "groupId", s.schedule_kind as kind, s.days,
    left(s.start_time::text, 5) as start, left(s.end_time::text, 5) as "end", s.enabled, s.created_at as "createdAt"
  from user_schedules s left join ${survivorOf('s.device_id')} on true where s.user_id = $1`

const ORDER: Record<(typeof SCHEDULE_SORTS)[number], string> = {
  createdAt: 's."createdAt"',
  start: 's.start',
  end: 's."end"',
  kind: 's.kind',
}

const LISTS = statementsBySort(
  'list schedules',
  ORDER,
  (order) => `select s.*, ${TOTAL} from (${SCHEDULES}) s
  where ($2::uuid is null or s."routerId" = $2) and ($3::uuid is null or s."deviceId" = $3) and ($4::uuid is null or s."groupId" = $4) and ($7::boolean is null or s.enabled = $7)
  order by ${order}, s.id limit $5 offset $6`,
)

export function listSchedules(
  tx: Tx,
  { routerId, deviceId, groupId, enabled, sort = 'createdAt', ...page }: ListSchedules,
) {
  const filters = [routerId ?? null, deviceId ?? null, groupId ?? null]
  return findPage<Schedule>(page, ({ limit, offset }) =>
    tx.query({ ...LISTS[sort], values: [ownerOf(tx), ...filters, limit, offset, enabled ?? null] }),
  )
}

export async function findSchedule(tx: Tx, id: string): Promise<Schedule | undefined> {
  const [schedule] = await tx.query<Schedule>({
    name: 'find schedule',
    text: `${SCHEDULES} and s.id = $2`,
    values: [ownerOf(tx), id],
  })
  return schedule
}

/** @returns undefined when there is no such device or group, `full` when it has MAX_SCHEDULES already */
export async function addSchedule(
  tx: Tx,
  { deviceId, groupId, start, end, ...values }: AddSchedule,
): Promise<Schedule | 'full' | undefined> {
  const target = { ...(deviceId && { deviceId }), ...(groupId && { groupId }) }
  const routerId = await lockRouterOf(tx, target)
  if (!routerId) return undefined
  const { total } = await listSchedules(tx, { routerId, ...target, limit: 1, offset: 0 })
  if (total >= MAX_SCHEDULES) return 'full'
  const [added] = await tx
    .insert(schedules)
    .values({ userId: ownerOf(tx), routerId, ...target, ...values, startTime: start, endTime: end })
    .returning({ id: schedules.id })
  await notifyPolicyChanged(tx, routerId)
  return added && findSchedule(tx, added.id)
}

export async function changeSchedule(
  tx: Tx,
  id: string,
  { start, end, ...values }: ChangeSchedule,
): Promise<Schedule | undefined> {
  const schedule = await lockSchedule(tx, id)
  if (!schedule) return undefined
  await tx
    .update(schedules)
    .set({
      ...values,
      ...(start && { startTime: start }),
      ...(end && { endTime: end }),
      updatedAt: sql`now()`,
    })
    .where(and(ownRows(tx, schedules), eq(schedules.id, id)))
  await notifyPolicyChanged(tx, schedule.routerId)
  return findSchedule(tx, id)
}

export async function removeSchedule(tx: Tx, id: string): Promise<boolean> {
  const schedule = await lockSchedule(tx, id)
  if (!schedule) return false
  await tx.delete(schedules).where(and(ownRows(tx, schedules), eq(schedules.id, id)))
  await notifyPolicyChanged(tx, schedule.routerId)
  return true
}

/** Locks the router of a schedule, as every change of a schedule does. */
export async function lockSchedule(tx: Tx, id: string): Promise<Schedule | undefined> {
  const schedule = await findSchedule(tx, id)
  return schedule && (await lockRouter(tx, schedule.routerId)) ? findSchedule(tx, id) : undefined
}
