/**
 * What a scan changes, decided in one pure place: from what is known of a router's devices and what the scan saw, to the rows to write.
 *
 * - A device is its MAC; an address is held by one interface of a router at a time, and the newest scan that names it says by which.
 * - A scan that is older than what is known of a device moves nothing of it.
 * - The newest scan that names addresses of a family (IPv4, IPv6) says which ones the interface has in that family.
 * - A device known by address only takes on the MAC that a scan tells for the address; if that MAC belongs to a device already, the two
 *   become one: the one that its user described goes on, else the one with the MAC; described both, they stay two.
 */
import { isIPv4 } from 'node:net'
import type { Sighting } from './sighting.ts'

/** An interface as it is stored, with what matters of its device. `described`: the user has typed something about the device. */
export type KnownInterface = {
  id: string
  deviceId: string
  mac: string | null
  ips: string[]
  hostname: string | null
  lastSeen: Date
  described: boolean
}

export type NewDevice = { id: string; hostname: string | null; mac: string | null }
export type InterfaceRow = { id: string; deviceId: string; mac: string | null; ips: string[] }
export type SeenDevice = { id: string; hostname: string | null }
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

type Device = {
  id: string
  hostname: string | null
  lastSeen: Date
  described: boolean
  state: 'created' | 'updated' | 'unchanged' | undefined
}
type Interface = { id: string; device: Device; mac: string | null; ips: Set<string>; stored: InterfaceRow | undefined }

/**
 * @param sightings merged: no MAC and no address twice
 * @param newId makes the ids of new rows
 */
export function reconcile(known: KnownInterface[], sightings: Sighting[], takenAt: Date, newId: () => string): Changes {
  const devices = new Map<string, Device>()
  const byMac = new Map<string, Interface>()
  const holders = new Map<string, Interface>()
  const interfaces: Interface[] = []
  const merged: Changes['merged'] = []
  const newDevices: NewDevice[] = []
  const identified: Changes['identified'] = []

  for (const { id, deviceId, mac, ips, ...facts } of known) {
    const device = devices.get(deviceId) ?? { id: deviceId, ...facts, state: undefined }
    devices.set(deviceId, device)
    register({ id, device, mac, ips: new Set(ips), stored: { id, deviceId, mac, ips } })
  }

  function register(entry: Interface): void {
    interfaces.push(entry)
    if (entry.mac !== null) byMac.set(entry.mac, entry)
    for (const ip of entry.ips) holders.set(ip, entry)
  }
  const isCurrent = (device: Device) => device.lastSeen.getTime() <= takenAt.getTime()
  const touch = (device: Device) => {
    device.state ??= 'unchanged'
  }
  const alter = (device: Device) => {
    if (device.state !== 'created') device.state = 'updated'
  }

  function add({ mac, hostname }: Sighting): Interface {
    const device: Device = { id: newId(), hostname, lastSeen: takenAt, described: false, state: 'created' }
    devices.set(device.id, device)
    newDevices.push({ id: device.id, hostname, mac })
    const entry: Interface = { id: newId(), device, mac, ips: new Set(), stored: undefined }
    register(entry)
    return entry
  }

  /** The interface without a MAC that holds one of the addresses: a device known by address only, waiting for its MAC. */
  const nameless = (ips: string[]) => ips.map((ip) => holders.get(ip)).find((holder) => holder?.mac === null && isCurrent(holder.device))

  function find({ mac, ips }: Sighting): Interface | undefined {
    if (mac === null) return ips.map((ip) => holders.get(ip)).find((holder) => holder !== undefined)
    const entry = byMac.get(mac)
    const waiting = nameless(ips)
    if (!waiting) return entry
    if (!entry) {
      waiting.mac = mac
      identified.push({ id: waiting.device.id, mac })
      byMac.set(mac, waiting)
      alter(waiting.device)
      return waiting
    }
    // Where the user has said something of both, they stay two: only the address moves.
    const isUnsaid = !waiting.device.described || !entry.device.described
    if (waiting.device !== entry.device && isCurrent(entry.device) && isUnsaid) unite(waiting.device, entry.device)
    return entry
  }

  /** Two rows turn out to be one device; interfaces, addresses and the newest sighting go to the one that goes on. */
  function unite(nameOnly: Device, withMac: Device): void {
    const [survivor, other] = nameOnly.described && !withMac.described ? [nameOnly, withMac] : [withMac, nameOnly]
    survivor.hostname ??= other.hostname
    if (other.state === 'created')
      newDevices.splice(
        newDevices.findIndex(({ id }) => id === other.id),
        1,
      )
    else merged.push({ from: other.id, into: survivor.id })
    for (const entry of interfaces) if (entry.device === other) entry.device = survivor
    other.state = undefined
    alter(survivor)
  }

  for (const sighting of sightings) {
    const entry = find(sighting) ?? add(sighting)
    const { device } = entry
    touch(device)
    if (!isCurrent(device)) continue
    if (sighting.hostname !== null && sighting.hostname !== device.hostname) {
      device.hostname = sighting.hostname
      alter(device)
    }
    claim(entry, sighting)
  }

  /** Gives the interface the addresses that the scan saw on it, and takes them from whoever had them, unless a newer scan said so. */
  function claim(entry: Interface, { mac, ips }: Sighting): void {
    const won = ips.filter((ip) => {
      const holder = holders.get(ip)
      return holder === undefined || holder === entry || isCurrent(holder.device)
    })
    // A sighting without a MAC knows one address of a device, not all of them.
    const told = mac === null ? new Set() : new Set(ips.map(isIPv4))
    const now = new Set([...[...entry.ips].filter((ip) => !told.has(isIPv4(ip))), ...won])
    if (!sameMembers(now, entry.ips)) alter(entry.device)
    for (const ip of entry.ips) if (holders.get(ip) === entry) holders.delete(ip)
    for (const ip of now) {
      holders.get(ip)?.ips.delete(ip)
      holders.set(ip, entry)
    }
    entry.ips = now
  }

  // A device known by address only that was united with another leaves an interface without MAC and addresses behind: it goes on empty.
  const changedInterfaces = interfaces.filter(
    ({ stored, device, mac, ips }) => stored && (stored.deviceId !== device.id || stored.mac !== mac || !sameMembers(ips, stored.ips)),
  )
  const inScan = [...devices.values()].filter(({ state }) => state !== undefined)
  const count = (state: Device['state']) => inScan.filter((device) => device.state === state).length
  const rowOf = ({ id, device, mac, ips }: Interface): InterfaceRow => ({ id, deviceId: device.id, mac, ips: [...ips] })
  return {
    newDevices: newDevices.map((device) => ({ ...device, hostname: devices.get(device.id)?.hostname ?? null })),
    newInterfaces: interfaces.filter(({ stored }) => !stored).map(rowOf),
    changedInterfaces: changedInterfaces.map(rowOf),
    seen: inScan.filter((device) => device.state !== 'created' && isCurrent(device)).map(({ id, hostname }) => ({ id, hostname })),
    merged,
    identified,
    counts: { created: count('created'), updated: count('updated'), unchanged: count('unchanged'), total: inScan.length },
  }
}

const sameMembers = (a: Set<string>, b: Iterable<string>) => a.size === new Set(b).size && a.isSupersetOf(new Set(b))
