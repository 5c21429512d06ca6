/**
 * Adds and removes entries on one or several routers. Each entry is decided separately, and all are stored
 * together.
 */
import { randomUUID } from 'node:crypto'
import { ownerOf } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import { lineOf } from '../devices/survivor.ts'
import { notifyPolicyChanged } from '../routers/notify-policy-changed.ts'
import { lockRouter } from '../routers/repository.ts'
import { TABLES } from './repository.ts'
import {
  type Added,
  type Additions,
  decideAdditions,
  type KnownDevice,
  type KnownDevices,
  type NewEntry,
  type StoredEntry,
} from './same-device.ts'
import { type ListName, NOTES } from './schema.ts'

const OTHER = { whitelist: 'blacklist', blacklist: 'whitelist' } as const

/**
 * Adds entries, then removes entries. Every change of a router's lists locks the router first, so the facts
 * behind a decision are still true when it is stored.
 * @returns the result for each entry to add, and the ids that were removed
 */
export async function changeEntries(
  tx: Tx,
  list: ListName,
  { add = [], remove = [] }: { add?: NewEntry[]; remove?: string[] },
) {
  const routers = await findRouters(tx, list, add, remove)
  const routerOf = ({ deviceId, routerId }: NewEntry) => {
    const own = deviceId === null ? routerId : routers.get(deviceId)
    return routerId === null || routerId === own ? own : undefined
  }
  const additions = Map.groupBy(add, routerOf)
  // Locks in the same order everywhere, so that two calls never deadlock.
  const touched = [...new Set([...additions.keys(), ...remove.map((id) => routers.get(id))])]
    .filter((id) => typeof id === 'string')
    .sort()

  const added = new Map<NewEntry, Added>(add.map((entry) => [entry, { code: 'not-found' }]))
  const changed = new Set<string>()
  const held: string[] = []
  for (const routerId of touched) if (await lockRouter(tx, routerId)) held.push(routerId)
  for (const routerId of held) {
    const outcomes = await addToRouter(tx, list, routerId, additions.get(routerId) ?? [])
    for (const [entry, outcome] of outcomes) added.set(entry, outcome)
    if ([...outcomes.values()].some((outcome) => 'id' in outcome)) changed.add(routerId)
  }
  const removed = await removeEntries(tx, list, remove)
  for (const { routerId } of removed) changed.add(routerId)
  for (const routerId of changed) await notifyPolicyChanged(tx, routerId)
  return { added, removed: new Set(removed.map(({ id }) => id)) }
}

/** @returns the routers of the named devices and entries, by their ids */
async function findRouters(
  tx: Tx,
  list: ListName,
  add: NewEntry[],
  remove: string[],
): Promise<Map<string, string>> {
  const deviceIds = add.flatMap(({ deviceId }) => deviceId ?? [])
  if (deviceIds.length + remove.length === 0) return new Map()
  const rows = await tx.query<{ id: string; routerId: string }>({
    name: `find routers for ${list}`,
    text: `select d.id, d.router_id as "routerId" from user_devices d where d.user_id = $1 and d.id = any($2::uuid[])
      union all select e.id, e.router_id from ${TABLES[list]} e where e.user_id = $1 and e.id = any($3::uuid[])`,
    values: [ownerOf(tx), deviceIds, remove],
  })
  return new Map(rows.map(({ id, routerId }) => [id, routerId]))
}

async function addToRouter(
  tx: Tx,
  list: ListName,
  routerId: string,
  entries: NewEntry[],
): Promise<Additions['outcomes']> {
  if (entries.length === 0) return new Map()
  const { outcomes, added } = decideAdditions(
    entries,
    await findFacts(tx, list, routerId, entries),
    randomUUID,
  )
  const values = [ownerOf(tx), routerId]
  const columns = (['id', 'deviceId', 'mac', 'ip', 'name', 'note'] as const).map((column) =>
    added.map((entry) => entry[column]),
  )
  const stored = await tx.query<{ id: string }>({
    name: `add to ${list}`,
    text: `insert into ${TABLES[list]} (user_id, router_id, id, device_id, mac, ip, entry_name, ${NOTES[list]})
      select $1, $2, n.* from unnest($3::uuid[], $4::uuid[], $5::macaddr[], $6::inet[], $7::text[], $8::text[]) as n
      on conflict do nothing returning id`,
    values: [...values, ...columns],
  })
  // A writer that does not lock the router, such as an operator, may have stored the entry first.
  const ids = new Set(stored.map(({ id }) => id))
  for (const [entry, outcome] of outcomes)
    if ('id' in outcome && !ids.has(outcome.id)) outcomes.set(entry, { code: 'conflict' })
  const replaced = added.flatMap(({ id, replaces }) => (ids.has(id) ? replaces : []))
  if (replaced.length > 0)
    await tx.query({
      name: `move from ${OTHER[list]}`,
      text: `delete from ${TABLES[OTHER[list]]} e where e.user_id = $1 and e.router_id = $2 and e.id = any($3::uuid[])`,
      values: [...values, replaced],
    })
  return outcomes
}

/** The devices that entries name, by id (`named`), MAC or address, and the devices merged into them. */
const LISTED_LINE = lineOf(`select n.id, n.router_id from named n
    union select i.device_id, i.router_id from user_device_interfaces i
    where i.user_id = $1 and i.router_id = $2 and (i.mac = any($4::macaddr[]) or i.ips && $5::inet[])`)

/**
 * Finds the facts for the decision about these entries: the devices they name, and the entries of both lists
 * for these devices.
 */
async function findFacts(
  tx: Tx,
  list: ListName,
  routerId: string,
  entries: NewEntry[],
): Promise<KnownDevices> {
  const [ids, macs, ips] = (['deviceId', 'mac', 'ip'] as const).map((name) =>
    entries.flatMap((entry) => entry[name] ?? []),
  ) as [string[], string[], string[]]
  const values = [ownerOf(tx), routerId]
  const devices = await tx.query<KnownDevice>({
    name: 'find devices to list',
    // Locks the devices, so that none is deleted before the entry that names it is stored.
    text: `with recursive named as (
        select d.id, d.router_id from user_devices d
        where d.user_id = $1 and d.router_id = $2 and d.id = any($3::uuid[]) and d.merged_into is null for key share
      ), ${LISTED_LINE}
      select l.survivor as id, array_agg(l.id::text) as ids, array(
          select i.mac::text from user_device_interfaces i
          where i.user_id = $1 and i.router_id = $2 and i.device_id = l.survivor and i.mac is not null
        ) as macs, array(
          select host(a.ip) from user_device_interfaces i, unnest(i.ips) as a(ip)
          where i.user_id = $1 and i.router_id = $2 and i.device_id = l.survivor
        ) as ips
      from line l group by l.survivor`,
    values: [...values, ids, macs, ips],
  })
  const stored = await tx.query<StoredEntry & { isHere: boolean }>({
    name: `find entries beside ${list}`,
    text: `select e.id, e.device_id as "deviceId", e.mac::text as mac, host(e.ip) as ip, e."isHere" from (
        select h.id, h.device_id, h.mac, h.ip, h.created_at, true as "isHere" from ${TABLES[list]} h where h.user_id = $1 and h.router_id = $2
        union all
        select t.id, t.device_id, t.mac, t.ip, t.created_at, false from ${TABLES[OTHER[list]]} t where t.user_id = $1 and t.router_id = $2
      ) e where e.device_id = any($3::uuid[]) or e.mac = any($4::macaddr[]) or e.ip = any($5::inet[]) order by e.created_at, e.id`,
    values: [
      ...values,
      devices.flatMap((device) => device.ids),
      [...macs, ...devices.flatMap((device) => device.macs)],
      [...ips, ...devices.flatMap((device) => device.ips)],
    ],
  })
  return {
    devices,
    here: stored.filter(({ isHere }) => isHere),
    there: stored.filter(({ isHere }) => !isHere),
  }
}

function removeEntries(tx: Tx, list: ListName, ids: string[]): Promise<{ id: string; routerId: string }[]> {
  if (ids.length === 0) return Promise.resolve([])
  return tx.query({
    name: `remove from ${list}`,
    text: `delete from ${TABLES[list]} e where e.user_id = $1 and e.id = any($2::uuid[]) returning e.id, e.router_id as "routerId"`,
    values: [ownerOf(tx), ids],
  })
}
