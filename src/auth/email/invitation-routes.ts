/**
 * Mails that an administrator sends to people: an invitation, or a mail to choose a new password. Only the
 * owner chooses a password.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { orNotFound, problem } from '../../http/problem.ts'
import { IdParams, responses } from '../../http/schemas.ts'
import { type AccountMail, MINUTES } from '../../mail/account-mail.ts'
import { invitation, resetPassword } from '../../mail/templates.ts'
import { addAccount, findAccount } from '../../modules/admin/repository.ts'
import { Account } from '../../modules/admin/schema.ts'
import { normalisedEmail } from '../../network/email-address.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { EmailSent } from '../credentials/schema.ts'
import { addToken } from '../one-time-tokens/repository.ts'
import { Invite } from './schema.ts'

export const invitationRoutes: FastifyPluginAsyncTypebox<{
  withTransaction: WithTransaction
  accountMail: AccountMail
}> = async (app, { withTransaction, accountMail }) => {
  const documented = { tags: ['admin'], security: [{ admin: [] }] }

  app.post(
    '/users',
    {
      schema: {
        ...documented,
        operationId: 'inviteUser',
        summary: 'Invite a user by e-mail',
        description:
          'Creates an account and sends its owner a mail. The person chooses the password with the token of the mail (`resetPassword`) within a week.',
        body: Invite,
        response: responses({ 201: Account }, 'email-taken'),
      },
    },
    async (request, reply) => {
      const email = normalisedEmail(request.body.email)
      const { account, token } = await withTransaction(request.identity, async (tx) => {
        const added = await addAccount(tx, { ...request.body, email })
        if (!added) throw problem('email-taken')
        const issued = await addToken(tx, added.id, { purpose: 'invitation', minutes: MINUTES.invitation })
        tx.audit({ targetId: added.id })
        return { account: orNotFound(await findAccount(tx, added.id)), token: issued }
      })
      accountMail.sendToken(email, invitation, { token, minutes: MINUTES.invitation })
      return reply.code(201).send(account)
    },
  )

  app.post(
    '/users/:id/reset-password',
    {
      schema: {
        ...documented,
        operationId: 'startPasswordReset',
        summary: 'Send a password reset to a user',
        description: 'Sends the owner of the account a mail with a token for `resetPassword`.',
        params: IdParams,
        response: responses({ 202: EmailSent }),
      },
    },
    async (request, reply) => {
      const { email, token } = await withTransaction(request.identity, async (tx) => {
        const account = orNotFound(await findAccount(tx, request.params.id))
        const issued = await addToken(tx, account.id, {
          purpose: 'reset-password',
          minutes: MINUTES['reset-password'],
        })
        return { email: account.email, token: issued }
      })
      accountMail.sendToken(email, resetPassword, { token, minutes: MINUTES['reset-password'] })
      return reply.code(202).send({ status: 'check-your-mail' })
    },
  )
}
