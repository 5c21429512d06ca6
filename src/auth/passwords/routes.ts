/** Routes that state the password rules and change the password of a signed-in user. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { problem } from '../../http/problem.ts'
import { responses } from '../../http/schemas.ts'
import type { AccountMail } from '../../mail/account-mail.ts'
import { passwordChanged } from '../../mail/templates.ts'
import { findMe } from '../../modules/users/repository.ts'
import { asCredentialManager } from '../../rls/identity.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { revokePersonalKeys } from '../api-keys/repository.ts'
import type { Lockout } from '../credentials/lockout.ts'
import { setPassword } from '../credentials/repository.ts'
import type { Reauthenticate } from '../sessions/owner-proof.ts'
import { endLoginSessions } from '../sessions/repository.ts'
import type { Passwords } from './hashing.ts'
import type { PasswordPolicy } from './policy.ts'
import { ChangePassword, PasswordRequirements } from './schema.ts'

export const passwordRequirementRoutes: FastifyPluginAsyncTypebox<{
  passwordPolicy: PasswordPolicy
}> = async (app, { passwordPolicy }) => {
  app.get(
    '/password-requirements',
    {
      schema: {
        tags: ['auth'],
        operationId: 'getPasswordRequirements',
        summary: 'Get the password requirements',
        description:
          'Lists the rules for a form that asks for a new password. A password that breaks a rule is 400 `invalid-request`, and `errors` names the rule.',
        response: responses({ 200: PasswordRequirements }),
      },
    },
    async () => passwordPolicy.requirements,
  )
}

export type PasswordRoutesOptions = {
  withTransaction: WithTransaction
  passwords: Passwords
  passwordPolicy: PasswordPolicy
  reauthenticate: Reauthenticate
  lockout: Lockout
  accountMail: AccountMail
}

export const passwordRoutes: FastifyPluginAsyncTypebox<PasswordRoutesOptions> = async (
  app,
  { withTransaction, passwords, passwordPolicy, reauthenticate, lockout, accountMail },
) => {
  app.post(
    '/change-password',
    {
      schema: {
        tags: ['account'],
        security: [{ person: [] }],
        operationId: 'changePassword',
        summary: 'Change your password',
        description:
          'Changes the password. It ends the other login sessions (unless `keepOtherSessions`) and any lockout, and voids the links of earlier mails. Personal keys go on, unless `revokeKeys`. An account that signs in with Google alone gets its first password this way.',
        body: ChangePassword,
        response: responses({ 204: Type.Null() }, 'wrong-password', 'locked-out'),
      },
    },
    async (request, reply) => {
      const identity = asCredentialManager(request.identity)
      const {
        currentPassword,
        googleIdToken,
        providerCode,
        newPassword,
        keepOtherSessions = false,
        revokeKeys = false,
      } = request.body
      const me = await withTransaction(request.identity, findMe, { readOnly: true })
      if (!me) throw problem('unauthenticated')
      passwordPolicy.assertAcceptable('/body/newPassword', newPassword, me)
      await reauthenticate(request, {
        ...(currentPassword && { password: currentPassword }),
        googleIdToken,
        providerCode,
      })
      const hash = await passwords.hash(newPassword)
      const removed = await withTransaction(identity, async (tx) => {
        await setPassword(tx, identity.userId, hash)
        await lockout.clear(tx, { at: 'login', email: me.email }, { at: 'password', userId: identity.userId })
        return {
          loginSessions: keepOtherSessions
            ? 0
            : await endLoginSessions(tx, identity.userId, 'password-changed', identity.sessionId),
          personalKeys: revokeKeys ? await revokePersonalKeys(tx, identity.userId) : 0,
        }
      })
      accountMail.notify(me.email, (context) => passwordChanged({ ...context, ...removed }), request)
      return reply.code(204).send(null)
    },
  )
}
