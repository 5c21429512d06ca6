/**
 * Reauthentication for operations that a stolen login session must not allow. A signed-in person proves again
 * that they own the account.
 */
import { problem } from '../../http/problem.ts'
import type { AccountMail } from '../../mail/account-mail.ts'
import { passwordGuessed, recoveryCodeUsed, secondFactorLocked } from '../../mail/templates.ts'
import { asCredentialManager } from '../../rls/identity.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import { recordAuditEvent } from '../audit/record-event.ts'
import { findUserIdByIdentity } from '../credentials/identities.ts'
import type { Lockout } from '../credentials/lockout.ts'
import { findCredentials } from '../credentials/repository.ts'
import { findFactorStatus } from '../second-factor/repository.ts'
import type { SecondFactor } from '../second-factor/second-factor.ts'
import type { Reauthenticate, VerifyIdentity } from '../sessions/owner-proof.ts'
import { renewProof } from '../sessions/repository.ts'
import type { GuessPassword } from './password-guess.ts'

export type ReauthenticationOptions = {
  withTransaction: WithTransaction
  guessPassword: GuessPassword
  lockout: Lockout
  accountMail: AccountMail
  secondFactor: SecondFactor
  verifyIdentity: VerifyIdentity
}

export function createReauthentication(options: ReauthenticationOptions): Reauthenticate {
  const { withTransaction, guessPassword, lockout, accountMail, secondFactor, verifyIdentity } = options

  return async (request, { password, code, ...byProvider }) => {
    // A successful proof is not an audit event. A wrong proof is recorded as a failure of the operation that
    // needs it.
    const identity = { ...asCredentialManager(request.identity), audited: undefined }
    const { userId, sessionId } = identity
    const renew = (tx: Tx) => renewProof(tx, userId, sessionId)
    const find = (tx: Tx) => findCredentials(tx, userId)
    const recordFailure = (isLast: boolean) =>
      withTransaction(identity, (tx) =>
        recordAuditEvent(tx, userId, request, 'failure', isLast ? { lockedOut: true } : null),
      )

    if (code !== undefined) {
      // The transaction commits even when the code is wrong, because it contains the count of guesses.
      const { proofs, provenBy, isLast, left } = await withTransaction(identity, async (tx) => {
        const attempt = await secondFactor.prove(tx, userId, code, request)
        if (attempt.provenBy) await renew(tx)
        return {
          ...attempt,
          proofs: await find(tx),
          left: (await findFactorStatus(tx, userId)).recoveryCodesLeft,
        }
      })
      if (isLast && !provenBy && proofs) accountMail.notify(proofs.email, secondFactorLocked, request)
      if (!provenBy) throw problem('wrong-code')
      if (provenBy === 'recovery-code' && proofs)
        accountMail.notify(proofs.email, (context) => recoveryCodeUsed({ ...context, left }), request)
      return
    }

    if (password === undefined) {
      const proven = await verifyIdentity(byProvider)
      const isOwner = await withTransaction(identity, async (tx) => {
        if (!proven || (await findUserIdByIdentity(tx, proven)) !== userId) return false
        await renew(tx)
        return true
      })
      if (isOwner) return
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
        withTransaction(identity, async (tx) => {
          await lockout.clear(tx, guess)
          await renew(tx)
        }),
      async whenWrong(proofs, isLast) {
        await recordFailure(isLast)
        if (isLast && proofs)
          accountMail.notify(
            proofs.email,
            (context) => passwordGuessed({ ...context, ...lockout.limits }),
            request,
          )
        throw problem('wrong-password')
      },
    })
  }
}
