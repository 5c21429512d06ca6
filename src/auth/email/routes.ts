/**
 * What a mailbox proves: that an address is one's own, and, where the password is lost, that the account is.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { problem } from '../../http/problem.ts'
import { answers } from '../../http/schemas.ts'
import type { Later } from '../../jobs/background-tasks.ts'
import { MINUTES, type OwnerMail } from '../../mail/account-mail.ts'
import {
  addressIsChanging,
  addressWasChanged,
  confirmNewAddress,
  passwordChanged,
  type Removed,
  resetPassword,
  verifyAddress,
} from '../../mail/templates.ts'
import { normalisedEmail } from '../../network/email-address.ts'
import { asAuth, SIGN_IN } from '../../rls/identity.ts'
import type { WithSession } from '../../rls/transaction.ts'
import { revokePersonalKeys } from '../api-keys/repository.ts'
import { recordAct } from '../audit/record-event.ts'
import type { Lockout } from '../credentials/lockout.ts'
import { findAccountByEmail, findMailbox, setPassword, unlinkGoogle } from '../credentials/repository.ts'
import { EmailSent } from '../credentials/schema.ts'
import { addToken, findToken, useToken } from '../one-time-tokens/repository.ts'
import type { Passwords } from '../passwords/hashing.ts'
import type { PasswordRules } from '../passwords/policy.ts'
import type { ProveOwner } from '../sessions/owner-proof.ts'
import { endLoginSessions } from '../sessions/repository.ts'
import { changeEmail, confirmEmail, isTaken } from './repository.ts'
import { AddressOnly, ChangeEmail, MailedTokenBody, ResetPassword } from './schema.ts'
import { dispossess } from './unproven-access.ts'

export type MailboxRoutesOptions = {
  withSession: WithSession
  passwords: Passwords
  passwordRules: PasswordRules
  lockout: Lockout
  ownerMail: OwnerMail
  later: Later
}

const SENT = { status: 'check-your-mail' } as const
const deadToken = () => problem('invalid-token')

/** For anyone who can read the mail of an account. */
export const mailboxRoutes: FastifyPluginAsyncTypebox<MailboxRoutesOptions> = async (
  app,
  { withSession, passwords, passwordRules, lockout, ownerMail, later },
) => {
  const documented = { tags: ['auth'] }
  const nothingTold = 'The answer is the same, and comes as fast, whether or not there is such an account.'

  app.post(
    '/forgot-password',
    {
      schema: {
        ...documented,
        operationId: 'forgotPassword',
        summary: 'Request a password reset by e-mail',
        description: `${nothingTold} An account that signs in with Google alone gets its first password this way.`,
        body: AddressOnly,
        response: answers({ 202: EmailSent }),
      },
    },
    async (request, reply) => {
      const email = normalisedEmail(request.body.email)
      later.run(async () => {
        const token = await withSession(SIGN_IN, async (tx) => {
          const account = (await ownerMail.mayBring(tx, email))
            ? await findAccountByEmail(tx, email)
            : undefined
          if (!account?.isActive) return undefined
          await recordAct(tx, account.id, request, 'success')
          return addToken(tx, account.id, { purpose: 'reset-password', minutes: MINUTES['reset-password'] })
        })
        if (token) ownerMail.bring(email, resetPassword, { token, minutes: MINUTES['reset-password'] })
      })
      return reply.code(202).send(SENT)
    },
  )

  app.post(
    '/resend-verification',
    {
      schema: {
        ...documented,
        operationId: 'resendVerification',
        summary: 'Resend the verification e-mail',
        description: nothingTold,
        body: AddressOnly,
        response: answers({ 202: EmailSent }),
      },
    },
    async (request, reply) => {
      const email = normalisedEmail(request.body.email)
      later.run(async () => {
        const token = await withSession(SIGN_IN, async (tx) => {
          const account = (await ownerMail.mayBring(tx, email))
            ? await findAccountByEmail(tx, email)
            : undefined
          if (!account?.isActive || account.emailVerified) return undefined
          return addToken(tx, account.id, { purpose: 'verify-email', minutes: MINUTES['verify-email'] })
        })
        if (token) ownerMail.bring(email, verifyAddress, { token, minutes: MINUTES['verify-email'] })
      })
      return reply.code(202).send(SENT)
    },
  )

  app.post(
    '/reset-password',
    {
      schema: {
        ...documented,
        operationId: 'resetPassword',
        summary: 'Reset the password with an e-mailed token',
        description:
          'Of a mail for a lost password, or of an invitation. Ends every login session, every personal key (unless `keepKeys`), and any lockout of the old password, and signs nobody in; a second factor is asked for as before. Other tokens that were sent are void. Where nobody had confirmed the address, it also takes away the link to Google and, in any case, every personal key; what was taken is told by mail. A token is good once.',
        body: ResetPassword,
        response: answers({ 204: Type.Null() }, 'invalid-token'),
      },
    },
    async (request, reply) => {
      const { token, newPassword, keepKeys = false } = request.body
      const found = await withSession(
        SIGN_IN,
        async (tx) => {
          for (const purpose of ['reset-password', 'invitation'] as const) {
            const live = await findToken(tx, token, purpose)
            const owner = live && (await findMailbox(tx, live.userId))
            if (live) return { ...live, purpose, fullName: owner?.fullName ?? null }
          }
          return undefined
        },
        { readOnly: true },
      )
      if (!found) throw deadToken()
      passwordRules.demand('/body/newPassword', newPassword, found)
      const hash = await passwords.hash(newPassword)
      const { userId, email } = found
      const removed = await withSession(SIGN_IN, async (tx): Promise<Removed> => {
        if (!(await useToken(tx, token, found.purpose))) throw deadToken()
        // Whoever registered an address that was never theirs keeps no way in once its owner comes.
        const isConfirmed = (await findMailbox(tx, userId))?.isVerified
        const taken = isConfirmed
          ? { personalKeys: keepKeys ? 0 : await revokePersonalKeys(tx, userId) }
          : { ...(await dispossess(tx, userId)), google: await unlinkGoogle(tx, userId) }
        await setPassword(tx, userId, hash)
        await lockout.clear(tx, { at: 'login', email }, { at: 'password', userId })
        await confirmEmail(tx, userId)
        const loginSessions = await endLoginSessions(tx, userId, 'password-changed')
        await recordAct(tx, userId, request, 'success')
        return { loginSessions, ...taken }
      })
      ownerMail.tell(email, (occasion) => passwordChanged({ ...occasion, ...removed }), request)
      return reply.code(204).send(null)
    },
  )

  app.post(
    '/verify-email',
    {
      schema: {
        ...documented,
        operationId: 'verifyEmail',
        summary: 'Verify an e-mail address with an e-mailed token',
        description:
          'The address of a new account, or the new address of an account (409 `email-taken` when another account has it by now).',
        body: MailedTokenBody,
        response: answers({ 204: Type.Null() }, 'invalid-token', 'email-taken'),
      },
    },
    async (request, reply) => {
      const { token } = request.body
      const changed = await withSession(SIGN_IN, async (tx) => {
        const verified = await useToken(tx, token, 'verify-email')
        if (verified) {
          await confirmEmail(tx, verified.userId)
          await recordAct(tx, verified.userId, request, 'success')
          return undefined
        }
        const moving = await useToken(tx, token, 'change-email')
        const mailbox = moving && (await findMailbox(tx, moving.userId))
        if (!moving || !mailbox) throw deadToken()
        if (!(await changeEmail(tx, moving.userId, moving.email))) throw problem('email-taken')
        await recordAct(tx, moving.userId, request, 'success')
        return { from: mailbox.email, to: moving.email }
      })
      if (changed)
        ownerMail.tell(
          changed.from,
          (occasion) => addressWasChanged({ ...occasion, newEmail: changed.to }),
          request,
        )
      return reply.code(204).send(null)
    },
  )
}

export type ChangeEmailRoutesOptions = {
  withSession: WithSession
  proveOwner: ProveOwner
  ownerMail: OwnerMail
}

/** For the signed-in. */
export const changeEmailRoutes: FastifyPluginAsyncTypebox<ChangeEmailRoutesOptions> = async (
  app,
  { withSession, proveOwner, ownerMail },
) => {
  app.post(
    '/change-email',
    {
      schema: {
        tags: ['account'],
        security: [{ person: [] }],
        operationId: 'changeEmail',
        summary: 'Change your e-mail address',
        description:
          'It changes when the mail to the new address is answered (`verify-email`); the old address is told now and then. The answer does not say whether somebody else has that address.',
        body: ChangeEmail,
        response: answers({ 202: EmailSent }, 'wrong-password', 'locked-out'),
      },
    },
    async (request, reply) => {
      const { newEmail, ...proof } = request.body
      await proveOwner(request, proof)
      const identity = asAuth(request.identity)
      const to = normalisedEmail(newEmail)
      const { from, token } = await withSession(identity, async (tx) => {
        const mailbox = await findMailbox(tx, identity.userId)
        if (!mailbox) throw problem('unauthenticated')
        if (mailbox.email === to)
          throw problem('invalid-request', {
            errors: [{ path: '/body/newEmail', code: 'not-permitted', message: 'is your address already' }],
          })
        const isFree = !(await isTaken(tx, to)) && (await ownerMail.mayBring(tx, to))
        const options = { purpose: 'change-email', minutes: MINUTES['change-email'], newEmail: to } as const
        return {
          from: mailbox.email,
          token: isFree ? await addToken(tx, identity.userId, options) : undefined,
        }
      })
      if (token) ownerMail.bring(to, confirmNewAddress, { token, minutes: MINUTES['change-email'] })
      ownerMail.tell(from, (occasion) => addressIsChanging({ ...occasion, newEmail: to }), request)
      return reply.code(202).send(SENT)
    },
  )
}
