import { normaliseRow } from '../normalise.ts'
import type { Parsed } from '../sighting.ts'
import { isRecord, readEntries, unreadable } from './entries.ts'

/**
 * Parses the output of `ubus call dhcp ipv4leases`: `{ device: { "<interface>": { leases: [{ mac, hostname,
 * address, valid, flags }] } } }`. The MAC has 12 digits; the host name is `""` when there is none. odhcpd
 * lists no expired leases, so `valid` (the remaining seconds, -1 for unlimited) is not needed. A
 * `broken-hostname` is invalid in DNS, but readable for people. Format: `handle_dhcpv4_leases` in odhcpd's
 * ubus.c.
 */
export function parseOdhcpdLeases(document: unknown): Parsed {
  if (!isRecord(document) || !isRecord(document.device)) return unreadable()
  return readEntries(Object.values(document.device).flatMap(leasesOf), (lease) => {
    if (!isRecord(lease)) return 'malformed'
    return normaliseRow({ mac: lease.mac, ip: lease.address, hostname: lease.hostname })
  })
}

/** An interface without a list of leases counts as one malformed entry. */
const leasesOf = (link: unknown): unknown[] =>
  isRecord(link) && Array.isArray(link.leases) ? link.leases : [undefined]
