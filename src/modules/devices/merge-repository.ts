/**
 * Devices that turn out to be one (a phone that changed its MAC), and one that turns out to be several. A
 * merged device keeps its row and points at the survivor: entries, blocks and schedules that name it follow,
 * and can be given back.
 */

import { isRandomMac } from '../../network/mac.ts'
import { prefixesOf } from '../../network/oui-prefixes.ts'
import { ownerOf } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'

export type MergeRecord = {
  id: string
  deviceId: string
  mergedDeviceId: string
  mergedAt: Date
  undoneAt: Date | null
}
type Parts = {
  id: string
  name: string | null
  type: string | null
  manufacturer: string | null
  groupId: string | null
}

/**
 * What the user said of a device that goes with it, if the survivor has nothing there: column and property.
 */
const USER_FIELDS = {
  device_name: 'name',
  device_type: 'type',
  manufacturer: 'manufacturer',
  group_id: 'groupId',
} as const
type Word = keyof typeof USER_FIELDS

/** @returns the devices of one router in the order asked for; fewer when one is not there */
export function listParts(tx: Tx, routerId: string, ids: string[]): Promise<Parts[]> {
  return tx.query<Parts>({
    name: 'list merge parts',
    text: `select id, device_name as name, device_type as type, manufacturer, group_id as "groupId" from user_devices
      where user_id = $1 and router_id = $2 and id = any($3::uuid[]) and merged_into is null order by array_position($3::uuid[], id)`,
    values: [ownerOf(tx), routerId, ids],
  })
}

/** @returns the id of the record that undoes it */
export async function mergeDevice(tx: Tx, routerId: string, survivor: Parts, part: Parts): Promise<string> {
  const owner = ownerOf(tx)
  const moved = await tx.query<{ id: string }>({
    name: 'move interfaces',
    text: `update user_device_interfaces set device_id = $4 where user_id = $1 and router_id = $2 and device_id = $3 returning id`,
    values: [owner, routerId, part.id, survivor.id],
  })
  const filled = (Object.keys(USER_FIELDS) as Word[]).filter(
    (column) => survivor[USER_FIELDS[column]] === null && part[USER_FIELDS[column]] !== null,
  )
  for (const column of filled) survivor[USER_FIELDS[column]] = part[USER_FIELDS[column]]
  await tx.query({
    name: 'fill survivor',
    text: `update user_devices s set device_name = $4, device_type = $5, manufacturer = $6, group_id = $7,
        first_seen = least(s.first_seen, p.first_seen), last_seen = greatest(s.last_seen, p.last_seen)
      from user_devices p where s.user_id = $1 and p.user_id = $1 and s.id = $2 and p.id = $3`,
    values: [
      owner,
      survivor.id,
      part.id,
      survivor.name,
      survivor.type,
      survivor.manufacturer,
      survivor.groupId,
    ],
  })
  await tx.query({
    name: 'point at survivor',
    text: 'update user_devices set merged_into = $3 where user_id = $1 and id = $2',
    values: [owner, part.id, survivor.id],
  })
  const [record] = await tx.query<{ id: string }>({
    name: 'add merge',
    text: `insert into user_device_merges (user_id, router_id, device_id, merged_device_id, interfaces, filled) values ($1, $2, $3, $4, $5, $6) returning id`,
    values: [owner, routerId, survivor.id, part.id, moved.map(({ id }) => id), filled],
  })
  return (record as { id: string }).id
}

export function listMerges(tx: Tx, routerId: string): Promise<MergeRecord[]> {
  return tx.query<MergeRecord>({
    name: 'list merges',
    text: `select id, device_id as "deviceId", merged_device_id as "mergedDeviceId", merged_at as "mergedAt", undone_at as "undoneAt"
      from user_device_merges where user_id = $1 and router_id = $2 order by merged_at desc, id limit 200`,
    values: [ownerOf(tx), routerId],
  })
}

export async function findMergeRouter(tx: Tx, id: string): Promise<string | undefined> {
  const [merge] = await tx.query<{ routerId: string }>({
    name: 'find merge router',
    text: 'select router_id as "routerId" from user_device_merges where user_id = $1 and id = $2',
    values: [ownerOf(tx), id],
  })
  return merge?.routerId
}

/**
 * Gives a merged device back what it came with. @returns its id, or undefined when the merge was undone
 * already
 */
export async function undoMerge(tx: Tx, id: string): Promise<string | undefined> {
  const owner = ownerOf(tx)
  const [merge] = await tx.query<{ part: string; survivor: string; interfaces: string[]; filled: Word[] }>({
    name: 'undo merge',
    text: `update user_device_merges m set undone_at = now() from user_devices p
      where m.user_id = $1 and p.user_id = $1 and m.id = $2 and m.undone_at is null and p.id = m.merged_device_id and p.merged_into = m.device_id
      returning m.merged_device_id as part, m.device_id as survivor, m.interfaces, m.filled`,
    values: [owner, id],
  })
  if (!merge) return undefined
  const { part, survivor, interfaces, filled } = merge
  await tx.query({
    name: 'give interfaces back',
    text: 'update user_device_interfaces set device_id = $2 where user_id = $1 and id = any($3::uuid[])',
    values: [owner, part, interfaces],
  })
  await tx.query({
    name: 'stand alone',
    text: 'update user_devices set merged_into = null where user_id = $1 and id = $2',
    values: [owner, part],
  })
  // What was filled goes, unless the user has said something else since.
  await tx.query({
    name: 'empty what was filled',
    text: `update user_devices s set
        device_name = case when 'device_name' = any($4) and s.device_name = p.device_name then null else s.device_name end,
        device_type = case when 'device_type' = any($4) and s.device_type = p.device_type then null else s.device_type end,
        manufacturer = case when 'manufacturer' = any($4) and s.manufacturer = p.manufacturer then null else s.manufacturer end,
        group_id = case when 'group_id' = any($4) and s.group_id = p.group_id then null else s.group_id end,
        first_seen = coalesce((select min(i.first_seen) from user_device_interfaces i where i.user_id = $1 and i.router_id = s.router_id and i.device_id = s.id), s.first_seen)
      from user_devices p where s.user_id = $1 and p.user_id = $1 and s.id = $2 and p.id = $3`,
    values: [owner, survivor, part, filled],
  })
  return part
}

/**
 * Makes a device of its own out of some MACs of another. @returns its id, or undefined when the device has
 * not got all of them, or no other
 */
export async function splitDevice(
  tx: Tx,
  routerId: string,
  id: string,
  macs: string[],
): Promise<string | undefined> {
  const owner = ownerOf(tx)
  const held = await tx.query<{ id: string; mac: string | null }>({
    name: 'list interfaces of device',
    text: 'select id, mac::text as mac from user_device_interfaces where user_id = $1 and router_id = $2 and device_id = $3',
    values: [owner, routerId, id],
  })
  const leaving = held.filter(({ mac }) => mac !== null && macs.includes(mac))
  const staying = held.filter(({ mac }) => mac !== null && !macs.includes(mac))
  if (leaving.length < macs.length || staying.length === 0) return undefined
  const [mac = ''] = macs
  const [p36, p28, p24] = isRandomMac(mac) ? [null, null, null] : prefixesOf(mac)
  const [made] = await tx.query<{ id: string }>({
    name: 'add split device',
    text: `insert into user_devices (user_id, router_id, hostname, detected_manufacturer, approval, first_seen, last_seen)
      select $1, d.router_id, d.hostname, (select organization from oui_prefixes where (prefix, bits) in (($4::bigint, 36), ($5::bigint, 28), ($6::bigint, 24))
          order by bits desc limit 1), d.approval, (select min(i.first_seen) from user_device_interfaces i where i.user_id = $1 and i.id = any($3::uuid[])), d.last_seen
      from user_devices d where d.user_id = $1 and d.id = $2 returning id`,
    values: [owner, id, leaving.map((one) => one.id), p36, p28, p24],
  })
  if (!made) return undefined
  await tx.query({
    name: 'give interfaces to split device',
    text: 'update user_device_interfaces set device_id = $2 where user_id = $1 and id = any($3::uuid[])',
    values: [owner, made.id, leaving.map((one) => one.id)],
  })
  return made.id
}

export type Suggestion = { into: string; from: string; hostname: string; vanishedAt: Date; appearedAt: Date }

/**
 * Pairs with one host name of which one was last seen about when the other was first seen, within a week; the
 * likeliest first.
 */
export function listSuggestions(tx: Tx, routerId: string): Promise<Suggestion[]> {
  return tx.query<Suggestion>({
    name: 'list suggestions',
    text: `select b.id as into, a.id as from, b.hostname, a.last_seen as "vanishedAt", b.first_seen as "appearedAt"
      from user_devices a join user_devices b on b.user_id = $1 and b.router_id = $2 and b.id <> a.id and lower(b.hostname) = lower(a.hostname)
      where a.user_id = $1 and a.router_id = $2 and a.merged_into is null and b.merged_into is null and a.hostname is not null
        and a.first_seen < b.first_seen and a.last_seen < b.last_seen
        and a.last_seen between b.first_seen - interval '7 days' and b.first_seen + interval '10 minutes'
      order by abs(extract(epoch from b.first_seen - a.last_seen)), a.id, b.id limit 50`,
    values: [ownerOf(tx), routerId],
  })
}
