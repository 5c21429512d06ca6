import { and, eq, sql } from '../../database/drizzle.ts'
import { ownerOf, ownRows } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import { notifyPolicyChanged } from '../routers/notify-policy-changed.ts'
import { lockRouter } from '../routers/repository.ts'
import type { AddSchedule, ChangeSchedule, ListSchedules, SCHEDULE_SORTS, Schedule } from './schema.ts'
import { schedules } from './table.ts'

/** Of a device, and of a group. */
export const MAX_SCHEDULES = 50

/**
 * What refers to a device that was merged is about the one that it ended in: a table `survivor` with its
 * `id`. `$1` is the owner.
 */
export const survivorOf = (deviceId: string) => `lateral (
    with recursive up as (
      select d.id, d.merged_into from user_devices d where d.user_id = $1 and d.id = ${deviceId}
      union all select d.id, d.merged_into from user_devices d join up on d.id = up.merged_into where d.user_id = $1
    ) select up.id from up where up.merged_into is null
  ) survivor`

const SCHEDULES = `select s.id, s.router_id as "routerId", survivor.id as "deviceId", s.group_id as "groupId", s.schedule_kind as kind, s.days,
    left(s.start_time::text, 5) as start, left(s.end_time::text, 5) as "end", s.enabled, s.created_at as "createdAt"
  from user_schedules s left join ${survivorOf('s.device_id')} on true where s.user_id = $1`

const ORDER: Record<(typeof SCHEDULE_SORTS)[number], string> = {
  createdAt: '"createdAt"',
  start: 'start',
  end: '"end"',
  kind: 'kind',
}

/** One constant text for each order, made of the constants above. */
const listText = (order: string) => `select s.*, count(*) over ()::int as total from (${SCHEDULES}) s
  where ($2::uuid is null or s."routerId" = $2) and ($3::uuid is null or s."deviceId" = $3) and ($4::uuid is null or s."groupId" = $4) and ($7::boolean is null or s.enabled = $7)
  order by ${order}, s.id limit $5 offset $6`

const LISTS = Object.fromEntries(
  Object.entries(ORDER).flatMap(([field, expression]) => [
    [field, { name: `list schedules by ${field}`, text: listText(`s.${expression}`) }],
    [`-${field}`, { name: `list schedules by -${field}`, text: listText(`s.${expression} desc`) }],
  ]),
)

export async function listSchedules(tx: Tx, query: ListSchedules) {
  const { routerId, deviceId, groupId, enabled, sort = 'createdAt', limit, offset } = query
  const run = (from: number, rows: number) =>
    tx.query<Schedule & { total: number }>({
      ...(LISTS[sort] as { name: string; text: string }),
      values: [ownerOf(tx), routerId ?? null, deviceId ?? null, groupId ?? null, rows, from, enabled ?? null],
    })
  const items = await run(offset, limit)
  // A page past the end has no row to carry the total.
  const total = items[0]?.total ?? (offset === 0 ? 0 : ((await run(0, 1))[0]?.total ?? 0))
  return { items, total, limit, offset }
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

/**
 * Holds the router of a device or a group. @returns its id, or undefined when there is no such device or
 * group
 */
export async function lockRouterOf(
  tx: Tx,
  { deviceId, groupId }: { deviceId?: string; groupId?: string },
): Promise<string | undefined> {
  const find = async () => {
    const [found] = await tx.query<{ routerId: string }>({
      name: 'find router of device or group',
      text: `select router_id as "routerId" from user_devices where user_id = $1 and id = $2 and merged_into is null
        union all select router_id from user_device_groups where user_id = $1 and id = $3`,
      values: [ownerOf(tx), deviceId ?? null, groupId ?? null],
    })
    return found?.routerId
  }
  const routerId = await find()
  // Looked at again when it is held: a merge or a removal may have been under way.
  return routerId && (await lockRouter(tx, routerId)) ? find() : undefined
}

/** Holds a schedule's router, as whoever changes one does. */
export async function lockSchedule(tx: Tx, id: string): Promise<Schedule | undefined> {
  const schedule = await findSchedule(tx, id)
  return schedule && (await lockRouter(tx, schedule.routerId)) ? findSchedule(tx, id) : undefined
}
