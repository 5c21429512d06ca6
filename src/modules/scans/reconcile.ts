/**
 * Computes what a scan changes: from the known devices of a router and the sightings to the rows to write.
 * Pure.
 *
 * - A MAC identifies a device. An address belongs to one interface of a router at a time, and the newest scan
 *   with the address decides which.
 * - A scan changes nothing of a device about which newer data is known.
 * - The newest scan with addresses of a family (IPv4, IPv6) replaces all addresses of the interface in that
 *   family.
 * - A device known by address only gets the MAC that a scan reports for the address. If that MAC already
 *   belongs to a device, the two are merged. The survivor is the one that the user described, else the one
 *   with the MAC. If the user described both, they remain two.
 */
import { isIPv4 } from 'node:net'
import { MAX_ADDRESSES } from './merge.ts'
import type { Sighting } from './sighting.ts'

/**
 * A stored interface with the relevant fields of its device. `described`: the user has entered something
 * about the device.
 */
export type KnownInterface = {
  id: string
  deviceId: string
  mac: string | null
  ips: string[]
  hostname: string | null
  lastSeen: Date
  described: boolean
}

type NewDevice = { id: string; hostname: string | null; mac: string | null }
type InterfaceRow = { id: string; deviceId: string; mac: string | null; ips: string[] }
type SeenDevice = { id: string; hostname: string | null }
export type Changes = {
  newDevices: NewDevice[]
  newInterfaces: InterfaceRow[]
  changedInterfaces: InterfaceRow[]
  /** Known devices in the scan about which nothing newer is known, with their current host names. */
  seen: SeenDevice[]
  merged: { from: string; into: string }[]
  /** Known devices whose first MAC the scan reported. */
  identified: { id: string; mac: string }[]
  /** The numbers of distinct devices in the scan. */
  counts: { created: number; updated: number; unchanged: number; total: number }
}

type KnownDevice = {
  id: string
  hostname: string | null
  lastSeen: Date
  described: boolean
  stored: { hostname: string | null } | undefined
}
type Interface = {
  id: string
  device: KnownDevice
  mac: string | null
  ips: Set<string>
  stored: InterfaceRow | undefined
}

/**
 * Sightings are processed in a fixed order, so that the order of a router's output does not matter. First
 * each MAC is matched to its device, then the interfaces get their addresses. Last, each sighting without a
 * MAC is matched to the current holder of its address.
 * @param sightings merged: no MAC and no address twice
 * @param newId generates the ids of new rows
 */
export function reconcile(
  known: KnownInterface[],
  sightings: Sighting[],
  takenAt: Date,
  newId: () => string,
): Changes {
  const devices = new Map<string, KnownDevice>()
  const byMac = new Map<string, Interface>()
  const holders = new Map<string, Interface>()
  const interfaces: Interface[] = []
  const interfacesOf = new Map<KnownDevice, Set<Interface>>()
  const inScan = new Set<KnownDevice>()
  const newDevices: NewDevice[] = []
  const merged: Changes['merged'] = []
  const identified: Changes['identified'] = []

  function register(entry: Interface): Interface {
    interfaces.push(entry)
    interfacesOf.set(entry.device, (interfacesOf.get(entry.device) ?? new Set()).add(entry))
    if (entry.mac !== null) byMac.set(entry.mac, entry)
    for (const ip of entry.ips) holders.set(ip, entry)
    return entry
  }
  for (const { id, deviceId, mac, ips, hostname, ...facts } of known) {
    const device = devices.get(deviceId) ?? { id: deviceId, hostname, ...facts, stored: { hostname } }
    devices.set(deviceId, device)
    register({ id, device, mac, ips: new Set(ips), stored: { id, deviceId, mac, ips } })
  }
  const withMac = new Set([...byMac.values()].map(({ device }) => device))
  const isCurrent = ({ lastSeen }: KnownDevice) => lastSeen.getTime() <= takenAt.getTime()
  const isNameless = ({ device }: Interface) => !withMac.has(device)
  const distinct = <T>(items: (T | undefined)[]) => [...new Set(items)].filter((item) => item !== undefined)
  const holdersOf = (ips: string[]) => distinct([...ips].sort().map((ip) => holders.get(ip)))

  function add({ mac, hostname }: Sighting): Interface {
    const device: KnownDevice = {
      id: newId(),
      hostname,
      lastSeen: takenAt,
      described: false,
      stored: undefined,
    }
    devices.set(device.id, device)
    newDevices.push({ id: device.id, hostname, mac })
    if (mac !== null) withMac.add(device)
    return register({ id: newId(), device, mac, ips: new Set(), stored: undefined })
  }

  /**
   * Merges devices that are the same. The described one survives, else the first. A second described one
   * remains separate.
   */
  function mergeDevices(candidates: KnownDevice[], into: Interface): void {
    const survivor = candidates.find(({ described }) => described) ?? into.device
    const others = candidates.filter((device) => device !== survivor && !device.described)
    for (const other of others) {
      survivor.hostname ??= other.hostname
      merged.push({ from: other.id, into: survivor.id })
    }
    for (const device of [survivor, ...others]) {
      for (const entry of interfacesOf.get(device) ?? []) {
        if (device !== survivor) {
          entry.device = survivor
          interfacesOf.get(survivor)?.add(entry)
        }
        // The surviving interface takes over the addresses of interfaces without a MAC.
        if (entry !== into && entry.mac === null) for (const ip of entry.ips) assignAddress(into, ip, entry)
      }
    }
    if (into.mac !== null && !withMac.has(survivor)) {
      withMac.add(survivor)
      identified.push({ id: survivor.id, mac: into.mac })
    }
  }

  function assignAddress(entry: Interface, ip: string, from: Interface | undefined): void {
    from?.ips.delete(ip)
    entry.ips.add(ip)
    holders.set(ip, entry)
  }

  /**
   * Finds the interface of a MAC. A device known only by one of the addresses becomes the device of the MAC,
   * or is merged with it.
   */
  function identify(mac: string, sighting: Sighting): Interface {
    const entry = byMac.get(mac)
    const waiting = holdersOf(sighting.ips).filter((holder) => isNameless(holder) && isCurrent(holder.device))
    if (entry && !isCurrent(entry.device)) return entry
    if (!entry && waiting.length === 0) return add(sighting)
    const into = entry ?? waiting.find(({ device }) => device.described) ?? (waiting[0] as Interface)
    into.mac = mac
    byMac.set(mac, into)
    mergeDevices(distinct([entry?.device, ...waiting.map(({ device }) => device)]), into)
    return into
  }

  /**
   * Matches a sighting without a MAC to the holder of its addresses. Several devices known by address only
   * are merged.
   */
  function matchByAddress(sighting: Sighting): Interface {
    const found = holdersOf(sighting.ips)
    const current = found.filter(({ device }) => isCurrent(device))
    const into =
      current.find((holder) => !isNameless(holder)) ??
      current.find(({ device }) => device.described) ??
      current[0]
    if (!into) return found[0] ?? add(sighting)
    mergeDevices(distinct([into.device, ...current.filter(isNameless).map(({ device }) => device)]), into)
    return into
  }

  /**
   * Assigns the sighted addresses to the interface and removes them from their previous holders, unless a
   * newer scan assigned them.
   */
  function applySighting(entry: Interface, { mac, ips, hostname }: Sighting): void {
    inScan.add(entry.device)
    if (!isCurrent(entry.device)) return
    entry.device.hostname = hostname ?? entry.device.hostname
    const won = ips.filter((ip) => {
      const holder = holders.get(ip)
      return holder === undefined || holder === entry || isCurrent(holder.device)
    })
    // A sighting without a MAC contains one address of a device, not all of them.
    const told = mac === null ? new Set() : new Set(ips.map(isIPv4))
    const kept = [...entry.ips].filter((ip) => !told.has(isIPv4(ip)))
    const now = new Set([...won, ...kept].slice(0, MAX_ADDRESSES))
    for (const ip of entry.ips) if (!now.has(ip)) holders.delete(ip)
    for (const ip of now) holders.get(ip)?.ips.delete(ip)
    entry.ips = now
    for (const ip of now) holders.set(ip, entry)
  }

  const seenByMac = sightings
    .flatMap((sighting) => (sighting.mac === null ? [] : { ...sighting, mac: sighting.mac }))
    .sort((a, b) => compare(a.mac, b.mac))
  const seenByAddress = sightings
    .filter(({ mac }) => mac === null)
    .sort((a, b) => compare([...a.ips].sort().join(), [...b.ips].sort().join()))
  const found = seenByMac.map((sighting) => ({ sighting, entry: identify(sighting.mac, sighting) }))
  for (const { sighting, entry } of found) applySighting(entry, sighting)
  for (const sighting of seenByAddress) applySighting(matchByAddress(sighting), sighting)

  const gone = new Set(merged.map(({ from }) => from))
  const present = [...inScan].filter(({ id }) => !gone.has(id))
  const changedInterfaces = interfaces.filter(
    ({ stored, device, mac, ips }) =>
      stored && (stored.deviceId !== device.id || stored.mac !== mac || !sameMembers(ips, stored.ips)),
  )
  const altered = new Set(changedInterfaces.map(({ device }) => device))
  const created = present.filter(({ stored }) => !stored).length
  const updated = present.filter(
    (device) => device.stored && (altered.has(device) || device.stored.hostname !== device.hostname),
  ).length
  const rowOf = ({ id, device, mac, ips }: Interface): InterfaceRow => ({
    id,
    deviceId: device.id,
    mac,
    ips: [...ips],
  })
  return {
    newDevices: newDevices.map((device) => ({
      ...device,
      hostname: devices.get(device.id)?.hostname ?? null,
    })),
    newInterfaces: interfaces.filter(({ stored }) => !stored).map(rowOf),
    changedInterfaces: changedInterfaces.map(rowOf),
    seen: present
      .filter((device) => device.stored && isCurrent(device))
      .map(({ id, hostname }) => ({ id, hostname })),
    merged,
    identified,
    counts: { created, updated, unchanged: present.length - created - updated, total: present.length },
  }
}

const compare = (a: string, b: string) => Number(a > b) - Number(a < b)
const sameMembers = (a: Set<string>, b: string[]) => a.size === b.length && b.every((member) => a.has(member))
