/** Choosing a password: what it must be, and another one for who is signed in. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { problem } from '../../http/problem.ts'
import { answers } from '../../http/schemas.ts'
import type { OwnerMail } from '../../mail/account-mail.ts'
import { passwordChanged } from '../../mail/templates.ts'
import { findMe } from '../../modules/users/repository.ts'
import { asAuth } from '../../rls/identity.ts'
import type { WithSession } from '../../rls/transaction.ts'
import { revokePersonalKeys } from '../api-keys/repository.ts'
import type { Lockout } from '../credentials/lockout.ts'
import { setPassword } from '../credentials/repository.ts'
import type { ProveOwner } from '../sessions/owner-proof.ts'
import { endLoginSessions } from '../sessions/repository.ts'
import type { Passwords } from './hashing.ts'
import type { PasswordRules } from './policy.ts'
import { ChangePassword, PasswordRequirements } from './schema.ts'

export const passwordRequirementRoutes: FastifyPluginAsyncTypebox<{ passwordRules: PasswordRules }> = async (
  app,
  { passwordRules },
) => {
  app.get(
    '/password-requirements',
    {
      schema: {
        tags: ['auth'],
        operationId: 'getPasswordRequirements',
        summary: 'Get the password requirements',
        description:
          'For a form. Any mix of characters will do. A password that breaks a rule is 400 `invalid-request`, and `errors` names the rule.',
        response: answers({ 200: PasswordRequirements }),
      },
    },
    async () => passwordRules.requirements,
  )
}

export type PasswordRoutesOptions = {
  withSession: WithSession
  passwords: Passwords
  passwordRules: PasswordRules
  proveOwner: ProveOwner
  lockout: Lockout
  ownerMail: OwnerMail
}

/** For the signed-in. */
export const passwordRoutes: FastifyPluginAsyncTypebox<PasswordRoutesOptions> = async (
  app,
  { withSession, passwords, passwordRules, proveOwner, lockout, ownerMail },
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
          'Whoever is signed in elsewhere has to sign in again, unless told otherwise, and personal keys go on unless `revokeKeys` ends them; links in mails that were sent before are void, and any lockout of the old password ends. An account that signs in with Google alone gets its first password this way.',
        body: ChangePassword,
        response: answers({ 204: Type.Null() }, 'wrong-password', 'locked-out'),
      },
    },
    async (request, reply) => {
      const identity = asAuth(request.identity)
      const {
        currentPassword,
        googleIdToken,
        newPassword,
        keepOtherSessions = false,
        revokeKeys = false,
      } = request.body
      const me = await withSession(request.identity, findMe, { readOnly: true })
      if (!me) throw problem('unauthenticated')
      passwordRules.demand('/body/newPassword', newPassword, me)
      await proveOwner(request, {
        ...(currentPassword && { password: currentPassword }),
        ...(googleIdToken && { googleIdToken }),
      })
      const hash = await passwords.hash(newPassword)
      const removed = await withSession(identity, async (tx) => {
        await setPassword(tx, identity.userId, hash)
        await lockout.clear(tx, { at: 'login', email: me.email }, { at: 'password', userId: identity.userId })
        return {
          loginSessions: keepOtherSessions
            ? 0
            : await endLoginSessions(tx, identity.userId, 'password-changed', identity.sessionId),
          personalKeys: revokeKeys ? await revokePersonalKeys(tx, identity.userId) : 0,
        }
      })
      ownerMail.tell(me.email, (occasion) => passwordChanged({ ...occasion, ...removed }), request)
      return reply.code(204).send(null)
    },
  )
}
