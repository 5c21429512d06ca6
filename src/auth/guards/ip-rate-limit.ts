/**
 * How often one address may try to sign up or in: counted in the database, so that the count is one however
 * many servers there are. Of IPv6 a /64 counts as one address: whoever has one address there has all of them
 * (RFC 6177).
 */
import type { onRequestAsyncHookHandler } from 'fastify'
import type { SigningKeys } from '../../crypto/keyring.ts'
import { answerRate, type RatePolicy } from '../../http/limits/rate-limit.ts'
import { incrementCounter, rateLimitKey } from '../../modules/rate-counters/repository.ts'
import { clientNetwork } from '../../network/client-network.ts'
import { ANONYMOUS } from '../../rls/identity.ts'
import type { WithTransaction } from '../../rls/transaction.ts'

export type AddressLimitsOptions = {
  withTransaction: WithTransaction
  keys: SigningKeys
  /** Of one address, in a minute. */
  registrations: number
  signIns: number
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Which quota of an address a public route takes from; that of signing in when left out. */
    countedAs?: 'registration'
  }
}

const WINDOW = 60

/**
 * A hook for what anybody may call: registrations have a quota of their own, everything else there is a way
 * to sign in.
 */
export function limitByIp({
  withTransaction,
  keys,
  registrations,
  signIns,
}: AddressLimitsOptions): onRequestAsyncHookHandler {
  const policies: Record<'registration' | 'sign-in', RatePolicy> = {
    registration: { name: 'registration', quota: registrations, window: WINDOW },
    'sign-in': { name: 'sign-in', quota: signIns, window: WINDOW },
  }
  return async (request, reply) => {
    const policy = policies[request.routeOptions.config.countedAs ?? 'sign-in']
    const key = rateLimitKey(keys, clientNetwork(request.ip))
    const { count, reset } = await withTransaction(ANONYMOUS, (tx) => incrementCounter(tx, policy, key))
    const left = Math.max(0, policy.quota - count)
    answerRate(reply, policy, { left, reset, retryAfter: reset, isAllowed: count <= policy.quota })
  }
}
