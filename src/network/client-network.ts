import { isIPv6 } from 'node:net'

/**
 * The network that counts as one client: an IPv4 address itself, for an IPv6 address its /64, because a
 * client with one address there controls all of them (RFC 6177). An IPv4-mapped IPv6 address counts as the
 * IPv4 address.
 */
export function clientNetwork(address: string): string {
  if (!isIPv6(address)) return address
  const [plain = ''] = address.split('%', 1)
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)?.[1]
  if (mapped) return mapped
  const [head = '', tail] = plain.split('::')
  const groups = (part: string) => part.split(':').filter(Boolean)
  const [before, after] = [groups(head), groups(tail ?? '')]
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length)
  return [...before, ...Array<string>(zeros).fill('0'), ...after]
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')
}
