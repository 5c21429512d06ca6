import { normaliseRow } from '../normalise.ts'
import type { Parsed } from '../sighting.ts'
import { columnsOf, readLines } from './entries.ts'

/**
 * Parses dnsmasq's lease file, `/tmp/dhcp.leases` on OpenWrt: `<expiry> <mac> <ip> <host name | *> <client id
 * | *>`. From the line `duid …` on, it lists DHCPv6 leases, whose second column is not a MAC. The expiry (0
 * for never) is not compared with a clock: dnsmasq removes expired leases, and a router without the correct
 * time at boot wrote small numbers. Format: `lease_update_file` in dnsmasq's lease.c.
 */
export function parseDnsmasqLeases(text: string): Parsed {
  let isDhcpv6 = false
  return readLines(text, (line) => {
    const [expiry = '', mac, ip, hostname, clientId] = columnsOf(line)
    isDhcpv6 ||= expiry === 'duid'
    if (isDhcpv6) return undefined
    // Without the last column the file was truncated here, perhaps within the address.
    return /^\d+$/.test(expiry) && clientId !== undefined ? normaliseRow({ mac, ip, hostname }) : 'malformed'
  })
}
