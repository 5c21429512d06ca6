import type { SQL } from 'drizzle-orm'
import type { Static } from 'typebox'
import { and, asc, desc, eq, sql } from '../../database/drizzle.ts'
import { ownerOf, ownRows } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import { findPage } from '../paging/page.ts'
import type { ListRouters, RouterFields } from './schema.ts'
import { routers } from './table.ts'

/** The values that may be stored: the fields of the schema with rates in kbit/s. */
export type RouterValues = Omit<RouterFields, 'limitRate' | 'fullRate'> & {
  limitRate?: number | null
  fullRate?: number | null
}

/** @param onlineMinutes a router is online when its agent reported within this many minutes */
const columns = (onlineMinutes: number) => ({
  id: routers.id,
  name: routers.name,
  ip: sql<string | null>`host(${routers.ip})`,
  tunnelPort: routers.tunnelPort,
  isActive: routers.isActive,
  timeZone: routers.timeZone,
  mode: routers.mode,
  action: routers.action,
  limitRate: routers.limitRate,
  fullRate: routers.fullRate,
  newDevices: routers.newDevices,
  status: sql<'never-seen' | 'online' | 'offline'>`case when ${routers.lastSeen} is null then 'never-seen'
    when ${routers.lastSeen} > now() - make_interval(mins => ${onlineMinutes}::int) then 'online' else 'offline' end`,
  lastSeen: routers.lastSeen,
  createdAt: routers.createdAt,
  appliedRevision: routers.appliedRevision,
  agentError: routers.agentError,
})

const ORDER = { name: sql`lower(${routers.name})`, createdAt: routers.createdAt, lastSeen: routers.lastSeen }

export function listRouters(
  tx: Tx,
  { search, sort = 'name', ...page }: Static<typeof ListRouters>,
  onlineMinutes: number,
) {
  const where = and(
    ownRows(tx, routers),
    search ? sql`strpos(lower(${routers.name}), lower(${search})) > 0` : undefined,
  )
  const field = ORDER[sort.replace('-', '') as keyof typeof ORDER]
  const order: SQL[] = [
    sort.startsWith('-') ? sql`${desc(field)} nulls last` : sql`${asc(field)} nulls last`,
    asc(routers.id),
  ]
  return findPage(page, ({ limit, offset }) =>
    tx
      .select({ ...columns(onlineMinutes), total: sql<number>`count(*) over ()::int` })
      .from(routers)
      .where(where)
      .orderBy(...order)
      .limit(limit)
      .offset(offset),
  )
}

export async function findRouter(tx: Tx, id: string, onlineMinutes: number) {
  const [router] = await tx
    .select(columns(onlineMinutes))
    .from(routers)
    .where(and(ownRows(tx, routers), eq(routers.id, id)))
  return router
}

export async function addRouter(tx: Tx, values: RouterValues & { name: string }, onlineMinutes: number) {
  const [added] = await tx
    .insert(routers)
    .values({ ...values, userId: ownerOf(tx) })
    .returning({ id: routers.id })
  const router = added && (await findRouter(tx, added.id, onlineMinutes))
  return router as NonNullable<typeof router>
}

export async function changeRouter(tx: Tx, id: string, values: RouterValues, onlineMinutes: number) {
  const [changed] = await tx
    .update(routers)
    .set({ ...values, updatedAt: sql`now()` })
    .where(and(ownRows(tx, routers), eq(routers.id, id)))
    .returning({ id: routers.id })
  return changed && findRouter(tx, id, onlineMinutes)
}

/** Deletes the router and everything that belongs to it, its keys too. */
export async function removeRouter(tx: Tx, id: string): Promise<boolean> {
  const removed = await tx
    .delete(routers)
    .where(and(ownRows(tx, routers), eq(routers.id, id)))
    .returning({ id: routers.id })
  return removed.length > 0
}

/**
 * Locks the router's row until the transaction ends. Every change to many of its devices, its lists or its
 * blocks does this first, so that such changes queue instead of deadlocking.
 */
export async function lockRouter(tx: Tx, id: string): Promise<boolean> {
  const held = await tx
    .select({ id: routers.id })
    .from(routers)
    .where(and(ownRows(tx, routers), eq(routers.id, id)))
    .for('no key update')
  return held.length > 0
}

type Target = {
  deviceId?: string | undefined
  groupId?: string | undefined
  routerId?: string | undefined
}
/**
 * Locks the router of a device or a group, or the given router.
 * @returns its id; undefined when there is no such row, or no longer. A merged device counts as missing
 */
export async function lockRouterOf(
  tx: Tx,
  { deviceId, groupId, routerId }: Target,
): Promise<string | undefined> {
  const find = async () => {
    const [found] = await tx.query<{ routerId: string }>({
      name: 'find router of a target',
      text: `select router_id as "routerId" from user_devices where user_id = $1 and id = $2 and merged_into is null
        union all select router_id from user_device_groups where user_id = $1 and id = $3
        union all select id from user_routers where user_id = $1 and id = $4`,
      values: [ownerOf(tx), deviceId ?? null, groupId ?? null, routerId ?? null],
    })
    return found?.routerId
  }
  const found = await find()
  // Searches again under the lock, because a merge or a deletion may have been in progress.
  return found && (await lockRouter(tx, found)) ? find() : undefined
}
