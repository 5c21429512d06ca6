/**
 * Which account somebody gets whom Google vouches for (docs/decisions/0009-google-accounts.md). The subject
 * decides; an address only where Google gives it out, because elsewhere somebody else may have it by now; and
 * where neither does, the password has to be shown first.
 */
import type { FastifyRequest } from 'fastify'
import { type Problem, problem } from '../../http/problem.ts'
import type { Removed } from '../../mail/templates.ts'
import type { Tx } from '../../rls/transaction.ts'
import { recordAuditEvent } from '../audit/record-event.ts'
import { revokeUnprovenAccess } from '../email/unproven-access.ts'
import type { Proven } from '../sign-in/sign-in.ts'
import type { Google } from './google.ts'
import type { Expected, GoogleClaims } from './id-tokens.ts'
import { addGoogleUser, findAccountsByGoogle, type GoogleAccount, linkGoogle } from './repository.ts'

/**
 * A refusal is told, not thrown, so that what the log says about it is kept. `removed`: of an account that
 * somebody else may have registered; its owner is to be told.
 */
export type AccountResolution = { account: Proven; isNew: boolean; removed?: Removed } | { refusal: Problem }

/** Nobody for us: a token that does not hold, or an account that is not active. Which, is not told. */
export const googleRejected = () =>
  problem('invalid-credentials', { detail: 'Google vouches for nobody who may sign in here' })

/**
 * Whom an ID token speaks for. @throws Problem `invalid-credentials`, `not-found` where Google is not
 * configured, `unavailable`
 */
export async function claimsOf(
  google: Google | undefined,
  idToken: string,
  expected: Expected,
): Promise<GoogleClaims> {
  if (!google) throw problem('not-found')
  const claims = await google.verify(idToken, expected)
  if (!claims) throw googleRejected()
  return claims
}

const occupied = () =>
  problem('conflict', {
    detail: 'There is an account with this address: sign in to it another way, then link it to Google',
  })

export async function resolveAccount(
  tx: Tx,
  claims: GoogleClaims,
  request: FastifyRequest,
): Promise<AccountResolution> {
  const refuse = async ({ id }: GoogleAccount, refusal: Problem, reason: string) => {
    await recordAuditEvent(tx, id, request, 'failure', { reason })
    return { refusal }
  }
  const accounts = await findAccountsByGoogle(tx, claims)
  const theirs = accounts.find(({ googleId }) => googleId === claims.sub)
  if (theirs)
    return theirs.isActive
      ? { account: theirs, isNew: false }
      : refuse(theirs, googleRejected(), 'deactivated')

  const [namesake] = accounts
  if (!namesake) {
    const user = await addGoogleUser(tx, claims)
    // Where it was made in the same moment, it is found now.
    return user
      ? { account: { ...user, hasSecondFactor: false }, isNew: true }
      : resolveAccount(tx, claims, request)
  }
  if (!claims.isAuthoritative || namesake.googleId !== null) return refuse(namesake, occupied(), 'not linked')
  if (!namesake.isActive) return refuse(namesake, googleRejected(), 'deactivated')
  await linkGoogle(tx, namesake.id, claims)
  await recordAuditEvent(tx, namesake.id, request, 'success', {
    linked: true,
    dispossessed: !namesake.emailVerified,
  })
  if (namesake.emailVerified) return { account: namesake, isNew: false }
  // Anybody could have registered the address before its owner came.
  const removed = await revokeUnprovenAccess(tx, namesake.id)
  return { account: { ...namesake, emailVerified: true, hasPassword: false }, isNew: false, removed }
}
