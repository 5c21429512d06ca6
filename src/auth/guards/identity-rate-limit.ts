/**
 * How often one person, one script, or the agent of one router may ask: a token bucket each, in this process.
 */
import type { onRequestAsyncHookHandler } from 'fastify'
import { answerRate, createTokenBuckets, type RatePolicy } from '../../http/limits/rate-limit.ts'
import type { Identity } from '../../rls/identity.ts'

/**
 * A key is not proven at the door yet, so that its bucket goes by what only its holder has: whoever merely
 * knows its public part fills another one.
 */
const keyOf = (identity: Identity) =>
  'sha256' in identity ? identity.sha256.toString('base64') : (identity.userId ?? '')

/** A hook for after the door's own. @param perMinute of each */
export function limitByIdentity(name: string, perMinute: number): onRequestAsyncHookHandler {
  const policy: RatePolicy = { name, quota: perMinute, window: 60 }
  const take = createTokenBuckets(policy)
  return async (request, reply) => {
    if (request.identity) answerRate(reply, policy, take(keyOf(request.identity)))
  }
}
