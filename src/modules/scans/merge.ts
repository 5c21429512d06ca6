import type { Sighting } from './sighting.ts'

/**
 * A repeater that answers for a whole /24 has so many; what claims more is no device, and would be costly to
 * compare.
 */
export const MAX_ADDRESSES = 256

/**
 * Makes one sighting of all that are about the same device, so that no MAC and no address is left twice:
 *
 * - by MAC, with the addresses united and the first host name that is known;
 * - an address that several MACs claim belongs to the last of them, in the order given;
 * - sightings without a MAC join the one whose address they share, with all that they have; among themselves
 * they are one when they share
 *   an address.
 *
 * A device keeps 256 addresses at most, the first ones. The order is that of first appearance. Nearly linear:
 * addresses form a union-find forest whose roots are MACs or addresses.
 */
export function mergeSightings(sightings: Sighting[]): Sighting[] {
  const macs = new Set<string>()
  const parents = new Map<string, string>()
  for (const { mac, ips } of sightings) {
    if (mac === null) continue
    macs.add(mac)
    for (const ip of ips) parents.set(ip, mac)
  }

  function rootOf(node: string): string {
    let root = node
    for (let next = parents.get(root); next !== undefined; next = parents.get(root)) root = next
    for (let at = node; at !== root; ) {
      const next = parents.get(at) ?? root
      parents.set(at, root)
      at = next
    }
    return root
  }
  for (const { mac, ips } of sightings) {
    if (mac !== null) continue
    const roots = new Set(ips.map(rootOf))
    const [first] = roots
    const target = [...roots].find((root) => macs.has(root)) ?? first
    if (target === undefined) continue
    for (const root of roots) if (root !== target && !macs.has(root)) parents.set(root, target)
  }

  const merged = new Map<string, { mac: string | null; ips: Set<string>; hostname: string | null }>()
  for (const { mac, ips, hostname } of sightings) {
    const [first] = ips
    const key = mac ?? (first === undefined ? undefined : rootOf(first))
    if (key === undefined) continue
    const entry = merged.get(key) ?? { mac: macs.has(key) ? key : null, ips: new Set(), hostname: null }
    merged.set(key, entry)
    entry.hostname ??= hostname
    for (const ip of ips) if (rootOf(ip) === key) entry.ips.add(ip)
  }
  return Array.from(merged.values(), ({ ips, ...rest }) => ({
    ...rest,
    ips: [...ips].slice(0, MAX_ADDRESSES),
  }))
}
