import { BlockList, isIPv4 } from 'node:net'
import type { FastifyRequest } from 'fastify'

/**
 * Addresses that are not routed in the public internet. Loopback is not among them: browsers trust it as they
 * trust TLS.
 */
const PRIVATE = new BlockList()
PRIVATE.addSubnet('10.0.0.0', 8)
PRIVATE.addSubnet('172.16.0.0', 12)
PRIVATE.addSubnet('192.168.0.0', 16)
PRIVATE.addSubnet('169.254.0.0', 16)
// Shared address space (RFC 6598): overlay networks such as Tailscale give out these addresses.
PRIVATE.addSubnet('100.64.0.0', 10)
PRIVATE.addSubnet('fc00::', 7, 'ipv6')
PRIVATE.addSubnet('fe80::', 10, 'ipv6')

const PRIVATE_DOMAINS = ['.local', '.lan', '.internal', '.home.arpa']

/**
 * Whether the request came over plain HTTP to a host of a private network, where a browser drops every cookie
 * that is `Secure`.
 */
export const isPrivateHttp = ({ protocol, host, hostname }: FastifyRequest): boolean =>
  protocol === 'http' && (isPrivateAddress(hostname) || isPrivateName(host, hostname.toLowerCase()))

/** The same of the host of a URL, which is spelled in one way. */
export const isPrivateHost = (hostname: string): boolean =>
  isPrivateAddress(hostname) || isPrivateName(hostname, hostname)

function isPrivateAddress(hostname: string): boolean {
  const ip = hostname.replace(/^\[(.*)\]$/, '$1')
  // An IPv4-mapped address is found as IPv4, a zone is left out, and what is no address is not found.
  return PRIVATE.check(ip, isIPv4(ip) ? 'ipv4' : 'ipv6')
}

function isPrivateName(host: string, hostname: string): boolean {
  // A URL keeps a name as it is. Of 2130706433 and 0x7f.1 it makes an address, as browsers do, and of other
  // things it makes nothing.
  if (!URL.canParse(`http://${host}`) || new URL(`http://${host}`).hostname !== hostname) return false
  const name = hostname.replace(/\.$/, '')
  const isLabel = /^[^.:]+$/.test(name) && name !== 'localhost'
  return isLabel || PRIVATE_DOMAINS.some((domain) => name.endsWith(domain))
}
