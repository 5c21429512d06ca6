import { ownerOf } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import { lineOf, survivorOf } from '../devices/survivor.ts'
import { findPage, statementsBySort, TOTAL } from '../paging/page.ts'
import { notifyPolicyChanged } from '../routers/notify-policy-changed.ts'
import { lockRouter } from '../routers/repository.ts'
import {
  type ChangeEntry,
  type ENTRY_SORTS,
  type Entry,
  type ListEntries,
  type ListName,
  NOTES,
} from './schema.ts'

/** The table of each list. */
export const TABLES = { whitelist: 'user_whitelists', blacklist: 'user_blacklists' } as const

/** An entry as the API shows it. The device is found by its id, its MAC or its address. */
const shown = (
  list: ListName,
) => `e.id, e.router_id as "routerId", coalesce(survivor.id, m.device_id, a.device_id) as "deviceId",
  e.mac::text as mac, host(e.ip) as ip, e.entry_name as name, e.${NOTES[list]}, e.created_at as "createdAt"`

const JOIN_DEVICE = `left join ${survivorOf('e.device_id')} on true
  left join user_device_interfaces m on m.user_id = $1 and m.router_id = e.router_id and m.mac = e.mac
  left join (select i.router_id, i.device_id, unnest(i.ips) as ip from user_device_interfaces i where i.user_id = $1) a
    on a.router_id = e.router_id and a.ip = e.ip`

/** The devices that match a search, and those merged into them, because an entry may still name these. */
const MATCHING_DEVICES = `${lineOf(`
    select d.id, d.router_id from user_devices d where $3::text is not null and d.user_id = $1 and d.merged_into is null
      and (strpos(lower(concat_ws(' ', d.device_name, d.hostname)), lower($3)) > 0
        or exists (select from user_device_interfaces i where i.user_id = $1 and i.device_id = d.id
          and (strpos(i.mac::text, lower(translate($3, '-', ':'))) > 0
            or exists (select from unnest(i.ips) as a(ip) where strpos(host(a.ip), lower($3)) > 0))))`)}, interfaces as (
    select i.router_id, i.mac, i.ips from line l
    join user_device_interfaces i on i.user_id = $1 and i.device_id = l.id
  )`

/** One constant SQL text for each list and order. */
const listText = (list: ListName, order: string) => `with recursive ${MATCHING_DEVICES}
  select ${shown(list)}, e.total from (
    select e.*, ${TOTAL} from ${TABLES[list]} e
    where e.user_id = $1 and ($2::uuid is null or e.router_id = $2)
      and ($3::text is null or strpos(lower(concat_ws(' ', e.entry_name, e.${NOTES[list]}, host(e.ip))), lower($3)) > 0
        or strpos(e.mac::text, lower(translate($3, '-', ':'))) > 0
        or e.device_id in (select l.id from line l)
        or (e.router_id, e.mac) in (select i.router_id, i.mac from interfaces i)
        or (e.router_id, e.ip) in (select i.router_id, unnest(i.ips) from interfaces i))
    order by ${order}, e.id limit $4 offset $5
  ) e ${JOIN_DEVICE} order by ${order}, e.id`

const ORDER: Record<(typeof ENTRY_SORTS)[number], string> = {
  createdAt: 'e.created_at',
  name: 'lower(e.entry_name)',
  mac: 'e.mac',
  ip: 'e.ip',
}

const listsOf = (list: ListName) => statementsBySort(`list ${list}`, ORDER, (order) => listText(list, order))
const LISTS = { whitelist: listsOf('whitelist'), blacklist: listsOf('blacklist') }

export function listEntries(
  tx: Tx,
  list: ListName,
  { routerId, search, sort = 'createdAt', ...page }: ListEntries,
) {
  return findPage<Entry>(page, ({ limit, offset }) =>
    tx.query({
      ...LISTS[list][sort],
      values: [ownerOf(tx), routerId ?? null, search ?? null, limit, offset],
    }),
  )
}

export async function findEntry(tx: Tx, list: ListName, id: string): Promise<Entry | undefined> {
  const [entry] = await tx.query<Entry>({
    name: `find ${list} entry`,
    text: `select ${shown(list)} from ${TABLES[list]} e ${JOIN_DEVICE} where e.user_id = $1 and e.id = $2`,
    values: [ownerOf(tx), id],
  })
  return entry
}

/** Locks the router of an entry first, as a removal does, and then the entry. */
export async function lockEntry(tx: Tx, list: ListName, id: string): Promise<Entry | undefined> {
  const entry = await findEntry(tx, list, id)
  if (!entry || !(await lockRouter(tx, entry.routerId))) return undefined
  await tx.query({
    name: `hold ${list} entry`,
    text: `select e.id from ${TABLES[list]} e where e.user_id = $1 and e.id = $2 for no key update`,
    values: [ownerOf(tx), id],
  })
  return findEntry(tx, list, id)
}

/** A name or note affects no decision, so no agent is notified. */
export async function changeEntry(tx: Tx, list: ListName, id: string, values: ChangeEntry): Promise<boolean> {
  const note = values[NOTES[list]]
  const changed = await tx.query({
    name: `change ${list} entry`,
    text: `update ${TABLES[list]} e set entry_name = case when $3 then $4 else e.entry_name end,
        ${NOTES[list]} = case when $5 then $6 else e.${NOTES[list]} end, updated_at = now()
      where e.user_id = $1 and e.id = $2 returning e.id`,
    values: [
      ownerOf(tx),
      id,
      values.name !== undefined,
      values.name ?? null,
      note !== undefined,
      note ?? null,
    ],
  })
  return changed.length > 0
}

/** @returns how many entries the router had on the list, or undefined when there is no such router */
export async function clearEntries(tx: Tx, list: ListName, routerId: string): Promise<number | undefined> {
  if (!(await lockRouter(tx, routerId))) return undefined
  const removed = await tx.query({
    name: `clear ${list}`,
    text: `delete from ${TABLES[list]} e where e.user_id = $1 and e.router_id = $2 returning e.id`,
    values: [ownerOf(tx), routerId],
  })
  if (removed.length > 0) await notifyPolicyChanged(tx, routerId)
  return removed.length
}
