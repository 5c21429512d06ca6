import { normaliseEntry } from '../normalise.ts'
import type { Parsed } from '../sighting.ts'
import { isRecord, readEntries, unreadable } from './entries.ts'

/**
 * Parses the output of `ubus call luci-rpc getHostHints`: `{ "<MAC>": { ipaddrs: [], ip6addrs: [], name? }
 * }`. Up to OpenWrt 19.07 it has `ipv4` and `ipv6` with one address each. A hint without an address (a static
 * lease) is still a sighting of a device. Format: rpcd-mod-luci's luci.c.
 */
export function parseLuciHostHints(document: unknown): Parsed {
  if (!isRecord(document)) return unreadable()
  return readEntries(Object.entries(document), ([mac, hint]) => {
    if (!isRecord(hint)) return 'malformed'
    const { ipaddrs, ip6addrs, ipv4, ipv6, name } = hint
    return normaliseEntry({ mac, ips: [ipaddrs, ip6addrs, ipv4, ipv6].flat(), hostname: name })
  })
}
