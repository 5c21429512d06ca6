import { normaliseEntry } from '../normalise.ts'
import type { Parsed } from '../sighting.ts'
import { isRecord, readEntries, unreadable } from './entries.ts'

/**
 * What `ubus call luci-rpc getHostHints` prints: `{ "<MAC>": { ipaddrs: [], ip6addrs: [], name? } }`, until
 * OpenWrt 19.07 with `ipv4` and
 * `ipv6`, one address each. A hint without an address (a static lease) still tells of a device. Format:
 * rpcd-mod-luci's luci.c.
 */
export function parseLuciHostHints(document: unknown): Parsed {
  if (!isRecord(document)) return unreadable()
  return readEntries(Object.entries(document), ([mac, hint]) => {
    if (!isRecord(hint)) return 'malformed'
    const { ipaddrs, ip6addrs, ipv4, ipv6, name } = hint
    return normaliseEntry({ mac, ips: [ipaddrs, ip6addrs, ipv4, ipv6].flat(), hostname: name })
  })
}
