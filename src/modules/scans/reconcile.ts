/**
 * What a scan changes, decided in one pure place: from what is known of a router's devices and what the scan
 * saw, to the rows to write.
 *
 * - A device is its MAC; an address is held by one interface of a router at a time, and the newest scan that
 * names it says by which.
 * - A scan that is older than what is known of a device moves nothing of it.
 * - The newest scan that names addresses of a family (IPv4, IPv6) says which ones the interface has in that
 * family.
 * - A device known by address only takes on the MAC that a scan tells for the address; if that MAC belongs to
 * a device already, the two
 *   become one: the one that its user described goes on, else the one with the MAC; described both, they stay
 * two.
 */
import { isIPv4 } from 'node:net'
import { MAX_ADDRESSES } from './merge.ts'
import type { Sighting } from './sighting.ts'

/**
 * An interface as it is stored, with what matters of its device. `described`: the user has typed something
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
  /** Known devices that the scan saw and that nothing newer is known of, with the host name they have now. */
  seen: SeenDevice[]
  merged: { from: string; into: string }[]
  /** Known devices whose first MAC the scan told. */
  identified: { id: string; mac: string }[]
  /** Distinct devices of the scan. */
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
 * Sightings are taken in an order of their own, so that the one in which a router prints them does not
 * matter: first each MAC finds its device, then it gets its addresses, and what is seen without a MAC belongs
 * to whoever has the address by then.
 * @param sightings merged: no MAC and no address twice
 * @param newId makes the ids of new rows
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
   * Of devices that turn out to be one, the described one goes on, else the first; a second that is described
   * stays another.
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
        // What was known by address is known by the interface that goes on.
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
   * The interface of a MAC; a device known by one of its addresses only turns out to be its device, or one
   * with it.
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

  /** Who was seen without a MAC: whoever holds the addresses. Several known by address only are one. */
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
   * Gives the interface the addresses that the scan saw on it, and takes them from whoever had them, unless a
   * newer scan said so.
   */
  function applySighting(entry: Interface, { mac, ips, hostname }: Sighting): void {
    inScan.add(entry.device)
    if (!isCurrent(entry.device)) return
    entry.device.hostname = hostname ?? entry.device.hostname
    const won = ips.filter((ip) => {
      const holder = holders.get(ip)
      return holder === undefined || holder === entry || isCurrent(holder.device)
    })
    // A sighting without a MAC knows one address of a device, not all of them.
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
