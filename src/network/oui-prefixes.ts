/** The possible lengths of an assigned prefix (IEEE MA-S, MA-M, MA-L), longest first. */
const PREFIX_BITS = [36, 28, 24] as const

/**
 * The prefixes of a MAC in the form of `oui_prefixes`: 48-bit numbers, zero-filled after the prefix, in the
 * order of PREFIX_BITS.
 * @param mac lower-case with colons
 */
export function prefixesOf(mac: string): number[] {
  const digits = mac.replaceAll(':', '')
  return PREFIX_BITS.map((bits) => Number.parseInt(digits.slice(0, bits / 4).padEnd(12, '0'), 16))
}
