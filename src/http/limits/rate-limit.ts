/**
 * Rate limits as clients read them (draft-ietf-httpapi-ratelimit-headers-10): `RateLimit-Policy` names the
 * quota and its window in seconds,
 * `RateLimit` what is left of it and in how many seconds it is whole again, and a refusal says `Retry-After`.
 */
import type { FastifyReply } from 'fastify'
import { problem } from '../problem.ts'

/** So many (`quota`) within so many seconds (`window`), under a name. */
export type RatePolicy = { name: string; quota: number; window: number }
/**
 * `left`: how many more may come now. `reset`, `retryAfter`: seconds, at least 1.
 */
export type RateState = { left: number; reset: number; retryAfter: number; isAllowed: boolean }

/** Tells the client where it stands. @throws Problem `rate-limited` */
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
 * A bucket that is full is as good as none, and the oldest go when there are more: a bound on memory that no
 * client can pass.
 */
const MAX_BUCKETS = 20_000

/**
 * A bucket of tokens for each key, in this process: it holds `quota`, and fills up again evenly within
 * `window`. For routes whose work is
 * spread over servers anyway; what must be exact across servers counts in the database
 * (`auth/guards/ip-rate-limit.ts`).
 * @param now milliseconds, of any clock that only goes forward
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
    // Put last again: the map's order is that of last use.
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
