/**
 * For acts that a stolen login session must not be enough for: a signed-in person proves again that they are
 * the owner of the account.
 */
import { problem } from '../../http/problem.ts'
import type { OwnerMail } from '../../mail/account-mail.ts'
import { passwordGuessed, recoveryCodeUsed, secondFactorLocked } from '../../mail/templates.ts'
import { asAuth } from '../../rls/identity.ts'
import type { Tx, WithSession } from '../../rls/transaction.ts'
import { recordAct } from '../audit/record-event.ts'
import type { Lockout } from '../credentials/lockout.ts'
import { findProofs } from '../credentials/repository.ts'
import { findFactorStatus } from '../second-factor/repository.ts'
import type { SecondFactor } from '../second-factor/second-factor.ts'
import type { ProveOwner } from '../sessions/owner-proof.ts'
import { renewProof } from '../sessions/repository.ts'
import type { GuessPassword } from './password-guess.ts'

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
