import { and, eq, sql } from '../../database/drizzle.ts'
import { ownerOf, ownRows } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import { findPage, statementsBySort, TOTAL } from '../paging/page.ts'
import { notifyPolicyChanged } from '../routers/notify-policy-changed.ts'
import { lockRouter } from '../routers/repository.ts'
import type { GROUP_SORTS, Group, ListGroups, Moved } from './schema.ts'
import { deviceGroups } from './table.ts'

/** The values that may be stored. `rate` is kbit/s. */
export type GroupValues = { name?: string; rate?: number | null }

const COLUMNS = `g.id, g.router_id as "routerId", g.group_name as name, g.rate, (
    select count(*)::int from user_devices d
    where d.user_id = $1 and d.router_id = g.router_id and d.group_id = g.id and d.merged_into is null
  ) as "deviceCount", g.created_at as "createdAt"`

const ORDER: Record<(typeof GROUP_SORTS)[number], string> = {
  name: 'lower(g.group_name)',
  createdAt: 'g.created_at',
}

const LISTS = statementsBySort(
  'list groups',
  ORDER,
  (order) => `select ${COLUMNS}, ${TOTAL} from user_device_groups g
  where g.user_id = $1 and ($2::uuid is null or g.router_id = $2) and ($3::text is null or strpos(lower(g.group_name), lower($3)) > 0)
  order by ${order}, g.id limit $4 offset $5`,
)

export function listGroups(tx: Tx, { routerId, search, sort = 'name', ...page }: ListGroups) {
  return findPage<Group>(page, ({ limit, offset }) =>
    tx.query({ ...LISTS[sort], values: [ownerOf(tx), routerId ?? null, search ?? null, limit, offset] }),
  )
}

export async function findGroup(tx: Tx, id: string): Promise<Group | undefined> {
  const [group] = await tx.query<Group>({
    name: 'find group',
    text: `select ${COLUMNS} from user_device_groups g where g.user_id = $1 and g.id = $2`,
    values: [ownerOf(tx), id],
  })
  return group
}

/**
 * A new group has no devices, so no decision changes. @throws SQLSTATE 23503 when there is no such router,
 * 23505 when the router has a group with this name
 */
export async function addGroup(
  tx: Tx,
  values: GroupValues & { routerId: string; name: string },
): Promise<Group | undefined> {
  const [added] = await tx
    .insert(deviceGroups)
    .values({ ...values, userId: ownerOf(tx) })
    .returning({ id: deviceGroups.id })
  return added && findGroup(tx, added.id)
}

/**
 * Locks the router of a group, then the group, so that no device joins it meanwhile.
 * @returns the router; undefined when there is no such group
 */
export async function lockGroup(tx: Tx, id: string): Promise<string | undefined> {
  const found = await findGroup(tx, id)
  if (!found || !(await lockRouter(tx, found.routerId))) return undefined
  const [held] = await tx
    .select({ routerId: deviceGroups.routerId })
    .from(deviceGroups)
    .where(and(ownRows(tx, deviceGroups), eq(deviceGroups.id, id)))
    .for('update')
  return held?.routerId
}

/** @throws SQLSTATE 23505 when another group of the router has the name */
export async function changeGroup(tx: Tx, id: string, values: GroupValues): Promise<Group | undefined> {
  const routerId = await lockGroup(tx, id)
  if (!routerId) return undefined
  await tx
    .update(deviceGroups)
    .set({ ...values, updatedAt: sql`now()` })
    .where(and(ownRows(tx, deviceGroups), eq(deviceGroups.id, id)))
  await notifyPolicyChanged(tx, routerId)
  return findGroup(tx, id)
}

/** Its devices then have no group. Its schedules and blocks are deleted with it. */
export async function removeGroup(tx: Tx, id: string): Promise<boolean> {
  const routerId = await lockGroup(tx, id)
  if (!routerId) return false
  await tx.query({
    name: 'empty group',
    text: 'update user_devices set group_id = null where user_id = $1 and router_id = $2 and group_id = $3',
    values: [ownerOf(tx), routerId, id],
  })
  await tx.delete(deviceGroups).where(and(ownRows(tx, deviceGroups), eq(deviceGroups.id, id)))
  await notifyPolicyChanged(tx, routerId)
  return true
}

/**
 * Moves devices into a group, from any group they were in, and removes others from it.
 * @returns without any change: undefined when there is no such group, or the `stranger`, a device that is not
 * on its router
 */
export async function moveDevices(
  tx: Tx,
  id: string,
  { add, remove }: { add: string[]; remove: string[] },
): Promise<Moved | { stranger: string } | undefined> {
  const routerId = await lockGroup(tx, id)
  if (!routerId) return undefined
  const values = [ownerOf(tx), routerId]
  const [named] = await tx.query<{ stranger: string }>({
    name: 'find strangers to a router',
    text: `select named.id as stranger from unnest($3::uuid[]) as named(id) where not exists (
        select from user_devices d where d.user_id = $1 and d.router_id = $2 and d.id = named.id and d.merged_into is null
      ) limit 1`,
    values: [...values, [...add, ...remove]],
  })
  if (named) return named
  const [moved] = await tx.query<Moved>({
    name: 'move devices of a group',
    text: `with moved as (
        update user_devices set group_id = case when id = any($4::uuid[]) then $3::uuid end
        where user_id = $1 and router_id = $2
          and (id = any($4) and group_id is distinct from $3 or id = any($5::uuid[]) and group_id = $3)
        returning group_id
      )
      select count(group_id)::int as added, (count(*) - count(group_id))::int as removed from moved`,
    values: [...values, id, add, remove],
  })
  await notifyPolicyChanged(tx, routerId)
  return moved
}
