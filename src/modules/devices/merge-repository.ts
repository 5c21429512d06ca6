/**
 * Merges devices that are the same (a phone that changed its MAC), and splits one that is several. A merged
 * device keeps its row and points at the survivor. Entries, blocks and schedules that name it then apply to
 * the survivor, and an undo gives them back.
 */

import { isRandomMac } from '../../network/mac.ts'
import { prefixesOf } from '../../network/oui-prefixes.ts'
import { ownerOf } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import { USER_COLUMNS } from './user-fields.ts'

export type MergeRecord = {
  id: string
  deviceId: string
  mergedDeviceId: string
  mergedAt: Date
  undoneAt: Date | null
}

/** @returns which of the ids are devices of the router */
export async function listDeviceIds(tx: Tx, routerId: string, ids: string[]): Promise<Set<string>> {
  const found = await tx.query<{ id: string }>({
    name: 'list devices to merge',
    text: `select id from user_devices where user_id = $1 and router_id = $2 and id = any($3::uuid[]) and merged_into is null`,
    values: [ownerOf(tx), routerId, ids],
  })
  return new Set(found.map(({ id }) => id))
}

/** The survivor `s` takes over each value that it lacks from the merged device `p`. */
const IS_FILLED = ({ column, unsaid }: (typeof USER_COLUMNS)[number]) =>
  `s.${column} is not distinct from ${unsaid} and p.${column} is distinct from ${unsaid}`
const FILLED = USER_COLUMNS.map((field) => `case when ${IS_FILLED(field)} then '${field.column}' end`).join(
  ', ',
)
const FILL = USER_COLUMNS.map(
  (field) =>
    `${field.column} = case when ${IS_FILLED(field)} then p.${field.column} else s.${field.column} end`,
).join(', ')
/** Clears the values that the merge filled, unless the user has changed them since. */
const EMPTY = USER_COLUMNS.map(
  ({ column, unsaid }) =>
    `${column} = case when '${column}' = any($4) and s.${column} = p.${column} then ${unsaid} else s.${column} end`,
).join(', ')

/** @returns the id of the merge record, with which the merge can be undone */
export async function mergeDevice(tx: Tx, routerId: string, survivor: string, part: string): Promise<string> {
  const owner = ownerOf(tx)
  const moved = await tx.query<{ id: string }>({
    name: 'move interfaces',
    text: `update user_device_interfaces set device_id = $4 where user_id = $1 and router_id = $2 and device_id = $3 returning id`,
    values: [owner, routerId, part, survivor],
  })
  const [filled] = await tx.query<{ columns: string[] }>({
    name: 'fill survivor',
    text: `with before as (
        select array_remove(array[${FILLED}], null) as columns from user_devices s, user_devices p
        where s.user_id = $1 and p.user_id = $1 and s.id = $2 and p.id = $3
      ), filled as (
        update user_devices s set ${FILL},
          first_seen = least(s.first_seen, p.first_seen), last_seen = greatest(s.last_seen, p.last_seen)
        from user_devices p where s.user_id = $1 and p.user_id = $1 and s.id = $2 and p.id = $3
      ) select columns from before`,
    values: [owner, survivor, part],
  })
  await tx.query({
    name: 'point at survivor',
    text: 'update user_devices set merged_into = $3 where user_id = $1 and id = $2',
    values: [owner, part, survivor],
  })
  const [record] = await tx.query<{ id: string }>({
    name: 'add merge',
    text: `insert into user_device_merges (user_id, router_id, device_id, merged_device_id, interfaces, filled) values ($1, $2, $3, $4, $5, $6) returning id`,
    values: [owner, routerId, survivor, part, moved.map(({ id }) => id), filled?.columns ?? []],
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
 * Undoes a merge: the device gets back what it brought. @returns its id, or undefined when the merge was
 * undone already
 */
export async function undoMerge(tx: Tx, id: string): Promise<string | undefined> {
  const owner = ownerOf(tx)
  const [merge] = await tx.query<{ part: string; survivor: string; interfaces: string[]; filled: string[] }>({
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
  await tx.query({
    name: 'empty what was filled',
    text: `update user_devices s set
        ${EMPTY},
        first_seen = coalesce((select min(i.first_seen) from user_device_interfaces i where i.user_id = $1 and i.router_id = s.router_id and i.device_id = s.id), s.first_seen)
      from user_devices p where s.user_id = $1 and p.user_id = $1 and s.id = $2 and p.id = $3`,
    values: [owner, survivor, part, filled],
  })
  return part
}

/**
 * Creates a separate device from some MACs of another. @returns its id, or undefined when the device does not
 * have all of them, or has no others
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
 * Pairs of devices with the same host name, where one was last seen within a week of when the other was first
 * seen. The likeliest pair comes first.
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
