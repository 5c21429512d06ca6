/**
 * Converts rows to the facts of each device at a moment: the devices that an entry, a block or a schedule
 * applies to, and the windows of the schedules. Pure.
 */
import { type Window, windowsWithin } from '../../network/windows.ts'
import type { Scope } from './document.ts'
import { type DeviceFacts, HORIZON_MS, type ScheduleFact } from './facts.ts'
import type { PolicyRows } from './repository.ts'

export function gatherDevices(rows: PolicyRows, at: Date): DeviceFacts[] {
  const survivors = new Map(rows.merged.map(({ id, into }) => [id, into]))
  /** Rows that refer to a merged device apply to its survivor. */
  const survivorOf = (id: string | null): string | null => {
    const into = id === null ? undefined : survivors.get(id)
    return into === undefined ? id : survivorOf(into)
  }
  const byDevice = <T extends { deviceId: string | null }>(all: T[]) =>
    Map.groupBy(all, ({ deviceId }) => survivorOf(deviceId))
  const byGroup = <T extends { groupId: string | null }>(all: T[]) =>
    Map.groupBy(all, ({ groupId }) => groupId)

  const ends = rows.blocks.flatMap(({ until }) => until ?? [])
  const schedules = rows.schedules.map((row) => ({
    ...row,
    windows: windowsFor(row, rows.router.timeZone, at, ends),
  }))
  const entries = {
    device: byDevice(rows.entries),
    mac: Map.groupBy(rows.entries, ({ mac }) => mac),
    ip: Map.groupBy(rows.entries, ({ ip }) => ip),
  }
  const blocks = {
    device: byDevice(rows.blocks),
    group: byGroup(rows.blocks),
    router: rows.blocks.filter((block) => !block.deviceId && !block.groupId),
  }
  const timed = { device: byDevice(schedules), group: byGroup(schedules) }
  const overrides = byDevice(rows.overrides)
  const interfaces = Map.groupBy(rows.interfaces, ({ deviceId }) => deviceId)

  const known = rows.devices.map((device): DeviceFacts => {
    const { id, groupId, isInfrastructure, approval, rate, groupRate } = device
    const own = interfaces.get(id) ?? []
    const macs = own.flatMap(({ mac }) => mac ?? [])
    const ips = [...new Set(own.flatMap((one) => one.ips))]
    const named = [
      ...(entries.device.get(id) ?? []),
      ...macs.flatMap((mac) => entries.mac.get(mac) ?? []),
      ...ips.flatMap((ip) => entries.ip.get(ip) ?? []),
    ]
    const ofGroup = <T>(all: Map<string | null, T[]>) => (groupId === null ? [] : (all.get(groupId) ?? []))
    return {
      ...{ id, macs, ips, isInfrastructure, approval, rate, groupRate },
      ...entriesOf(named),
      blocks: [
        ...(blocks.device.get(id) ?? []).map(scoped('device')),
        ...ofGroup(blocks.group).map(scoped('group')),
        ...blocks.router.map(scoped('router')),
      ],
      schedules: [
        ...(timed.device.get(id) ?? []).map(scoped('device')),
        ...ofGroup(timed.group).map(scoped('group')),
      ],
      overrides: overrides.get(id) ?? [],
    }
  })
  return [...known, ...unseenListEntries(rows, known, blocks.router.map(scoped('router')))]
}

/**
 * A listed MAC that was never seen has its own policy entry, so that its decision applies as soon as it
 * appears.
 */
function unseenListEntries(
  { entries, router }: PolicyRows,
  known: DeviceFacts[],
  blocks: DeviceFacts['blocks'],
): DeviceFacts[] {
  const seen = new Set(known.flatMap(({ macs }) => macs))
  const unseen = Map.groupBy(entries, ({ mac }) => mac)
  return [...unseen].flatMap(([mac, named]) =>
    mac === null || seen.has(mac)
      ? []
      : {
          ...{ id: null, macs: [mac], ips: [], isInfrastructure: false, rate: null, groupRate: null },
          approval: router.newDevices === 'hold' ? 'held' : 'approved',
          ...entriesOf(named),
          ...{ blocks, schedules: [], overrides: [] },
        },
  )
}

function entriesOf(named: PolicyRows['entries']): Pick<DeviceFacts, 'whitelistEntries' | 'blacklistEntries'> {
  const idsOf = (which: string) =>
    [...new Set(named.filter(({ list }) => list === which).map(({ id }) => id))].sort()
  return { whitelistEntries: idsOf('whitelist'), blacklistEntries: idsOf('blacklist') }
}

const scoped =
  (scope: Scope) =>
  <T extends object>(row: T): T & { scope: Scope } => ({ ...row, scope })

/** The windows around now, and around each later end of a pause, because a schedule may take effect there. */
function windowsFor(
  { days, start, end }: PolicyRows['schedules'][number],
  timeZone: string,
  at: Date,
  ends: Date[],
): ScheduleFact['windows'] {
  const horizon = new Date(at.getTime() + HORIZON_MS)
  const spans: Window[] = [
    { from: at, to: horizon },
    ...ends.filter((time) => time > horizon).map((from) => ({ from, to: new Date(from.getTime() + 1) })),
  ]
  return spans.flatMap((span) => windowsWithin({ days, start, end, timeZone }, span))
}
