import { normaliseRow } from '../normalise.ts'
import type { Parsed } from '../sighting.ts'
import { isRecord, readEntries, unreadable } from './entries.ts'

/**
 * What `ubus call dhcp ipv4leases` prints: `{ device: { "<interface>": { leases: [{ mac, hostname, address,
 * valid, flags }] } } }`. The MAC is 12 digits, the host name `""` when there is none. odhcpd lists no lease
 * that has ended, so `valid` (the seconds left, -1 for ever) tells nothing more. A `broken-hostname` is one
 * that DNS cannot hold; people can read it all the same. Format:
 * `handle_dhcpv4_leases` in
 * odhcpd's ubus.c.
 */
export function parseOdhcpdLeases(document: unknown): Parsed {
  if (!isRecord(document) || !isRecord(document.device)) return unreadable()
  return readEntries(Object.values(document.device).flatMap(leasesOf), (lease) => {
    if (!isRecord(lease)) return 'malformed'
    return normaliseRow({ mac: lease.mac, ip: lease.address, hostname: lease.hostname })
  })
}

/** An interface that lists no leases is itself an entry, a malformed one. */
const leasesOf = (link: unknown): unknown[] =>
  isRecord(link) && Array.isArray(link.leases) ? link.leases : [undefined]
