/**
 * For acts that a stolen login session must not be enough for: a signed-in person proves again that they are
 * the owner of the account.
 */
import type { FastifyRequest } from 'fastify'
import { problem } from '../../http/problem.ts'
import { passwordGuessed, recoveryCodeUsed, secondFactorLocked } from '../../mail/templates.ts'
import { asAuth } from '../../rls/identity.ts'
import type { Tx, WithSession } from '../../rls/transaction.ts'
import { recordAct } from '../audit/record-event.ts'
import { findProofs } from '../credentials/repository.ts'
import type { OwnerMail } from '../email/account-mail.ts'
import { findFactorStatus } from '../second-factor/repository.ts'
import type { SecondFactor } from '../second-factor/second-factor.ts'
import { renewProof } from '../sessions/repository.ts'
import type { Lockout } from './lockout.ts'
import type { GuessPassword } from './password-guess.ts'

/** One of them: what was not given is no proof. `code`: of the second factor. */
export type OwnerProof = { password?: string; googleIdToken?: string; code?: string }

/**
 * Also renews the proof of the login session (`requireRecentProof`).
 * @throws Problem `wrong-password` or `wrong-code` when the proof is wrong, or of somebody else; `locked-out`
 * after too many wrong passwords, which are
 * counted apart from those of strangers at the login; `unauthenticated` when the login session is over
 */
export type ProveOwner = (request: FastifyRequest, proof: OwnerProof) => Promise<void>

/** Whom a fresh ID token speaks for; undefined for any other text. */
export type VerifyGoogle = (idToken: string) => Promise<{ sub: string } | undefined>

export type OwnerProofOptions = {
  withSession: WithSession
  guessPassword: GuessPassword
  lockout: Lockout
  ownerMail: OwnerMail
  secondFactor: SecondFactor
  /** Left out where Google is not configured. */
  verifyGoogle?: VerifyGoogle | undefined
}

export function openOwnerProof(options: OwnerProofOptions): ProveOwner {
  const { withSession, guessPassword, lockout, ownerMail, secondFactor, verifyGoogle } = options
  const isLinked = async (idToken: string, googleId: string | null | undefined) => {
    const claims = await verifyGoogle?.(idToken)
    return claims !== undefined && claims.sub === googleId
  }

  return async (request, { password, googleIdToken, code }) => {
    // Proving oneself is no act, and a wrong proof is a failure of the act that it was for.
    const identity = { ...asAuth(request.identity), act: undefined }
    const { userId, sessionId } = identity
    const renew = (tx: Tx) => renewProof(tx, userId, sessionId)
    const find = (tx: Tx) => findProofs(tx, userId)
    const recordFailure = (isLast: boolean) =>
      withSession(identity, (tx) =>
        recordAct(tx, userId, request, 'failure', isLast ? { lockedOut: true } : null),
      )

    if (code !== undefined) {
      // Committed also when the code is wrong: the transaction holds the count.
      const { proofs, provenBy, isLast, left } = await withSession(identity, async (tx) => {
        const attempt = await secondFactor.prove(tx, userId, code, request)
        if (attempt.provenBy) await renew(tx)
        return {
          ...attempt,
          proofs: await find(tx),
          left: (await findFactorStatus(tx, userId)).recoveryCodesLeft,
        }
      })
      if (isLast && !provenBy && proofs) ownerMail.tell(proofs.email, secondFactorLocked, request)
      if (!provenBy) throw problem('wrong-code')
      if (provenBy === 'recovery-code' && proofs)
        ownerMail.tell(proofs.email, (occasion) => recoveryCodeUsed({ ...occasion, left }), request)
      return
    }

    if (password === undefined) {
      const proofs = await withSession(identity, find)
      if (await isLinked(googleIdToken ?? '', proofs?.googleId))
        return void (await withSession(identity, renew))
      await recordFailure(false)
      throw problem('wrong-password')
    }

    const guess = { at: 'password', userId } as const
    await guessPassword({
      identity,
      guess,
      password,
      find,
      storedIn: ({ passwordHash }) => passwordHash,
      whenRight: () =>
        withSession(identity, async (tx) => {
          await lockout.clear(tx, guess)
          await renew(tx)
        }),
      async whenWrong(proofs, isLast) {
        await recordFailure(isLast)
        if (isLast && proofs)
          ownerMail.tell(
            proofs.email,
            (occasion) => passwordGuessed({ ...occasion, ...lockout.limits }),
            request,
          )
        throw problem('wrong-password')
      },
    })
  }
}
