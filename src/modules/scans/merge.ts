import type { Sighting } from './sighting.ts'

/**
 * A repeater that answers for a whole /24 has this many. A device with more addresses is not real, and would
 * be costly to compare.
 */
export const MAX_ADDRESSES = 256

/**
 * Merges all sightings of the same device, so that no MAC and no address occurs twice:
 * - Sightings with the same MAC become one, with all their addresses and the first known host name.
 * - An address that several MACs claim belongs to the last of them, in the given order.
 * - A sighting without a MAC joins the one that shares its address, with everything it contains. Sightings
 *   without a MAC become one when they share an address.
 *
 * A device keeps at most its first 256 addresses. The result is in the order of first occurrence. The runtime
 * is nearly linear: the addresses form a union-find forest whose roots are MACs or addresses.
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
