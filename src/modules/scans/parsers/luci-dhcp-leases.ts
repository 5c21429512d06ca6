import { normaliseRow } from '../normalise.ts'
import type { Parsed } from '../sighting.ts'
import { isRecord, readEntries, unreadable } from './entries.ts'

/**
 * Parses the output of `ubus call luci-rpc getDHCPLeases`: `{ dhcp_leases: [{ expires, hostname?, macaddr?,
 * ipaddr }], dhcp6_leases: [] }`. `expires` is the remaining seconds, false for an unlimited lease, 0 for an
 * expired one. DHCPv6 leases identify clients by DUID and are not entries. Format: rpcd-mod-luci's luci.c.
 */
export function parseLuciDhcpLeases(document: unknown): Parsed {
  if (!isRecord(document)) return unreadable()
  const { dhcp6_leases: dhcpv6, dhcp_leases: leases = Array.isArray(dhcpv6) ? [] : undefined } = document
  if (!Array.isArray(leases)) return unreadable()
  return readEntries<unknown>(leases, (lease) => {
    if (!isRecord(lease)) return 'malformed'
    const { expires, hostname, macaddr, ipaddr } = lease
    const row = normaliseRow({ mac: macaddr, ip: ipaddr, hostname })
    return typeof row !== 'string' && expires === 0 ? 'expired' : row
  })
}
