/**
 * Checks the address and password of a person who has no token. When the account or its password is missing,
 * the check performs the same bcrypt computation and gives the same answer.
 */
import type { FastifyRequest } from 'fastify'
import { problem } from '../../http/problem.ts'
import type { BackgroundTasks } from '../../jobs/background-tasks.ts'
import type { AccountMail } from '../../mail/account-mail.ts'
import { accountLocked } from '../../mail/templates.ts'
import { normalisedEmail } from '../../network/email-address.ts'
import { ANONYMOUS } from '../../rls/identity.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import { recordAuditEvent } from '../audit/record-event.ts'
import type { Lockout } from '../credentials/lockout.ts'
import {
  type Account,
  findAccountByEmail,
  lockPassword,
  upgradePasswordHash,
} from '../credentials/repository.ts'
import type { Passwords } from '../passwords/hashing.ts'
import type { GuessPassword } from './password-guess.ts'

export type PasswordVerificationOptions = {
  withTransaction: WithTransaction
  passwords: Passwords
  guessPassword: GuessPassword
  lockout: Lockout
  background: BackgroundTasks
  accountMail: AccountMail
}

/**
 * `work` runs in the transaction that clears the guesses and stores the password's newer hash. If the work
 * fails, the transaction rolls back and the guess is given back. If the work throws a refusal, the guess
 * stays counted.
 * @throws Problem `invalid-credentials`, also when the password was changed meanwhile; `locked-out` before
 * the password is checked
 */
export type VerifyPassword = <T>(
  request: FastifyRequest,
  credentials: { email: string; password: string },
  work: (tx: Tx, account: Account) => Promise<T>,
  options?: { /** Also accepts a deactivated account. */ inactiveToo?: boolean },
) => Promise<T>

export function createPasswordVerification(options: PasswordVerificationOptions): VerifyPassword {
  const { withTransaction, passwords, guessPassword, lockout, background, accountMail } = options
  return (request, credentials, work, { inactiveToo = false } = {}) => {
    const { password } = credentials
    const guess = { at: 'login', email: normalisedEmail(credentials.email) } as const
    return guessPassword({
      identity: ANONYMOUS,
      guess,
      password,
      find: (tx) => findAccountByEmail(tx, guess.email),
      storedIn: (account) => (account.isActive || inactiveToo ? account.passwordHash : null),
      async whenRight(account, upgrade) {
        const better = upgrade ? await passwords.hash(password) : undefined
        return withTransaction(ANONYMOUS, async (tx) => {
          // If the password was changed during the check, the old password is no longer valid.
          if (!(await lockPassword(tx, account))) throw problem('invalid-credentials')
          await lockout.clear(tx, guess)
          if (better) await upgradePasswordHash(tx, account, better)
          return work(tx, account)
        })
      },
      async whenWrong(account, isLast) {
        if (!account) return
        const detail = isLast ? { lockedOut: true } : null
        background.run(() =>
          withTransaction(ANONYMOUS, (tx) => recordAuditEvent(tx, account.id, request, 'failure', detail)),
        )
        if (isLast)
          accountMail.notify(
            account.email,
            (context) => accountLocked({ ...context, ...lockout.limits }),
            request,
          )
      },
    })
  }
}
