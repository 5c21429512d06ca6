import type { SQL } from 'drizzle-orm'
import { and, asc, desc, eq, isNull, sql } from '../../database/drizzle.ts'
import { ownerOf, ownRows } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import { notifyPolicyChanged } from '../routers/notify-policy-changed.ts'
import { lockRouter } from '../routers/repository.ts'
import type { AddBlock, ListBlocks } from './schema.ts'
import { blocks } from './table.ts'

/** When a pause ends: so many minutes from now, or at a moment; neither for a manual block. */
export type End = { minutes?: number | undefined; until?: Date | undefined }

/** Only the database's clock says what is over. */
const isOver = sql<boolean>`coalesce(${blocks.until} <= now(), false)`
const isActive = sql<boolean>`(${blocks.unblockedAt} is null and not ${isOver})`

/** A device that was merged, maybe more than once, stands for the one that goes on. */
const survivor = (tx: Tx) => sql<string | null>`(
  with recursive line (id, merged_into) as (
    select d.id, d.merged_into from user_devices d where d.user_id = ${ownerOf(tx)} and d.id = ${blocks.deviceId}
    union select d.id, d.merged_into from line l join user_devices d on d.user_id = ${ownerOf(tx)} and d.id = l.merged_into
  ) select l.id from line l where l.merged_into is null)`

/** Of a device, or of one that was merged into it. */
const isOfDevice = (tx: Tx, deviceId: string) => sql<boolean>`${blocks.deviceId} in (
  with recursive line (id) as (
    select d.id from user_devices d where d.user_id = ${ownerOf(tx)} and d.id = ${deviceId} and d.merged_into is null
    union select d.id from line l join user_devices d on d.user_id = ${ownerOf(tx)} and d.merged_into = l.id
  ) select l.id from line l)`

const columns = (tx: Tx) => ({
  id: blocks.id,
  routerId: blocks.routerId,
  deviceId: survivor(tx),
  groupId: blocks.groupId,
  type: blocks.type,
  reason: blocks.reason,
  blockedAt: blocks.blockedAt,
  until: blocks.until,
  unblockedAt: sql`coalesce(${blocks.unblockedAt}, case when ${isOver} then ${blocks.until} end)`.mapWith(
    blocks.unblockedAt,
  ),
  isActive,
})

const momentOf = ({ minutes, until }: End) =>
  sql`coalesce(${until ?? null}::timestamptz, now() + make_interval(mins => ${minutes ?? null}::int))`

const ORDER = { blockedAt: blocks.blockedAt, until: blocks.until }

export async function listBlocks(
  tx: Tx,
  { routerId, deviceId, groupId, active, sort = '-blockedAt', limit, offset }: ListBlocks,
) {
  const where = and(
    ownRows(tx, blocks),
    routerId === undefined ? undefined : eq(blocks.routerId, routerId),
    deviceId === undefined ? undefined : isOfDevice(tx, deviceId),
    groupId === undefined ? undefined : eq(blocks.groupId, groupId),
    active === undefined ? undefined : sql`${isActive} = ${active}`,
  )
  const field = ORDER[sort.replace('-', '') as keyof typeof ORDER]
  const order: SQL[] = [
    sort.startsWith('-') ? sql`${desc(field)} nulls last` : sql`${asc(field)} nulls last`,
    asc(blocks.id),
  ]
  const items = await tx
    .select(columns(tx))
    .from(blocks)
    .where(where)
    .orderBy(...order)
    .limit(limit)
    .offset(offset)
  return { items, total: await tx.$count(blocks, where), limit, offset }
}

export async function findBlock(tx: Tx, id: string) {
  const [block] = await tx
    .select(columns(tx))
    .from(blocks)
    .where(and(ownRows(tx, blocks), eq(blocks.id, id)))
  return block
}

/**
 * Holds the router of a device, a group or of itself. @returns its id, undefined when there is no such thing
 */
export async function lockRouterOf(
  tx: Tx,
  { deviceId, groupId, routerId }: AddBlock,
): Promise<string | undefined> {
  const [target] = await tx.query<{ routerId: string }>({
    name: 'find router of a target',
    text: `select router_id as "routerId" from user_devices where user_id = $1 and id = $2
      union all select router_id from user_device_groups where user_id = $1 and id = $3
      union all select id from user_routers where user_id = $1 and id = $4`,
    values: [ownerOf(tx), deviceId ?? null, groupId ?? null, routerId ?? null],
  })
  return target && (await lockRouter(tx, target.routerId)) ? target.routerId : undefined
}

/**
 * What speaks against blocking a device: it is infrastructure or has the router's own address, or is the
 * user's own.
 */
export async function findProtection(
  tx: Tx,
  deviceId: string,
): Promise<{ isProtected: boolean; isOwn: boolean } | undefined> {
  const [protection] = await tx.query<{ isProtected: boolean; isOwn: boolean }>({
    name: 'find protection of a device',
    text: `select d.mine as "isOwn", d.is_infrastructure or exists (
        select from user_routers r
        join user_device_interfaces i on i.user_id = r.user_id and i.device_id = $2 and r.ip = any(i.ips)
        where r.user_id = $1 and i.user_id = $1 and r.id = d.router_id
      ) as "isProtected"
      from user_devices d where d.user_id = $1 and d.id = $2 and d.merged_into is null`,
    values: [ownerOf(tx), deviceId],
  })
  return protection
}

/**
 * The router is held. What time has ended is written down first, so that it makes room and stays in the
 * history.
 * @returns the block, not active when its end is past; undefined when one of its type came with a device that
 * was merged into the target
 * @throws SQLSTATE 23505 when one of its type is active for the target, 23503 when the target went away
 */
export async function addBlock(
  tx: Tx,
  {
    end,
    ...values
  }: Pick<typeof blocks.$inferInsert, 'routerId' | 'deviceId' | 'groupId' | 'type' | 'reason'> & { end: End },
) {
  const { routerId, deviceId, type } = values
  await tx
    .update(blocks)
    .set({ unblockedAt: blocks.until })
    .where(and(ownRows(tx, blocks), eq(blocks.routerId, routerId), isNull(blocks.unblockedAt), isOver))
  if (
    deviceId &&
    (await tx.$count(
      blocks,
      and(ownRows(tx, blocks), eq(blocks.type, type), isActive, isOfDevice(tx, deviceId)),
    )) > 0
  )
    return undefined
  const [block] = await tx
    .insert(blocks)
    .values({ ...values, until: momentOf(end), userId: ownerOf(tx) })
    .returning(columns(tx))
  await notifyPolicyChanged(tx, routerId)
  return block
}

/** Holds the router of a block. @returns false when there is no such block */
export async function lockBlock(tx: Tx, id: string): Promise<boolean> {
  const block = await findBlock(tx, id)
  return block !== undefined && (await lockRouter(tx, block.routerId))
}

/**
 * Moves the end of a pause whose router is held. @returns the pause, not active when the end is past;
 * undefined when none was active
 */
export async function extendPause(tx: Tx, id: string, end: End) {
  const [pause] = await tx
    .update(blocks)
    .set({ until: momentOf(end) })
    .where(and(ownRows(tx, blocks), eq(blocks.id, id), eq(blocks.type, 'pause'), isActive))
    .returning(columns(tx))
  if (pause) await notifyPolicyChanged(tx, pause.routerId)
  return pause
}

/** Ends a block whose router is held; one that has ended stays as it ended. @returns whether it ended now */
export async function endBlock(tx: Tx, id: string): Promise<boolean> {
  const [ended] = await tx
    .update(blocks)
    .set({ unblockedAt: sql`now()` })
    .where(and(ownRows(tx, blocks), eq(blocks.id, id), isActive))
    .returning({ routerId: blocks.routerId })
  if (ended) await notifyPolicyChanged(tx, ended.routerId)
  return ended !== undefined
}

/** Ends every active block of a router. @returns how many, or undefined when there is no such router */
export async function endBlocks(tx: Tx, routerId: string): Promise<number | undefined> {
  if (!(await lockRouter(tx, routerId))) return undefined
  const ended = await tx
    .update(blocks)
    .set({ unblockedAt: sql`now()` })
    .where(and(ownRows(tx, blocks), eq(blocks.routerId, routerId), isActive))
    .returning({ id: blocks.id })
  if (ended.length > 0) await notifyPolicyChanged(tx, routerId)
  return ended.length
}
