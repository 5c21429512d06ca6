const PATTERN = /^([0-9]{1,9})(?:\.([0-9]{1,3}))?\s?(kbit|mbit|gbit)$/i
const KBIT = { kbit: 1, mbit: 1_000, gbit: 1_000_000 }

/** As `tc` on Linux spells rates, and as the OpenAPI document shows it. */
export const RATE_TEXT = '^[0-9]{1,9}(\\.[0-9]{1,3})? ?([kK]|[mM]|[gG])[bB][iI][tT]$'
/** 2 Tbit/s: what fits the column. */
export const MAX_RATE = 2_000_000_000

/**
 * kbit/s of a number (which is kbit/s already) or of a text such as `50mbit` or `1.5 mbit`; undefined when it
 * is no rate of 1 to MAX_RATE.
 */
export function parseRate(rate: number | string): number | undefined {
  const match = typeof rate === 'string' ? PATTERN.exec(rate) : undefined
  const unit = match?.[3]?.toLowerCase() as keyof typeof KBIT | undefined
  const kbit = unit && match ? Math.round(Number(`${match[1]}.${match[2] ?? 0}`) * KBIT[unit]) : Number(rate)
  return Number.isInteger(kbit) && kbit >= 1 && kbit <= MAX_RATE ? kbit : undefined
}
