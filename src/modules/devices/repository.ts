import { and, eq, isNull } from '../../database/drizzle.ts'
import { ownerOf, ownRows } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import { findPage, statementsBySort, TOTAL } from '../paging/page.ts'
import { lockRouter, lockRouterOf } from '../routers/repository.ts'
import type { ChangeDevice, DEVICE_SORTS, Device, ListDevices } from './schema.ts'
import { devices } from './table.ts'
import { USER_COLUMNS } from './user-fields.ts'

/** The values that may be stored: the fields of the schema with the rate in kbit/s. */
export type DeviceValues = Omit<ChangeDevice, 'rate'> & {
  rate?: number | null
  approval?: Device['approval']
}

/**
 * The columns of a device as the API shows them. `$2` is the number of minutes for which a device counts as
 * online after it was last seen.
 */
const DEVICE_COLUMNS = `d.id, d.router_id as "routerId", coalesce(d.device_name, d.hostname) as name, d.hostname,
  coalesce(d.manufacturer, d.detected_manufacturer) as manufacturer, d.last_seen > now() - make_interval(mins => $2::int) as online,
  ${USER_COLUMNS.map(({ column, shown }) => `d.${column} as "${shown}"`).join(', ')}, d.approval, d.first_seen as "firstSeen", d.last_seen as "lastSeen"`

/** The fields that a person edits, without the host name and manufacturer, which scans fill in. */
export const EDITED_FIELDS = USER_COLUMNS.map(({ shown }) => shown)

/**
 * The MACs, oldest first, and the addresses in their order. They are looked up only for the rows of the page.
 */
const INTERFACES = `left join lateral (
    select coalesce(array_agg(i.mac::text order by i.first_seen, i.mac) filter (where i.mac is not null), '{}') as macs,
      coalesce((array_agg(i.mac order by i.first_seen desc, i.mac desc) filter (where i.mac is not null))[1] & '02:00:00:00:00:00'
        = '02:00:00:00:00:00', false) as "randomMac"
    from user_device_interfaces i where i.user_id = $1 and i.device_id = p.id
  ) m on true
  left join lateral (
    select coalesce(array_agg(host(a.ip) order by a.ip), '{}') as ips from (
      select distinct unnest(i.ips) as ip from user_device_interfaces i where i.user_id = $1 and i.device_id = p.id
    ) a
  ) a on true`

const ORDER: Record<(typeof DEVICE_SORTS)[number], string> = {
  name: 'lower(name)',
  hostname: 'lower(hostname)',
  type: 'type',
  manufacturer: 'lower(manufacturer)',
  firstSeen: '"firstSeen"',
  lastSeen: '"lastSeen"',
}

const LISTS = statementsBySort(
  'list devices',
  ORDER,
  (order) => `select p.*, m.macs, m."randomMac", a.ips from (
    select f.*, ${TOTAL} from (select ${DEVICE_COLUMNS} from user_devices d
      where d.user_id = $1 and d.merged_into is null
        and ($3::uuid is null or d.router_id = $3) and ($4::text is null or d.device_type = $4) and ($5::uuid is null or d.group_id = $5) and ($10::text is null or d.approval = $10)
        and ($6::text is null or strpos(lower(concat_ws(' ', d.device_name, d.hostname, d.manufacturer, d.detected_manufacturer)), lower($6)) > 0
          or exists (select from user_device_interfaces i where i.user_id = $1 and i.device_id = d.id
            and (strpos(i.mac::text, lower(translate($6, '-', ':'))) > 0
              or exists (select from unnest(i.ips) as a(ip) where strpos(host(a.ip), lower($6)) > 0))))
    ) f where $7::boolean is null or f.online = $7
    order by ${order}, id limit $8 offset $9
  ) p ${INTERFACES} order by ${order}, id`,
)

export function listDevices(
  tx: Tx,
  { routerId, type, groupId, search, online, approval, sort = 'name', ...page }: ListDevices,
  onlineMinutes: number,
) {
  const filters = [routerId, type, groupId, search, online].map((filter) => filter ?? null)
  return findPage<Device>(page, ({ limit, offset }) =>
    tx.query({
      ...LISTS[sort],
      values: [ownerOf(tx), onlineMinutes, ...filters, limit, offset, approval ?? null],
    }),
  )
}

/** @returns undefined when there is no such device, or when it was merged into another */
export async function findDevice(tx: Tx, id: string, onlineMinutes: number): Promise<Device | undefined> {
  const [device] = await tx.query<Device>({
    name: 'find device',
    text: `select p.*, m.macs, m."randomMac", a.ips
      from (select ${DEVICE_COLUMNS} from user_devices d where d.user_id = $1 and d.id = $3 and d.merged_into is null) p ${INTERFACES}`,
    values: [ownerOf(tx), onlineMinutes, id],
  })
  return device
}

/** Locks the router of a device first, as a scan does, and then the device. */
export async function lockDevice(tx: Tx, id: string, onlineMinutes: number): Promise<Device | undefined> {
  if (!(await lockRouterOf(tx, { deviceId: id }))) return undefined
  await tx
    .select({ id: devices.id })
    .from(devices)
    .where(and(ownRows(tx, devices), eq(devices.id, id)))
    .for('no key update')
  return findDevice(tx, id, onlineMinutes)
}

/** The router that a device is on. */
export async function findRouterOf(tx: Tx, id: string): Promise<string | undefined> {
  const [device] = await tx
    .select({ routerId: devices.routerId })
    .from(devices)
    .where(and(ownRows(tx, devices), eq(devices.id, id), isNull(devices.mergedInto)))
  return device?.routerId
}

/** The devices with a MAC, at most one on each router of the owner. */
export function listDevicesByMac(
  tx: Tx,
  mac: string,
  routerId: string | undefined,
  onlineMinutes: number,
): Promise<Device[]> {
  return tx.query<Device>({
    name: 'list devices by mac',
    text: `select p.*, m.macs, m."randomMac", a.ips from (
        select ${DEVICE_COLUMNS} from user_devices d
        join user_device_interfaces found on found.user_id = $1 and found.device_id = d.id
        where d.user_id = $1 and found.mac = $3::macaddr and ($4::uuid is null or d.router_id = $4) and d.merged_into is null
      ) p ${INTERFACES}`,
    values: [ownerOf(tx), onlineMinutes, mac, routerId ?? null],
  })
}

/** @returns its router @throws SQLSTATE 23503 when the group is not on that router */
export async function changeDevice(tx: Tx, id: string, values: DeviceValues): Promise<string | undefined> {
  const [changed] = await tx
    .update(devices)
    .set(values)
    .where(and(ownRows(tx, devices), eq(devices.id, id), isNull(devices.mergedInto)))
    .returning({ routerId: devices.routerId })
  return changed?.routerId
}

/** @returns the router it was on */
export async function removeDevice(tx: Tx, id: string): Promise<string | undefined> {
  // Locks the router first, as a scan does. Otherwise the two could deadlock.
  if (!(await lockRouterOf(tx, { deviceId: id }))) return undefined
  const [removed] = await tx
    .delete(devices)
    .where(and(ownRows(tx, devices), eq(devices.id, id), isNull(devices.mergedInto)))
    .returning({ routerId: devices.routerId })
  return removed?.routerId
}

/** Deletes every device of a router. @returns how many, or undefined when there is no such router */
export async function clearDevices(tx: Tx, routerId: string): Promise<number | undefined> {
  if (!(await lockRouter(tx, routerId))) return undefined
  const [row] = await tx.query<{ removed: number }>({
    name: 'clear devices',
    text: `with gone as (delete from user_devices where user_id = $1 and router_id = $2 returning merged_into)
      select count(*) filter (where merged_into is null)::int as removed from gone`,
    values: [ownerOf(tx), routerId],
  })
  return row?.removed ?? 0
}
