/**
 * Limits how often one address may try to register or sign in. The database counts, so that all servers share
 * one count. An IPv6 /64 counts as one address, because the owner of one address there has all of them (RFC
 * 6177).
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
  /** For one address, per minute. */
  registrations: number
  signIns: number
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The quota that a public route uses. Without it, the route uses the quota of signing in. */
    countedAs?: 'registration'
  }
}

const WINDOW = 60

/**
 * A hook for public routes. Registrations have their own quota. Every other public route is a way to sign in.
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
