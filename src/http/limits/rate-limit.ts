/**
 * Rate limit headers (draft-ietf-httpapi-ratelimit-headers-10). `RateLimit-Policy` names the quota and its
 * window in seconds. `RateLimit` tells what is left and in how many seconds the full quota is available. A
 * refusal has `Retry-After`.
 */
import type { FastifyReply } from 'fastify'
import { problem } from '../problem.ts'

/** A named limit: `quota` requests within `window` seconds. */
export type RatePolicy = { name: string; quota: number; window: number }
/** `left`: how many more requests are allowed now. `reset`, `retryAfter`: seconds, at least 1. */
export type RateState = { left: number; reset: number; retryAfter: number; isAllowed: boolean }

/** Adds the rate limit headers to the response. @throws Problem `rate-limited` */
export function answerRate(
  reply: FastifyReply,
  { name, quota, window }: RatePolicy,
  { left, reset, retryAfter, isAllowed }: RateState,
): void {
  reply.header('ratelimit-policy', `"${name}";q=${quota};w=${window}`)
  reply.header('ratelimit', `"${name}";r=${left};t=${reset}`)
  if (!isAllowed) throw problem('rate-limited', { retryAfter })
}

/**
 * A full bucket need not be stored, and the oldest buckets are deleted above this number. No client can
 * exceed this memory limit.
 */
const MAX_BUCKETS = 20_000

/**
 * A token bucket for each key, in this process. It contains `quota` tokens and refills evenly within
 * `window`. It suits routes whose work is spread over servers. Limits that must be exact across servers count
 * in the database (`auth/guards/ip-rate-limit.ts`).
 * @param now milliseconds, of any monotonic clock
 */
export function createTokenBuckets(
  { quota, window }: RatePolicy,
  now: () => number = () => performance.now(),
): (key: string) => RateState {
  const buckets = new Map<string, { tokens: number; at: number }>()
  const perMs = quota / (window * 1_000)
  const secondsFor = (tokens: number) => Math.max(1, Math.ceil(tokens / perMs / 1_000))

  return (key) => {
    const at = now()
    const bucket = buckets.get(key)
    const filled = bucket ? Math.min(quota, bucket.tokens + (at - bucket.at) * perMs) : quota
    const isAllowed = filled >= 1
    const tokens = isAllowed ? filled - 1 : filled
    // Moves the key to the end: the map is ordered by last use.
    buckets.delete(key)
    buckets.set(key, { tokens, at })
    if (buckets.size > MAX_BUCKETS) buckets.delete(buckets.keys().next().value as string)
    return {
      left: Math.floor(tokens),
      reset: secondsFor(quota - tokens),
      retryAfter: secondsFor(1 - tokens),
      isAllowed,
    }
  }
}
