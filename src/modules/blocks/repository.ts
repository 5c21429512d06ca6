import { ownerOf } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import { deviceAt, lineOf, survivorOf } from '../devices/survivor.ts'
import { findPage, statementsBySort, TOTAL } from '../paging/page.ts'
import { notifyPolicyChanged } from '../routers/notify-policy-changed.ts'
import { lockRouter } from '../routers/repository.ts'
import type { BLOCK_SORTS, Block, ListBlocks } from './schema.ts'

/** The end of a pause: in `minutes` from now, or at the moment `until`. A manual block has neither. */
export type End = { minutes?: number | undefined; until?: Date | undefined }
type NewBlock = {
  routerId: string
  deviceId?: string | null | undefined
  groupId?: string | null | undefined
  type: Block['type']
  reason?: string | null | undefined
  end: End
}

/** Only the database's clock decides whether a block is over. */
const IS_OVER = '(b.until is not null and b.until <= now())'
const IS_ACTIVE = `(b.unblocked_at is null and not ${IS_OVER})`

const COLUMNS = `b.id, b.router_id as "routerId", survivor.id as "deviceId", b.group_id as "groupId", b.block_type as type, b.reason,
  b.blocked_at as "blockedAt", b.until, coalesce(b.unblocked_at, case when ${IS_OVER} then b.until end) as "unblockedAt", ${IS_ACTIVE} as "isActive"`
const JOIN_SURVIVOR = `left join ${survivorOf('b.device_id')} on true`

const ORDER: Record<(typeof BLOCK_SORTS)[number], string> = { blockedAt: 'b.blocked_at', until: 'b.until' }

const LISTS = statementsBySort(
  'list blocks',
  ORDER,
  (order) => `with recursive ${lineOf(deviceAt('$3'))}
  select ${COLUMNS}, b.total from (
    select b.*, ${TOTAL} from user_blocked_devices b
    where b.user_id = $1 and ($2::uuid is null or b.router_id = $2)
      and ($3::uuid is null or (b.router_id, b.device_id) in (select l.router_id, l.id from line l))
      and ($4::uuid is null or b.group_id = $4) and ($5::boolean is null or ${IS_ACTIVE} = $5)
    order by ${order}, b.id limit $6 offset $7
  ) b ${JOIN_SURVIVOR} order by ${order}, b.id`,
)

export function listBlocks(
  tx: Tx,
  { routerId, deviceId, groupId, active, sort = '-blockedAt', ...page }: ListBlocks,
) {
  const filters = [routerId ?? null, deviceId ?? null, groupId ?? null, active ?? null]
  return findPage<Block>(page, ({ limit, offset }) =>
    tx.query({ ...LISTS[sort], values: [ownerOf(tx), ...filters, limit, offset] }),
  )
}

export async function findBlock(tx: Tx, id: string): Promise<Block | undefined> {
  const [block] = await tx.query<Block>({
    name: 'find block',
    text: `select ${COLUMNS} from user_blocked_devices b ${JOIN_SURVIVOR} where b.user_id = $1 and b.id = $2`,
    values: [ownerOf(tx), id],
  })
  return block
}

/**
 * Why a device should not be blocked: it is infrastructure, has the router's own address, or belongs to the
 * user.
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
 * Requires a lock on the router. It first records pauses that have ended by time, so that they do not
 * conflict and stay in the history.
 * @returns the block, not active when its end is past; undefined when a device merged into the target brought
 * a block of this type
 * @throws SQLSTATE 23505 when a block of this type is active for the target, 23503 when the target no longer
 * exists
 */
export async function addBlock(
  tx: Tx,
  { routerId, deviceId = null, groupId = null, type, reason = null, end }: NewBlock,
): Promise<Block | undefined> {
  await tx.query({
    name: 'write ends of blocks down',
    text: `update user_blocked_devices b set unblocked_at = b.until
      where b.user_id = $1 and b.router_id = $2 and b.unblocked_at is null and ${IS_OVER}`,
    values: [ownerOf(tx), routerId],
  })
  if (deviceId) {
    const others = await tx.query({
      name: 'find active block of a device',
      text: `with recursive ${lineOf(deviceAt('$2'))}
        select b.id from line l join user_blocked_devices b on b.user_id = $1 and b.router_id = l.router_id and b.device_id = l.id
        where b.block_type = $3 and ${IS_ACTIVE} limit 1`,
      values: [ownerOf(tx), deviceId, type],
    })
    if (others.length > 0) return undefined
  }
  const [block] = await tx.query<Block>({
    name: 'add block',
    text: `with b as (
        insert into user_blocked_devices (user_id, router_id, device_id, group_id, block_type, reason, until)
        values ($1, $2, $3, $4, $5, $6, least($7::timestamptz, now() + make_interval(mins => $8::int))) returning *
      ) select ${COLUMNS} from b ${JOIN_SURVIVOR}`,
    values: [ownerOf(tx), routerId, deviceId, groupId, type, reason, ...momentOf(end)],
  })
  await notifyPolicyChanged(tx, routerId)
  return block
}

/** Locks the router of a block. @returns false when there is no such block */
export async function lockBlock(tx: Tx, id: string): Promise<boolean> {
  const block = await findBlock(tx, id)
  return block !== undefined && (await lockRouter(tx, block.routerId))
}

/**
 * Changes the end of a pause. Requires a lock on the router. @returns the pause, not active when the end is
 * past; undefined when none was active
 */
export async function extendPause(tx: Tx, id: string, end: End): Promise<Block | undefined> {
  const [pause] = await tx.query<Block>({
    name: 'extend pause',
    text: `with b as (
        update user_blocked_devices b set until = least($3::timestamptz, now() + make_interval(mins => $4::int))
        where b.user_id = $1 and b.id = $2 and b.block_type = 'pause' and ${IS_ACTIVE} returning b.*
      ) select ${COLUMNS} from b ${JOIN_SURVIVOR}`,
    values: [ownerOf(tx), id, ...momentOf(end)],
  })
  if (pause) await notifyPolicyChanged(tx, pause.routerId)
  return pause
}

/**
 * Ends a block. Requires a lock on the router. A block that has already ended does not change. @returns
 * whether it ended now
 */
export async function endBlock(tx: Tx, id: string): Promise<boolean> {
  const [ended] = await tx.query<{ routerId: string }>({
    name: 'end block',
    text: `update user_blocked_devices b set unblocked_at = now()
      where b.user_id = $1 and b.id = $2 and ${IS_ACTIVE} returning b.router_id as "routerId"`,
    values: [ownerOf(tx), id],
  })
  if (ended) await notifyPolicyChanged(tx, ended.routerId)
  return ended !== undefined
}

/** Ends every active block of a router. @returns how many, or undefined when there is no such router */
export async function endBlocks(tx: Tx, routerId: string): Promise<number | undefined> {
  if (!(await lockRouter(tx, routerId))) return undefined
  const ended = await tx.query({
    name: 'end blocks',
    text: `update user_blocked_devices b set unblocked_at = now()
      where b.user_id = $1 and b.router_id = $2 and ${IS_ACTIVE} returning b.id`,
    values: [ownerOf(tx), routerId],
  })
  if (ended.length > 0) await notifyPolicyChanged(tx, routerId)
  return ended.length
}

const momentOf = ({ until, minutes }: End) => [until ?? null, minutes ?? null]
