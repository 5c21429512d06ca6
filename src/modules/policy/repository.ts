import { ownerOf } from '../../rls/mine.ts'
import type { Tx } from '../../rls/session.ts'
import type { Day } from '../schedules/windows.ts'
import type { RouterFacts } from './facts.ts'

/** The rows that decisions rest on, as they are stored; `gather` makes facts of them. */
export type PolicyRows = {
  router: RouterFacts & { timeZone: string; now: Date }
  devices: DeviceRow[]
  interfaces: { deviceId: string; mac: string | null; ips: string[] }[]
  merged: { id: string; into: string }[]
  entries: { id: string; list: 'whitelist' | 'blacklist'; deviceId: string | null; mac: string | null; ip: string | null }[]
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

/** Everything about one router, in one flight. @returns undefined when there is no such router */
export async function findPolicyRows(tx: Tx, routerId: string): Promise<PolicyRows | undefined> {
  const list = <Row>(name: string, text: string) =>
    tx.query<Row>({ name: `policy ${name}`, planAnew: true, text, values: [ownerOf(tx), routerId] })
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
  return routers[0] && { router: routers[0], devices, interfaces, merged, entries, blocks, schedules, overrides }
}

/** What the agent says it enforces, or why it cannot. */
export async function noteApplied(tx: Tx, routerId: string, revision: string, error: string | null): Promise<void> {
  await tx.query({
    name: 'note applied policy',
    text: 'update user_routers set applied_revision = $3, applied_at = now(), agent_error = $4 where user_id = $1 and id = $2',
    values: [ownerOf(tx), routerId, revision, error],
  })
}

const ROUTER = `select id, host(ip) as ip, mode, action, limit_rate as "limitRate", full_rate as "fullRate", new_devices as "newDevices",
  time_zone as "timeZone", now() as now from user_routers where user_id = $1 and id = $2`

const DEVICES = `select d.id, d.group_id as "groupId", g.rate as "groupRate", d.rate, d.is_infrastructure as "isInfrastructure", d.approval
  from user_devices d left join user_device_groups g on g.user_id = $1 and g.id = d.group_id
  where d.user_id = $1 and d.router_id = $2 and d.merged_into is null`

// On their own and not joined to their devices: thousands of rows that statistics do not know yet are no case for the planner.
const INTERFACES = `select device_id as "deviceId", mac::text as mac, array(select host(ip) from unnest(ips) as ip) as ips
  from user_device_interfaces where user_id = $1 and router_id = $2`

const MERGED = 'select id, merged_into as into from user_devices where user_id = $1 and router_id = $2 and merged_into is not null'

const ENTRIES = `select id, 'whitelist' as list, device_id as "deviceId", mac::text as mac, host(ip) as ip from user_whitelists where user_id = $1 and router_id = $2
  union all select id, 'blacklist', device_id, mac::text, host(ip) from user_blacklists where user_id = $1 and router_id = $2`

const BLOCKS = `select id, block_type as type, device_id as "deviceId", group_id as "groupId", until, reason from user_blocked_devices
  where user_id = $1 and router_id = $2 and unblocked_at is null and (until is null or until > now())`

const SCHEDULES = `select id, device_id as "deviceId", group_id as "groupId", schedule_kind as kind, days, to_char(start_time, 'HH24:MI') as start,
  to_char(end_time, 'HH24:MI') as end from user_schedules where user_id = $1 and router_id = $2 and enabled`

const OVERRIDES = `select id, device_id as "deviceId", decision, until from user_schedule_overrides where user_id = $1 and router_id = $2 and until > now()`
