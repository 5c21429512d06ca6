/** Checks of router fields that JSON Schema cannot express. */
import { type FieldError, problem } from '../../http/problem.ts'
import { canonicalIp } from '../../network/ip.ts'
import { parseRate } from '../../network/rate.ts'
import { isTimeZone } from '../../network/time-zone.ts'
import type { RouterValues } from './repository.ts'
import type { RouterFields } from './schema.ts'

/** The action `limit` requires a rate. @throws Problem, which rolls the change back */
export function requireLimitRate<T extends { action: string; limitRate: number | null }>(router: T): T {
  if (router.action === 'limit' && router.limitRate === null) {
    throw problem('invalid-request', {
      errors: [{ path: '/body/limitRate', code: 'missing', message: 'is needed for the action "limit"' }],
    })
  }
  return router
}

/**
 * Checks that time zones exist and rates are within bounds in every unit, and converts addresses to canonical
 * spelling.
 */
export function toRouterValues({ limitRate, fullRate, ip, ...fields }: RouterFields): RouterValues {
  const errors: FieldError[] = []
  const values: RouterValues = { ...fields }
  /** Null clears a field. A value that `read` cannot parse is a fault. */
  const convert = <T, V>(
    name: string,
    given: T | null,
    read: (given: T) => V | undefined,
    kind: string,
  ): V | null => {
    const value = given === null ? null : read(given)
    if (value === undefined)
      errors.push({ path: `/body/${name}`, code: 'wrong-format', message: `is not ${kind}` })
    return value ?? null
  }
  if (fields.timeZone !== undefined && !isTimeZone(fields.timeZone))
    errors.push({ path: '/body/timeZone', code: 'not-permitted', message: 'is not an IANA time zone' })
  if (ip !== undefined) values.ip = convert('ip', ip, canonicalIp, 'an address')
  if (limitRate !== undefined) values.limitRate = convert('limitRate', limitRate, parseRate, 'a rate')
  if (fullRate !== undefined) values.fullRate = convert('fullRate', fullRate, parseRate, 'a rate')
  if (errors.length > 0) throw problem('invalid-request', { errors })
  return values
}
