/** What JSON Schema cannot say of a router. */
import { type FieldError, problem } from '../../http/problem.ts'
import { canonicalIp } from '../../network/ip.ts'
import { parseRate } from '../../network/rate.ts'
import { isTimeZone } from '../../network/time-zone.ts'
import type { RouterValues } from './repository.ts'
import type { RouterFields } from './schema.ts'

/** Limiting takes a rate. @throws Problem, which takes the change back */
export function requireLimitRate<T extends { action: string; limitRate: number | null }>(router: T): T {
  if (router.action === 'limit' && router.limitRate === null) {
    throw problem('invalid-request', {
      errors: [{ path: '/body/limitRate', code: 'missing', message: 'is needed for the action "limit"' }],
    })
  }
  return router
}

/** Time zones that exist, addresses in their one spelling, and rates within bounds whatever their unit. */
export function toRouterValues({ limitRate, fullRate, ip, ...fields }: RouterFields): RouterValues {
  const errors: FieldError[] = []
  const values: RouterValues = { ...fields }
  /** Null clears a field; what `read` cannot make sense of is a fault. */
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
