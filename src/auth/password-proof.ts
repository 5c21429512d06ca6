/** Somebody without a token proves who they are by address and password. Whatever is missing costs the same bcrypt and has the same answer. */
import type { FastifyRequest } from 'fastify'
import { problem } from '../http/problem.ts'
import { accountLocked } from '../mail/texts.ts'
import type { Tx, WithSession } from '../rls/session.ts'
import { recordAct } from './audit.ts'
import { SIGN_IN } from './identity.ts'
import type { Later } from './later.ts'
import type { Lockout } from './lockout.ts'
import type { OwnerMail } from './owner-mail.ts'
import type { Passwords } from './passwords.ts'
import { type Account, findAccountByEmail, holdPassword, upgradePasswordHash } from './repository.ts'

export type PasswordProofOptions = { withSession: WithSession; passwords: Passwords; lockout: Lockout; later: Later; ownerMail: OwnerMail }

/**
 * `settle` belongs first into the transaction that the proof leads to: it forgets the guesses, stores the password's newer hash, and throws
 * `invalid-credentials` when the password was changed meanwhile.
 * @throws Problem `invalid-credentials`; `locked-out` before anything is checked
 */
export type ProvePassword = (
  request: FastifyRequest,
  credentials: { email: string; password: string },
  options?: { /** Also of a deactivated account. */ inactiveToo?: boolean },
) => Promise<{ account: Account; settle(tx: Tx): Promise<void> }>

export function openPasswordProof({ withSession, passwords, lockout, later, ownerMail }: PasswordProofOptions): ProvePassword {
  return async (request, { email, password }, { inactiveToo = false } = {}) => {
    const guess = { at: 'login', email: normalisedEmail(email) } as const
    const { account, isLast } = await withSession(SIGN_IN, async (tx) => ({
      ...(await lockout.count(tx, guess)),
      account: await findAccountByEmail(tx, guess.email),
    }))
    const stored = account && (account.isActive || inactiveToo) ? (account.passwordHash ?? undefined) : undefined
    const { ok, upgrade } = await passwords.verify(password, stored)
    if (!ok || !account || stored === undefined) {
      const detail = isLast ? { lockedOut: true } : null
      if (account) {
        later.run(() => withSession(SIGN_IN, (tx) => recordAct(tx, account.id, request, 'failure', detail)))
        if (isLast) ownerMail.tell(account.email, (occasion) => accountLocked({ ...occasion, ...lockout.limits }), request)
      }
      throw problem('invalid-credentials')
    }
    const better = upgrade ? await passwords.hash(password) : undefined
    const settle = async (tx: Tx) => {
      // Whoever changed the password while it was being checked has ended all that it opened.
      if (!(await holdPassword(tx, account))) throw problem('invalid-credentials')
      await lockout.clear(tx, guess)
      if (better) await upgradePasswordHash(tx, account.id, stored, better)
    }
    return { account, settle }
  }
}

/** The one spelling of an address. */
export const normalisedEmail = (email: string) => email.trim().toLowerCase()
