import type { Recurrence } from '../../network/windows.ts'
import { ownerOf } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import { deviceAt, lineOf, survivorOf } from '../devices/survivor.ts'
import { notifyPolicyChanged } from '../routers/notify-policy-changed.ts'
import type { Override } from './schema.ts'
import { overrides } from './table.ts'

type NewOverride = { routerId: string; deviceId: string; decision: 'allow' | 'block'; until: Date }

/**
 * The overrides of a device and of the devices merged into it. The search starts at the device, because its
 * router may have many.
 */
const OVERRIDES = `with recursive ${lineOf(deviceAt('$2'))} select o.id, l.survivor as "deviceId", o.decision, o.until, o.created_at as "createdAt"
  from line l join user_schedule_overrides o on o.user_id = $1 and o.router_id = l.router_id and o.device_id = l.id`

/** The active override. When merged devices have several, the one that lasts longest. */
export async function findOverride(tx: Tx, deviceId: string): Promise<Override | undefined> {
  const [override] = await tx.query<Override>({
    name: 'find override',
    text: `${OVERRIDES} where o.until > now() order by o.until desc, o.decision, o.id limit 1`,
    values: [ownerOf(tx), deviceId],
  })
  return override
}

/** Replaces all earlier overrides of the device. The caller must lock the router. */
export async function replaceOverride(tx: Tx, override: NewOverride): Promise<Override | undefined> {
  await clearOverrides(tx, override)
  await tx.insert(overrides).values({ userId: ownerOf(tx), ...override })
  return findOverride(tx, override.deviceId)
}

/** The caller must lock the router. */
export async function clearOverrides(
  tx: Tx,
  { routerId, deviceId }: Pick<NewOverride, 'routerId' | 'deviceId'>,
): Promise<void> {
  await tx.query({
    name: 'clear overrides',
    text: `delete from user_schedule_overrides where user_id = $1 and id in (select mine.id from (${OVERRIDES}) mine)`,
    values: [ownerOf(tx), deviceId],
  })
  await notifyPolicyChanged(tx, routerId)
}

/**
 * The enabled schedules of a device and its group, and the current time; undefined when there is no such
 * device.
 */
export async function findRecurrences(
  tx: Tx,
  deviceId: string,
): Promise<{ now: Date; recurrences: Recurrence[] } | undefined> {
  const [found] = await tx.query<{
    now: Date
    timeZone: string
    recurrences: Omit<Recurrence, 'timeZone'>[]
  }>({
    name: 'find recurrences',
    text: `select now() as now, r.time_zone as "timeZone", array(
        select json_build_object('days', s.days, 'start', left(s.start_time::text, 5), 'end', left(s.end_time::text, 5))
        from user_schedules s left join ${survivorOf('s.device_id')} on true
        where s.user_id = $1 and s.router_id = d.router_id and s.enabled and (survivor.id = d.id or s.group_id = d.group_id)
      ) as recurrences
      from user_devices d join user_routers r on r.user_id = $1 and r.id = d.router_id where d.user_id = $1 and d.id = $2`,
    values: [ownerOf(tx), deviceId],
  })
  return (
    found && {
      now: found.now,
      recurrences: found.recurrences.map((recurrence) => ({ ...recurrence, timeZone: found.timeZone })),
    }
  )
}
