import { BlockList, isIPv4, isIPv6 } from 'node:net'

/** The zone (interface name) after a link-local address: `%br-lan`. */
const ZONE = /%[^%/\s]+$/
const MAPPED = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/
/** ::/96, deprecated by RFC 4291. PostgreSQL prints these with a dotted tail, RFC 5952 without. */
const COMPATIBLE = /^::[0-9a-f]{1,4}(?::[0-9a-f]{1,4})?$/

/**
 * The canonical spelling of an address, as `host(inet)` of PostgreSQL prints it: IPv6 as in RFC 5952, an
 * IPv4-mapped address as IPv4, without a zone. Undefined for anything else: leading zeros, a prefix length,
 * IPv4-compatible IPv6.
 */
export function canonicalIp(text: string): string | undefined {
  const address = text.trim()
  if (isIPv4(address)) return address
  const unzoned = address.replace(ZONE, '')
  if (!isIPv6(unzoned)) return undefined
  const canonical = new URL(`http://[${unzoned}]`).hostname.slice(1, -1)
  const [, high, low] = MAPPED.exec(canonical) ?? []
  if (high && low) return [high, low].flatMap(octetsOf).join('.')
  return COMPATIBLE.test(canonical) && canonical !== '::1' ? undefined : canonical
}

function octetsOf(group: string): number[] {
  const value = Number.parseInt(group, 16)
  return [value >> 8, value & 255]
}

/** Unspecified, loopback, multicast and limited broadcast. */
const UNUSABLE = new BlockList()
UNUSABLE.addSubnet('0.0.0.0', 8)
UNUSABLE.addSubnet('127.0.0.0', 8)
UNUSABLE.addSubnet('224.0.0.0', 4)
UNUSABLE.addAddress('255.255.255.255')
UNUSABLE.addSubnet('::', 127, 'ipv6')
UNUSABLE.addSubnet('ff00::', 8, 'ipv6')

/**
 * Whether a device on a network can have the address.
 * @param ip in the form of `canonicalIp`
 */
export const isDeviceIp = (ip: string): boolean => !UNUSABLE.check(ip, isIPv4(ip) ? 'ipv4' : 'ipv6')
