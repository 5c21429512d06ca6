import { isStorableText } from '../../database/storable-text.ts'

/**
 * Whether `jsonb` stores a value unchanged: names and texts without U+0000 and lone surrogates, numbers that
 * JSON can represent.
 */
export function isStorable(value: unknown): boolean {
  if (typeof value === 'string') return isStorableText(value)
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || value === null) return true
  return Object.entries(value).every(([name, inner]) => isStorable(name) && isStorable(inner))
}
