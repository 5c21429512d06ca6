/**
 * After a provider has verified an identity, this file decides which account the person signs in to
 * (docs/decisions/0009-google-accounts.md). The subject decides first. The email address decides only where
 * the provider is authoritative for it, because elsewhere another person may own the address by now. Where
 * neither decides, the owner signs in another way first and then links the provider.
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
 * A refusal is returned, not thrown, so that the transaction keeps what it wrote to the audit log about it.
 * `removed`: the credentials removed from an account that another person may have registered. The caller
 * informs the owner.
 */
export type AccountResolution = { account: Proven; isNew: boolean; removed?: Removed } | { refusal: Problem }

/** The token is invalid or the account is not active. The answer does not say which. */
export const providerRejected = (name: string) =>
  problem('invalid-credentials', { detail: `${name} vouches for nobody who may sign in here` })

/**
 * Reads the claims of an ID token.
 * @throws Problem `invalid-credentials`, `not-found` where the provider takes no ID tokens, `unavailable`
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
    // If another request has created the account at the same moment, this look-up finds it.
    return user
      ? { account: { ...user, hasSecondFactor: false }, isNew: true }
      : resolveAccount(tx, { id: provider, name }, claims, request)
  }
  if (!claims.isAuthoritative || namesake.subject !== undefined)
    return refuse(namesake, occupied(name), 'not linked')
  if (!namesake.isActive) return refuse(namesake, providerRejected(name), 'deactivated')
  // Another person may have registered the address before its owner signed in.
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
