/**
 * Which account somebody gets whom a provider vouches for (docs/decisions/0009-google-accounts.md). The
 * subject decides; an address only where the provider is authoritative for it, because elsewhere somebody
 * else may have it by now; and where neither does, the owner signs in another way first, and links.
 */
import type { FastifyRequest } from 'fastify'
import { type Problem, problem } from '../../http/problem.ts'
import type { Removed } from '../../mail/templates.ts'
import type { Tx } from '../../rls/transaction.ts'
import { recordAuditEvent } from '../audit/record-event.ts'
import { linkIdentity } from '../credentials/identities.ts'
import type { Account } from '../credentials/repository.ts'
import { confirmEmail } from '../email/repository.ts'
import { revokeUnprovenAccess } from '../email/unproven-access.ts'
import type { Proven } from '../sign-in/sign-in.ts'
import type { Expected, Provider, ProviderClaims } from './provider.ts'
import { addProviderUser, lockCandidates } from './repository.ts'

/**
 * A refusal is told, not thrown, so that what the log says about it is kept. `removed`: of an account that
 * somebody else may have registered; its owner is to be told.
 */
export type AccountResolution = { account: Proven; isNew: boolean; removed?: Removed } | { refusal: Problem }

/** Nobody for us: a token that does not hold, or an account that is not active. Which, is not told. */
export const providerRejected = (name: string) =>
  problem('invalid-credentials', { detail: `${name} vouches for nobody who may sign in here` })

/**
 * Whom an ID token speaks for. @throws Problem `invalid-credentials`, `not-found` where the provider takes no
 * ID tokens, `unavailable`
 */
export async function claimsOf(
  provider: Provider | undefined,
  idToken: string,
  expected: Expected,
): Promise<ProviderClaims> {
  if (!provider?.verify) throw problem('not-found')
  const claims = await provider.verify(idToken, expected)
  if (!claims) throw providerRejected(provider.name)
  return claims
}

const occupied = (name: string) =>
  problem('conflict', {
    detail: `There is an account with this address: sign in to it another way, then link it to ${name}`,
  })

export async function resolveAccount(
  tx: Tx,
  { id: provider, name }: Pick<Provider, 'id' | 'name'>,
  claims: ProviderClaims,
  request: FastifyRequest,
): Promise<AccountResolution> {
  const refuse = async ({ id }: Account, refusal: Problem, reason: string) => {
    await recordAuditEvent(tx, id, request, 'failure', { reason })
    return { refusal }
  }
  const { linked, namesake } = await lockCandidates(tx, provider, claims)
  if (linked)
    return linked.isActive
      ? { account: linked, isNew: false }
      : refuse(linked, providerRejected(name), 'deactivated')

  if (!namesake) {
    const user = await addProviderUser(tx, provider, claims)
    // Where it was made in the same moment, it is found now.
    return user
      ? { account: { ...user, hasSecondFactor: false }, isNew: true }
      : resolveAccount(tx, { id: provider, name }, claims, request)
  }
  if (!claims.isAuthoritative || namesake.subject !== undefined)
    return refuse(namesake, occupied(name), 'not linked')
  if (!namesake.isActive) return refuse(namesake, providerRejected(name), 'deactivated')
  // Anybody could have registered the address before its owner came.
  const removed = namesake.emailVerified ? undefined : await revokeUnprovenAccess(tx, namesake.id)
  if (!(await linkIdentity(tx, namesake.id, { provider, subject: claims.sub })))
    return resolveAccount(tx, { id: provider, name }, claims, request)
  await confirmEmail(tx, namesake.id)
  await recordAuditEvent(tx, namesake.id, request, 'success', {
    linked: true,
    dispossessed: !namesake.emailVerified,
  })
  return removed
    ? { account: { ...namesake, emailVerified: true, hasPassword: false }, isNew: false, removed }
    : { account: namesake, isNew: false }
}
