/** The reason why a text is not the MAC of a device. */
export type MacRefusal = 'malformed' | 'not-ethernet' | 'zero-address' | 'broadcast-address' | 'group-address'

const COLONS = /^(?:[0-9a-f]{1,2}:){5}[0-9a-f]{1,2}$/
const OTHERS = /^(?:(?:[0-9a-f]{2}-){5}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}|[0-9a-f]{12})$/
/**
 * EUI-64, InfiniBand, or an ARP hardware type before the address, as dnsmasq prints it:
 * `06-02:00:5e:10:00:01`.
 */
const LONGER = /^(?:[0-9a-f]{2}[-:]){6,}[0-9a-f]{2}$/

/**
 * Parses the MAC of a device to lower case with colons. It accepts either case with colons (macOS omits
 * leading zeros), dashes, dots (`aabb.ccdd.eeff`, Cisco) or no separators. Addresses that cannot belong to a
 * single device are refused.
 */
export function parseMac(text: string): { ok: true; mac: string } | { ok: false; reason: MacRefusal } {
  const spelled = text.trim().toLowerCase()
  const digits = digitsOf(spelled)
  if (digits === undefined) return { ok: false, reason: LONGER.test(spelled) ? 'not-ethernet' : 'malformed' }
  if (digits === '000000000000') return { ok: false, reason: 'zero-address' }
  if (digits === 'ffffffffffff') return { ok: false, reason: 'broadcast-address' }
  if (hasBit(digits, 0b01)) return { ok: false, reason: 'group-address' }
  return { ok: true, mac: digits.replace(/..(?=.)/g, '$&:') }
}

/**
 * Whether the address is locally administered, as random ones are. This is only a hint: virtual machines and
 * bridges set the bit too.
 * @param mac in the form of `parseMac`
 */
export const isRandomMac = (mac: string): boolean => hasBit(mac, 0b10)

function digitsOf(spelled: string): string | undefined {
  if (COLONS.test(spelled))
    return spelled.replace(/[0-9a-f]+:?/g, (octet) => octet.replace(':', '').padStart(2, '0'))
  return OTHERS.test(spelled) ? spelled.replace(/[-.]/g, '') : undefined
}

const hasBit = (digits: string, bit: number) => (Number.parseInt(digits.slice(0, 2), 16) & bit) !== 0
