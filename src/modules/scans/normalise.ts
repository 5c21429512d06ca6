import { canonicalIp, isDeviceIp } from '../../network/ip.ts'
import { parseMac } from '../../network/mac.ts'
import type { Sighting, SkipReason } from './sighting.ts'

/** JSON values, which may have any type when a router printed them. Null and absent are equivalent. */
export type RawEntry = { mac?: unknown; ip?: unknown; ips?: unknown; hostname?: unknown }

/** The maximum length of a DNS name, RFC 1035. */
const MAX_HOSTNAME = 253
/**
 * Characters that cannot be stored (U+0000, lone surrogates) or that disturb the text beside them (line ends,
 * bidirectional overrides).
 */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/u

/**
 * Skips an entry whose MAC cannot belong to a device, because the entry is about that MAC. An address beside
 * a valid MAC is dropped when it is unreadable or impossible for a device. Without a MAC, one valid address
 * is required.
 */
export function normaliseEntry({ mac, ip, ips, hostname }: RawEntry): Sighting | SkipReason {
  const given = [ip, ...(Array.isArray(ips) ? ips : [ips])].filter(
    (address) => address !== undefined && address !== null,
  )
  const readable = given.flatMap((address) => readIp(address) ?? [])
  const seen = { ips: [...new Set(readable.filter(isDeviceIp))], hostname: cleanHostname(hostname) }
  if (mac !== undefined && mac !== null) {
    const parsed = parseMac(typeof mac === 'string' ? mac : '')
    return parsed.ok ? { mac: parsed.mac, ...seen } : parsed.reason
  }
  if (seen.ips.length > 0) return { mac: null, ...seen }
  if (readable.length > 0) return 'unusable-address'
  return given.length > 0 ? 'malformed' : 'no-address'
}

/**
 * For a row about one address: when the address is unreadable, the row is malformed, whatever else it
 * contains.
 */
export const normaliseRow = (row: {
  mac: unknown
  ip: unknown
  hostname?: unknown
}): Sighting | SkipReason => (readIp(row.ip) === undefined ? 'malformed' : normaliseEntry(row))

/**
 * Cleans a host name: it keeps case and domain, and removes surrounding space and the dot of the root. Null
 * when there is none (dnsmasq writes `*`), or when it is too long or unprintable. It is never shortened:
 * devices choose their names, and a shortened name could look like another device's.
 */
export function cleanHostname(value: unknown): string | null {
  if (typeof value !== 'string') return null
  const name = value.trim().replace(/\.$/, '').trimEnd()
  return name === '' || name === '*' || name.length > MAX_HOSTNAME || UNPRINTABLE.test(name) ? null : name
}

const readIp = (value: unknown) => (typeof value === 'string' ? canonicalIp(value) : undefined)
