/**
 * Limits how often one person, one script, or the agent of one router may send requests. Each has a token
 * bucket in this process.
 */
import type { onRequestAsyncHookHandler } from 'fastify'
import { answerRate, createTokenBuckets, type RatePolicy } from '../../http/limits/rate-limit.ts'
import type { Identity } from '../../rls/identity.ts'

/**
 * A key's bucket is chosen by the digest of its secret. The guard does not prove keys, so if the public id
 * chose the bucket, anyone could use up another key's quota.
 */
const keyOf = (identity: Identity) =>
  'sha256' in identity ? identity.sha256.toString('base64') : (identity.userId ?? '')

/** A hook that runs after the guard. @param perMinute requests that each may make */
export function limitByIdentity(name: string, perMinute: number): onRequestAsyncHookHandler {
  const policy: RatePolicy = { name, quota: perMinute, window: 60 }
  const take = createTokenBuckets(policy)
  return async (request, reply) => {
    if (request.identity) answerRate(reply, policy, take(keyOf(request.identity)))
  }
}
