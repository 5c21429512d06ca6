import { canonicalIp, isDeviceIp } from '../../network/ip.ts'
import { parseMac } from '../../network/mac.ts'
import type { Sighting, SkipReason } from './sighting.ts'

/** Values as JSON has them: of any type when a router printed them. Null and absent are the same. */
export type RawEntry = { mac?: unknown; ip?: unknown; ips?: unknown; hostname?: unknown }

/** The longest name that DNS can hold, RFC 1035. */
const MAX_HOSTNAME = 253
/**
 * What cannot be stored (U+0000, lone surrogates) or would disturb what is shown beside it (line ends,
 * bidirectional overrides).
 */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/u

/**
 * A MAC that is no device's skips the entry, because whoever sent it meant that device and no other. An
 * address beside a good MAC is dropped when it cannot be read or can be no device's; without a MAC one good
 * address is needed.
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
 * For a row that is about one address: when that cannot be read the row is not what it seems to be, whatever
 * else it says.
 */
export const normaliseRow = (row: {
  mac: unknown
  ip: unknown
  hostname?: unknown
}): Sighting | SkipReason => (readIp(row.ip) === undefined ? 'malformed' : normaliseEntry(row))

/**
 * A host name in its own case and with its domain, without surrounding space and the dot of the root. Null
 * when there is none (`*` is dnsmasq's word for that) and when it is too long or unprintable: devices choose
 * their names, and half a name could pass for another.
 */
export function cleanHostname(value: unknown): string | null {
  if (typeof value !== 'string') return null
  const name = value.trim().replace(/\.$/, '').trimEnd()
  return name === '' || name === '*' || name.length > MAX_HOSTNAME || UNPRINTABLE.test(name) ? null : name
}

const readIp = (value: unknown) => (typeof value === 'string' ? canonicalIp(value) : undefined)
