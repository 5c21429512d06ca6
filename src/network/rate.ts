const PATTERN = /^([0-9]{1,9})(?:\.([0-9]{1,3}))?\s?(kbit|mbit|gbit)$/i
const KBIT = { kbit: 1, mbit: 1_000, gbit: 1_000_000 }

/** Rates as `tc` on Linux writes them, and as the OpenAPI document shows them. */
export const RATE_TEXT = '^[0-9]{1,9}(\\.[0-9]{1,3})? ?([kK]|[mM]|[gG])[bB][iI][tT]$'
/** 2 Tbit/s: the largest value for the column. */
export const MAX_RATE = 2_000_000_000

/**
 * Converts to kbit/s a number (already kbit/s) or a text such as `50mbit` or `1.5 mbit`. @returns undefined
 * for anything but a rate of 1 to MAX_RATE
 */
export function parseRate(rate: number | string): number | undefined {
  const match = typeof rate === 'string' ? PATTERN.exec(rate) : undefined
  const unit = match?.[3]?.toLowerCase() as keyof typeof KBIT | undefined
  const kbit = unit && match ? Math.round(Number(`${match[1]}.${match[2] ?? 0}`) * KBIT[unit]) : Number(rate)
  return Number.isInteger(kbit) && kbit >= 1 && kbit <= MAX_RATE ? kbit : undefined
}
