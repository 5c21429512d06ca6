/**
 * How often one address may try to sign up or in: counted in the database, so that the count is one however
 * many servers there are. Of IPv6
 * a /64 counts as one address: whoever has one address there has all of them (RFC 6177).
 */
import { createHmac } from 'node:crypto'
import type { onRequestAsyncHookHandler } from 'fastify'
import type { SigningKeys } from '../../crypto/keyring.ts'
import { answerRate, type RatePolicy } from '../../http/limits/rate-limit.ts'
import { clientNetwork } from '../../network/client-network.ts'
import { SIGN_IN } from '../../rls/identity.ts'
import type { Tx, WithSession } from '../../rls/transaction.ts'

export type AddressLimitsOptions = {
  withSession: WithSession
  keys: SigningKeys
  /** Of one address, in a minute. */
  registrations: number
  signIns: number
}

const WINDOW = 60

/**
 * A hook for what anybody may call: registrations have a quota of their own, everything else there is a way
 * to sign in.
 */
export function limitAddresses({
  withSession,
  keys,
  registrations,
  signIns,
}: AddressLimitsOptions): onRequestAsyncHookHandler {
  const policies: Record<'registration' | 'sign-in', RatePolicy> = {
    registration: { name: 'registration', quota: registrations, window: WINDOW },
    'sign-in': { name: 'sign-in', quota: signIns, window: WINDOW },
  }
  return async (request, reply) => {
    const policy =
      policies[request.routeOptions.schema?.operationId === 'register' ? 'registration' : 'sign-in']
    const key = keyOfCounted(keys, clientNetwork(request.ip))
    const { count, reset } = await withSession(SIGN_IN, (tx) => countOne(tx, policy, key))
    const left = Math.max(0, policy.quota - count)
    answerRate(reply, policy, { left, reset, retryAfter: reset, isAllowed: count <= policy.quota })
  }
}

/**
 * One more, in the window that is now. @returns how many it makes, and in how many seconds the window ends
 */
export async function countOne(
  tx: Tx,
  { name, window }: RatePolicy,
  key: Buffer,
): Promise<{ count: number; reset: number }> {
  const [counted] = await tx.query<{ count: number; reset: number }>({
    name: 'count by address',
    text: `insert into rate_counters as c (bucket, key, window_start, count)
        values ($1, $2, to_timestamp(floor(extract(epoch from now()) / $3::int) * $3::int), 1)
      on conflict (bucket, key) do update set window_start = excluded.window_start,
        count = case when c.window_start = excluded.window_start then c.count + 1 else 1 end
      returning count, greatest(1, ceil(extract(epoch from window_start + make_interval(secs => $3::int) - now())))::int as reset`,
    values: [name, key, window],
  })
  return counted as { count: number; reset: number }
}

/** Addresses of people are not kept, only what tells them apart. */
export const keyOfCounted = ([{ secret }]: SigningKeys, what: string): Buffer =>
  createHmac('sha256', secret).update(what).digest()
