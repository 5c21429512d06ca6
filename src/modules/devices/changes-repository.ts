/** Changes many devices in one transaction. Each change is decided separately. */
import { ownerOf } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import { notifyPolicyChanged } from '../routers/notify-policy-changed.ts'
import { lockRouter } from '../routers/repository.ts'
import { changeDevice, type DeviceValues } from './repository.ts'

export type DeviceChange = { id: string; values: DeviceValues }

/**
 * Changes devices in the given order. It locks their routers, always in the same order, and their target
 * groups. So no change fails in the database and aborts the others.
 * @returns for each device whether it was changed; false when there is no such device, or no such group on
 * its router
 */
export async function changeDevices(tx: Tx, changes: DeviceChange[]): Promise<boolean[]> {
  const found = await tx.query<{ id: string; routerId: string }>({
    name: 'find routers of devices',
    text: 'select id, router_id as "routerId" from user_devices where user_id = $1 and id = any($2::uuid[]) and merged_into is null',
    values: [ownerOf(tx), changes.map(({ id }) => id)],
  })
  const routerOf = new Map(found.map(({ id, routerId }) => [id, routerId]))
  for (const routerId of [...new Set(routerOf.values())].sort()) await lockRouter(tx, routerId)
  const groups = await tx.query<{ id: string; routerId: string }>({
    name: 'hold groups to enter',
    text: 'select id, router_id as "routerId" from user_device_groups where user_id = $1 and id = any($2::uuid[]) order by id for key share',
    values: [ownerOf(tx), changes.flatMap(({ values }) => values.groupId ?? [])],
  })
  const groupRouter = new Map(groups.map(({ id, routerId }) => [id, routerId]))

  const outcomes: boolean[] = []
  const touched = new Set<string>()
  for (const { id, values } of changes) {
    const routerId = routerOf.get(id)
    const isPlaced = !values.groupId || groupRouter.get(values.groupId.toLowerCase()) === routerId
    const changed = routerId && isPlaced ? await changeDevice(tx, id, values) : undefined
    if (changed) touched.add(changed)
    outcomes.push(changed !== undefined)
  }
  for (const routerId of touched) await notifyPolicyChanged(tx, routerId)
  return outcomes
}
