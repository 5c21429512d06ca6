import { randomUUID } from 'node:crypto'
import { isRandomMac } from '../../network/mac.ts'
import { prefixesOf } from '../../network/oui-prefixes.ts'
import { ownerOf } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import { IS_DESCRIBED } from '../devices/user-fields.ts'
import { type Changes, type KnownInterface, reconcile } from './reconcile.ts'
import type { ScanAnswer } from './schema.ts'
import type { Sighting } from './sighting.ts'

export type ReportingRouter = {
  id: string
  name: string
  ip: string | null
  newDevices: 'allow' | 'hold' /** The database's clock. */
  now: Date
}
export type LedgerEntry = { bodySha256: Buffer; answer: ScanAnswer }

const REPORTING = `id, router_name as name, host(ip) as ip, new_devices as "newDevices"`

export async function findAgentRouter(tx: Tx, routerId: string): Promise<ReportingRouter | undefined> {
  const [router] = await tx.query<ReportingRouter>({
    name: 'find agent router',
    text: `select ${REPORTING}, now() as now from user_routers where user_id = $1 and id = $2`,
    values: [ownerOf(tx), routerId],
  })
  return router
}

/**
 * Stores when the agent reported, by the database's clock. This also locks the router's row, so that the
 * scans of one router are processed one after the other.
 */
export async function touchRouter(tx: Tx, routerId: string): Promise<ReportingRouter | undefined> {
  const [router] = await tx.query<ReportingRouter>({
    name: 'touch router',
    text: `update user_routers set last_seen = now() where user_id = $1 and id = $2
      returning ${REPORTING}, last_seen as now`,
    values: [ownerOf(tx), routerId],
  })
  return router
}

/** The lookup key of a scan in the ledger: half of the SHA-256 of its id (`$3`). */
const SCAN_KEY = `encode(substring(sha256(convert_to($3, 'UTF8')) from 1 for 16), 'hex')::uuid`

/** Adds a scan to the ledger. @returns the existing entry, or undefined when the scan is new */
export async function addScan(
  tx: Tx,
  {
    routerId,
    scanId,
    bodySha256,
    takenAt,
  }: { routerId: string; scanId: string; bodySha256: Buffer; takenAt: Date },
): Promise<LedgerEntry | undefined> {
  const values = [ownerOf(tx), routerId, scanId]
  const added = await tx.query({
    name: 'add scan',
    text: `insert into user_scans (user_id, router_id, scan_key, scan_id, body_sha256, taken_at) values ($1, $2, ${SCAN_KEY}, $3, $4, $5)
      on conflict do nothing returning scan_key`,
    values: [...values, bodySha256, takenAt],
  })
  if (added.length > 0) return undefined
  const [entry] = await tx.query<LedgerEntry>({
    name: 'find scan',
    text: `select body_sha256 as "bodySha256", answer from user_scans where user_id = $1 and router_id = $2 and scan_key = ${SCAN_KEY}`,
    values,
  })
  return entry
}

/** Stores the answer, for a client that sends the scan again. */
export async function answerScan(
  tx: Tx,
  routerId: string,
  scanId: string,
  answer: ScanAnswer,
): Promise<void> {
  await tx.query({
    name: 'answer scan',
    text: `update user_scans set answer = $4 where user_id = $1 and router_id = $2 and scan_key = ${SCAN_KEY}`,
    values: [ownerOf(tx), routerId, scanId, answer],
  })
}

/** Updates the router's devices from a scan, with a constant number of statements for any size. */
export async function recordSightings(
  tx: Tx,
  router: ReportingRouter,
  sightings: Sighting[],
  takenAt: Date,
): Promise<Changes['counts']> {
  const known = await listKnownInterfaces(tx, router.id, sightings)
  const changes = reconcile(known, sightings, takenAt, randomUUID)
  // The order follows the foreign keys. The statements are sent without waiting in between.
  await Promise.all([
    addDevices(tx, router, changes, takenAt),
    addInterfaces(tx, router, changes, takenAt),
    changeInterfaces(tx, changes),
    changeDevices(tx, changes, takenAt),
  ])
  return changes.counts
}

/**
 * Reads the interfaces that a scan may concern, by MAC or by address, with the relevant fields of their
 * devices. It uses two statements instead of a join, because the planner chooses badly for thousands of rows
 * without statistics.
 */
async function listKnownInterfaces(
  tx: Tx,
  routerId: string,
  sightings: Sighting[],
): Promise<KnownInterface[]> {
  const owner = ownerOf(tx)
  const interfaces = await tx.query<Pick<KnownInterface, 'id' | 'deviceId' | 'mac' | 'ips'>>({
    name: 'list known interfaces',
    noPreparedPlan: true,
    text: `select i.id, i.device_id as "deviceId", i.mac::text as mac, array(select host(ip) from unnest(i.ips) as ip) as ips
      from user_device_interfaces i where i.user_id = $1 and i.router_id = $2 and (i.mac = any($3::macaddr[]) or i.id in (
        select holder.id from user_device_interfaces holder, unnest(holder.ips) as held(ip)
        where holder.user_id = $1 and holder.router_id = $2 and held.ip = any($4::inet[])))`,
    values: [owner, routerId, sightings.flatMap(({ mac }) => mac ?? []), sightings.flatMap(({ ips }) => ips)],
  })
  // When a device may be known by address only, all its interfaces are needed: to check that, and to move the
  // interfaces of a merged device.
  if (interfaces.some(({ mac }) => mac === null)) {
    const found = new Set(interfaces.map(({ id }) => id))
    const others = await tx.query<(typeof interfaces)[number]>({
      name: 'list interfaces of known devices',
      noPreparedPlan: true,
      text: `select i.id, i.device_id as "deviceId", i.mac::text as mac, array(select host(ip) from unnest(i.ips) as ip) as ips
        from user_device_interfaces i where i.user_id = $1 and i.device_id = any($2::uuid[])`,
      values: [owner, interfaces.map(({ deviceId }) => deviceId)],
    })
    interfaces.push(...others.filter(({ id }) => !found.has(id)))
  }
  const devices = await tx.query<
    Pick<KnownInterface, 'hostname' | 'lastSeen' | 'described'> & { id: string }
  >({
    name: 'list known devices',
    noPreparedPlan: true,
    text: `select d.id, d.hostname, d.last_seen as "lastSeen", (${IS_DESCRIBED}) as described
      from user_devices d where d.user_id = $1 and d.id = any($2::uuid[])`,
    values: [owner, [...new Set(interfaces.map(({ deviceId }) => deviceId))]],
  })
  const byId = new Map(devices.map(({ id, ...facts }) => [id, facts]))
  return interfaces.flatMap((entry) => {
    const device = byId.get(entry.deviceId)
    return device ? { ...entry, ...device } : []
  })
}

/** A lateral join of rows `n`, which have three prefixes, to the longest assigned prefix. */
const MANUFACTURER = `left join lateral (
    select organization from oui_prefixes where (prefix, bits) in ((n.p36, 36), (n.p28, 28), (n.p24, 24)) order by bits desc limit 1
  ) o on true`

/**
 * Three columns of prefixes. They are null for locally administered addresses, because those are not assigned
 * to anyone.
 */
function prefixColumns(devices: { mac: string | null }[]): (number | null)[][] {
  const prefixes = devices.map(({ mac }) => (mac === null || isRandomMac(mac) ? [] : prefixesOf(mac)))
  return [0, 1, 2].map((length) => prefixes.map((all) => all[length] ?? null))
}

async function addDevices(
  tx: Tx,
  router: ReportingRouter,
  { newDevices }: Changes,
  takenAt: Date,
): Promise<void> {
  if (newDevices.length === 0) return
  await tx.query({
    name: 'add devices',
    noPreparedPlan: true,
    text: `insert into user_devices (user_id, id, router_id, hostname, detected_manufacturer, approval, first_seen, last_seen)
      select $1, n.id, $2, n.hostname, o.organization, $3, $4, $4
      from unnest($5::uuid[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[]) as n(id, hostname, p36, p28, p24)
      ${MANUFACTURER}
      on conflict do nothing`,
    values: [
      ownerOf(tx),
      router.id,
      router.newDevices === 'hold' ? 'held' : 'approved',
      takenAt,
      newDevices.map(({ id }) => id),
      newDevices.map(({ hostname }) => hostname),
      ...prefixColumns(newDevices),
    ],
  })
}

async function addInterfaces(
  tx: Tx,
  router: ReportingRouter,
  { newInterfaces }: Changes,
  takenAt: Date,
): Promise<void> {
  if (newInterfaces.length === 0) return
  await tx.query({
    name: 'add interfaces',
    noPreparedPlan: true,
    text: `insert into user_device_interfaces (user_id, id, router_id, device_id, mac, ips, first_seen)
      select $1, n.id, $2, n.device_id, n.mac, n.ips::inet[], $3
      from unnest($4::uuid[], $5::uuid[], $6::macaddr[], $7::text[]) as n(id, device_id, mac, ips)
      on conflict do nothing`,
    values: [ownerOf(tx), router.id, takenAt, ...columnsOf(newInterfaces)],
  })
}

async function changeInterfaces(tx: Tx, { changedInterfaces }: Changes): Promise<void> {
  if (changedInterfaces.length === 0) return
  await tx.query({
    name: 'change interfaces',
    noPreparedPlan: true,
    text: `with c as materialized (select n.id, n.device_id, n.mac, n.ips::inet[] as ips
        from unnest($2::uuid[], $3::uuid[], $4::macaddr[], $5::text[]) as n(id, device_id, mac, ips))
      update user_device_interfaces i set device_id = c.device_id, mac = c.mac, ips = c.ips from c
      where i.user_id = $1 and i.id = c.id`,
    values: [ownerOf(tx), ...columnsOf(changedInterfaces)],
  })
}

async function changeDevices(tx: Tx, { seen, merged, identified }: Changes, takenAt: Date): Promise<void> {
  if (identified.length > 0) {
    await tx.query({
      name: 'identify devices',
      noPreparedPlan: true,
      text: `update user_devices d set detected_manufacturer = o.organization
        from unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[]) as n(id, p36, p28, p24) ${MANUFACTURER} where d.user_id = $1 and d.id = n.id`,
      values: [ownerOf(tx), identified.map(({ id }) => id), ...prefixColumns(identified)],
    })
  }
  if (seen.length > 0) {
    await tx.query({
      name: 'see devices',
      noPreparedPlan: true,
      text: `update user_devices d set last_seen = greatest(d.last_seen, $2), hostname = s.hostname
        from unnest($3::uuid[], $4::text[]) as s(id, hostname) where d.user_id = $1 and d.id = s.id`,
      values: [ownerOf(tx), takenAt, seen.map(({ id }) => id), seen.map(({ hostname }) => hostname)],
    })
  }
  if (merged.length > 0) {
    await tx.query({
      name: 'merge devices known by address',
      noPreparedPlan: true,
      text: `update user_devices d set merged_into = m.survivor
        from unnest($2::uuid[], $3::uuid[]) as m(id, survivor) where d.user_id = $1 and d.id = m.id`,
      values: [ownerOf(tx), merged.map(({ from }) => from), merged.map(({ into }) => into)],
    })
  }
}

/**
 * Arrays for `unnest`. Addresses are array literals, because PostgreSQL has no ragged two-dimensional arrays.
 */
const columnsOf = (rows: { id: string; deviceId: string; mac: string | null; ips: string[] }[]) => [
  rows.map(({ id }) => id),
  rows.map(({ deviceId }) => deviceId),
  rows.map(({ mac }) => mac),
  rows.map(({ ips }) => `{${ips.join(',')}}`),
]
