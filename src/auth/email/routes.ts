/**
 * Routes that use access to a mailbox as proof: that an address belongs to a person, and, when the password
 * is lost, that the account does.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { problem } from '../../http/problem.ts'
import { responses } from '../../http/schemas.ts'
import type { BackgroundTasks } from '../../jobs/background-tasks.ts'
import { type AccountMail, MINUTES } from '../../mail/account-mail.ts'
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
import { ANONYMOUS, asCredentialManager } from '../../rls/identity.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { revokePersonalKeys } from '../api-keys/repository.ts'
import { recordAuditEvent } from '../audit/record-event.ts'
import type { Lockout } from '../credentials/lockout.ts'
import { findAccountByEmail, findAccountEmail, setPassword } from '../credentials/repository.ts'
import { EmailSent } from '../credentials/schema.ts'
import { addToken, findToken, useToken } from '../one-time-tokens/repository.ts'
import type { Passwords } from '../passwords/hashing.ts'
import type { PasswordPolicy } from '../passwords/policy.ts'
import type { Reauthenticate } from '../sessions/owner-proof.ts'
import { endLoginSessions } from '../sessions/repository.ts'
import { changeEmail, confirmEmail, isTaken } from './repository.ts'
import { AddressOnly, ChangeEmail, MailedTokenBody, ResetPassword } from './schema.ts'
import { revokeUnprovenAccess } from './unproven-access.ts'

export type EmailRoutesOptions = {
  withTransaction: WithTransaction
  passwords: Passwords
  passwordPolicy: PasswordPolicy
  lockout: Lockout
  accountMail: AccountMail
  background: BackgroundTasks
}

const SENT = { status: 'check-your-mail' } as const
const deadToken = () => problem('invalid-token')

/** Public routes for people who can read the mail of an account. */
export const emailRoutes: FastifyPluginAsyncTypebox<EmailRoutesOptions> = async (
  app,
  { withTransaction, passwords, passwordPolicy, lockout, accountMail, background },
) => {
  const documented = { tags: ['auth'] }

  app.post(
    '/forgot-password',
    {
      schema: {
        ...documented,
        operationId: 'forgotPassword',
        summary: 'Request a password reset by e-mail',
        description:
          'Sends a mail with a token for `resetPassword`. The answer is the same, and as fast, whether or not the account exists. An account that signs in with Google alone gets its first password this way.',
        body: AddressOnly,
        response: responses({ 202: EmailSent }),
      },
    },
    async (request, reply) => {
      const email = normalisedEmail(request.body.email)
      background.run(async () => {
        const token = await withTransaction(ANONYMOUS, async (tx) => {
          const account = (await accountMail.allowSend(tx, email))
            ? await findAccountByEmail(tx, email)
            : undefined
          if (!account?.isActive) return undefined
          await recordAuditEvent(tx, account.id, request, 'success')
          return addToken(tx, account.id, { purpose: 'reset-password', minutes: MINUTES['reset-password'] })
        })
        if (token) accountMail.sendToken(email, resetPassword, { token, minutes: MINUTES['reset-password'] })
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
        description:
          'Sends the mail for `verifyEmail` again. The answer is the same, and as fast, whether or not the account exists.',
        body: AddressOnly,
        response: responses({ 202: EmailSent }),
      },
    },
    async (request, reply) => {
      const email = normalisedEmail(request.body.email)
      background.run(async () => {
        const token = await withTransaction(ANONYMOUS, async (tx) => {
          const account = (await accountMail.allowSend(tx, email))
            ? await findAccountByEmail(tx, email)
            : undefined
          if (!account?.isActive || account.emailVerified) return undefined
          return addToken(tx, account.id, { purpose: 'verify-email', minutes: MINUTES['verify-email'] })
        })
        if (token) accountMail.sendToken(email, verifyAddress, { token, minutes: MINUTES['verify-email'] })
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
          'Sets a new password with the token of a mail: for a lost password, or an invitation. A token works once, and the other tokens become void. It ends every login session, every personal key (unless `keepKeys`) and any lockout. It signs nobody in, and a second factor stays. When nobody had confirmed the address, it also removes the links to Google and other providers, and every personal key. A mail then says what was removed.',
        body: ResetPassword,
        response: responses({ 204: Type.Null() }, 'invalid-token'),
      },
    },
    async (request, reply) => {
      const { token, newPassword, keepKeys = false } = request.body
      const found = await withTransaction(
        ANONYMOUS,
        async (tx) => {
          for (const purpose of ['reset-password', 'invitation'] as const) {
            const live = await findToken(tx, token, purpose)
            const owner = live && (await findAccountEmail(tx, live.userId))
            if (live) return { ...live, purpose, fullName: owner?.fullName ?? null }
          }
          return undefined
        },
        { readOnly: true },
      )
      if (!found) throw deadToken()
      passwordPolicy.assertAcceptable('/body/newPassword', newPassword, found)
      const hash = await passwords.hash(newPassword)
      const { userId, email } = found
      const removed = await withTransaction(ANONYMOUS, async (tx): Promise<Removed> => {
        if (!(await useToken(tx, token, found.purpose))) throw deadToken()
        // Another person may have registered an unconfirmed account, so their credentials are removed.
        const isConfirmed = (await findAccountEmail(tx, userId))?.isVerified
        const taken = isConfirmed
          ? { personalKeys: keepKeys ? 0 : await revokePersonalKeys(tx, userId) }
          : await revokeUnprovenAccess(tx, userId)
        await setPassword(tx, userId, hash)
        await lockout.clear(tx, { at: 'login', email }, { at: 'password', userId })
        await confirmEmail(tx, userId)
        const loginSessions = await endLoginSessions(tx, userId, 'password-changed')
        await recordAuditEvent(tx, userId, request, 'success')
        return { loginSessions, ...taken }
      })
      accountMail.notify(email, (context) => passwordChanged({ ...context, ...removed }), request)
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
          'Confirms the address of a new account, or the new address of an account. When another account has that address by now, the answer is 409 `email-taken`.',
        body: MailedTokenBody,
        response: responses({ 204: Type.Null() }, 'invalid-token', 'email-taken'),
      },
    },
    async (request, reply) => {
      const { token } = request.body
      const changed = await withTransaction(ANONYMOUS, async (tx) => {
        const verified = await useToken(tx, token, 'verify-email')
        if (verified) {
          await confirmEmail(tx, verified.userId)
          await recordAuditEvent(tx, verified.userId, request, 'success')
          return undefined
        }
        const moving = await useToken(tx, token, 'change-email')
        const mailbox = moving && (await findAccountEmail(tx, moving.userId))
        if (!moving || !mailbox) throw deadToken()
        if (!(await changeEmail(tx, moving.userId, { from: mailbox.email, to: moving.email })))
          throw problem('email-taken')
        await recordAuditEvent(tx, moving.userId, request, 'success')
        return { from: mailbox.email, to: moving.email }
      })
      if (changed)
        accountMail.notify(
          changed.from,
          (context) => addressWasChanged({ ...context, newEmail: changed.to }),
          request,
        )
      return reply.code(204).send(null)
    },
  )
}

export type ChangeEmailRoutesOptions = {
  withTransaction: WithTransaction
  reauthenticate: Reauthenticate
  accountMail: AccountMail
}

/** Routes for signed-in users. */
export const changeEmailRoutes: FastifyPluginAsyncTypebox<ChangeEmailRoutesOptions> = async (
  app,
  { withTransaction, reauthenticate, accountMail },
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
          'Sends a mail to the new address, and tells the old one. The address changes when somebody confirms the mail (`verifyEmail`). The answer does not say whether another account has the address.',
        body: ChangeEmail,
        response: responses({ 202: EmailSent }, 'wrong-password', 'locked-out'),
      },
    },
    async (request, reply) => {
      const { newEmail, ...proof } = request.body
      await reauthenticate(request, proof)
      const identity = asCredentialManager(request.identity)
      const to = normalisedEmail(newEmail)
      const { from, token } = await withTransaction(identity, async (tx) => {
        const mailbox = await findAccountEmail(tx, identity.userId)
        if (!mailbox) throw problem('unauthenticated')
        if (mailbox.email === to)
          throw problem('invalid-request', {
            errors: [{ path: '/body/newEmail', code: 'not-permitted', message: 'is your address already' }],
          })
        const isFree = !(await isTaken(tx, to)) && (await accountMail.allowSend(tx, to))
        const options = { purpose: 'change-email', minutes: MINUTES['change-email'], newEmail: to } as const
        return {
          from: mailbox.email,
          token: isFree ? await addToken(tx, identity.userId, options) : undefined,
        }
      })
      if (token) accountMail.sendToken(to, confirmNewAddress, { token, minutes: MINUTES['change-email'] })
      accountMail.notify(from, (context) => addressIsChanging({ ...context, newEmail: to }), request)
      return reply.code(202).send(SENT)
    },
  )
}
