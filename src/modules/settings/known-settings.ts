import { isTimeZone } from '../../network/time-zone.ts'

const NOTIFICATIONS = ['email', 'newDevice', 'routerOffline']

const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= 64
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Keys that NetPilot itself reads, and what their values are. Every other key is the client's own. */
const KNOWN = new Map<string, { kind: string; fits: (value: unknown) => boolean }>([
  ['timeZone', { kind: 'an IANA time zone', fits: (value) => isText(value) && isTimeZone(value) }],
  ['locale', { kind: 'a BCP 47 language tag', fits: (value) => isText(value) && isLanguageTag(value) }],
  [
    'notifications',
    {
      kind: `an object of ${NOTIFICATIONS.join(', ')}, each true or false`,
      fits: (value) =>
        isRecord(value) &&
        Object.entries(value).every(
          ([name, choice]) => NOTIFICATIONS.includes(name) && typeof choice === 'boolean',
        ),
    },
  ],
])

/** Why a value cannot be that of a key; undefined when it can. */
export function faultOf(key: string, value: unknown): string | undefined {
  if (!isStorable(value)) return 'holds U+0000, a lone surrogate, or a number that is too large'
  const known = KNOWN.get(key)
  return known && !known.fits(value) ? `is not ${known.kind}` : undefined
}

/**
 * Whether `jsonb` keeps it as it is: names and texts without U+0000 and lone surrogates, numbers that JSON
 * can write.
 */
function isStorable(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\0')
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || value === null) return true
  return Object.entries(value).every(([name, inner]) => isStorable(name) && isStorable(inner))
}

function isLanguageTag(text: string): boolean {
  try {
    return Intl.getCanonicalLocales(text).length === 1
  } catch {
    return false
  }
}
