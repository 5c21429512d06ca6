import type { Day } from '../../network/windows.ts'
import { ownerOf } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import type { RouterFacts } from './facts.ts'

/** The stored rows behind decisions; `gather` converts them to facts. */
export type PolicyRows = {
  router: RouterFacts & { timeZone: string; now: Date }
  devices: DeviceRow[]
  interfaces: { deviceId: string; mac: string | null; ips: string[] }[]
  merged: { id: string; into: string }[]
  entries: {
    id: string
    list: 'whitelist' | 'blacklist'
    deviceId: string | null
    mac: string | null
    ip: string | null
  }[]
  blocks: {
    id: string
    type: 'manual' | 'pause'
    deviceId: string | null
    groupId: string | null
    until: Date | null
    reason: string | null
  }[]
  schedules: ScheduleRow[]
  overrides: { id: string; deviceId: string; decision: 'allow' | 'block'; until: Date }[]
}
type DeviceRow = {
  id: string
  groupId: string | null
  groupRate: number | null
  rate: number | null
  isInfrastructure: boolean
  approval: 'approved' | 'held' | 'dismissed'
}
type ScheduleRow = {
  id: string
  deviceId: string | null
  groupId: string | null
  kind: 'blocked-during' | 'allowed-only-during'
  days: Day[]
  start: string
  end: string
}

/**
 * Reads all rows for several routers in one round trip, with as many statements as for one router.
 * @returns the rows by router id; ids without a router are absent
 */
export async function findPolicyRows(tx: Tx, routerIds: string[]): Promise<Map<string, PolicyRows>> {
  const list = async <Row>(name: string, text: string) => {
    const query = { name: `policy ${name}`, noPreparedPlan: true, text, values: [ownerOf(tx), routerIds] }
    return Map.groupBy(await tx.query<Row & { routerId: string }>(query), ({ routerId }) => routerId)
  }
  const [routers, devices, interfaces, merged, entries, blocks, schedules, overrides] = await Promise.all([
    list<PolicyRows['router']>('router', ROUTER),
    list<DeviceRow>('devices', DEVICES),
    list<PolicyRows['interfaces'][number]>('interfaces', INTERFACES),
    list<PolicyRows['merged'][number]>('merged', MERGED),
    list<PolicyRows['entries'][number]>('entries', ENTRIES),
    list<PolicyRows['blocks'][number]>('blocks', BLOCKS),
    list<ScheduleRow>('schedules', SCHEDULES),
    list<PolicyRows['overrides'][number]>('overrides', OVERRIDES),
  ])
  const rowsOf = (id: string, router: PolicyRows['router']): PolicyRows => ({
    router,
    devices: devices.get(id) ?? [],
    interfaces: interfaces.get(id) ?? [],
    merged: merged.get(id) ?? [],
    entries: entries.get(id) ?? [],
    blocks: blocks.get(id) ?? [],
    schedules: schedules.get(id) ?? [],
    overrides: overrides.get(id) ?? [],
  })
  return new Map([...routers].flatMap(([id, [router]]) => (router ? [[id, rowsOf(id, router)]] : [])))
}

/** Stores the revision that the agent reports as enforced, or why it cannot enforce the policy. */
export async function noteApplied(
  tx: Tx,
  routerId: string,
  revision: string,
  error: string | null,
): Promise<void> {
  await tx.query({
    name: 'note applied policy',
    text: 'update user_routers set applied_revision = $3, applied_at = now(), agent_error = $4 where user_id = $1 and id = $2',
    values: [ownerOf(tx), routerId, revision, error],
  })
}

const ROUTER = `select id, id as "routerId", host(ip) as ip, mode, action, limit_rate as "limitRate", full_rate as "fullRate", new_devices as "newDevices",
  time_zone as "timeZone", now() as now from user_routers where user_id = $1 and id = any($2::uuid[])`

const DEVICES = `select d.router_id as "routerId", d.id, d.group_id as "groupId", g.rate as "groupRate", d.rate, d.is_infrastructure as "isInfrastructure", d.approval
  from user_devices d left join user_device_groups g on g.user_id = $1 and g.id = d.group_id
  where d.user_id = $1 and d.router_id = any($2::uuid[]) and d.merged_into is null`

// A separate statement instead of a join to the devices: the planner chooses badly for thousands of rows
// without statistics.
const INTERFACES = `select router_id as "routerId", device_id as "deviceId", mac::text as mac, array(select host(ip) from unnest(ips) as ip) as ips
  from user_device_interfaces where user_id = $1 and router_id = any($2::uuid[])`

const MERGED = `select router_id as "routerId", id, merged_into as into from user_devices where user_id = $1 and router_id = any($2::uuid[]) and merged_into is not null`

const ENTRIES = `select router_id as "routerId", id, 'whitelist' as list, device_id as "deviceId", mac::text as mac, host(ip) as ip from user_whitelists where user_id = $1 and router_id = any($2::uuid[])
  union all select router_id, id, 'blacklist', device_id, mac::text, host(ip) from user_blacklists where user_id = $1 and router_id = any($2::uuid[])`

const BLOCKS = `select router_id as "routerId", id, block_type as type, device_id as "deviceId", group_id as "groupId", until, reason from user_blocked_devices
  where user_id = $1 and router_id = any($2::uuid[]) and unblocked_at is null and (until is null or until > now())`

const SCHEDULES = `select router_id as "routerId", id, device_id as "deviceId", group_id as "groupId", schedule_kind as kind, days, to_char(start_time, 'HH24:MI') as start,
  to_char(end_time, 'HH24:MI') as end from user_schedules where user_id = $1 and router_id = any($2::uuid[]) and enabled`

const OVERRIDES = `select router_id as "routerId", id, device_id as "deviceId", decision, until from user_schedule_overrides where user_id = $1 and router_id = any($2::uuid[]) and until > now()`
