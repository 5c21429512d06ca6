import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { problem } from '../../http/problem.ts'
import { responses } from '../../http/schemas.ts'
import { asCredentialManager } from '../../rls/identity.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { findCredentials, unlinkGoogle } from '../credentials/repository.ts'
import type { Reauthenticate } from '../sessions/owner-proof.ts'
import { requireRecentProof } from '../sessions/repository.ts'
import { claimsOf } from './account-linking.ts'
import type { Google } from './google.ts'
import { linkGoogle } from './repository.ts'
import { GoogleLink } from './schema.ts'

/**
 * `google`: undefined where it is not configured; its routes are 404 then.
 */
export type GoogleLinkRoutesOptions = {
  withTransaction: WithTransaction
  google: Google | undefined
  reauthenticate: Reauthenticate
}

/** For the signed-in: whether Google signs in to their account. */
export const googleLinkRoutes: FastifyPluginAsyncTypebox<GoogleLinkRoutesOptions> = async (
  app,
  { withTransaction, google, reauthenticate },
) => {
  const documented = { tags: ['auth'], security: [{ person: [] }] }

  app.post(
    '/google/link',
    {
      schema: {
        ...documented,
        operationId: 'linkGoogle',
        summary: 'Link your account to a Google account',
        description: 'Its address may be another one. From then on it signs in to your account.',
        body: GoogleLink,
        response: responses(
          { 204: Type.Null() },
          'wrong-password',
          'invalid-credentials',
          'locked-out',
          'conflict',
          'not-found',
        ),
      },
    },
    async (request, reply) => {
      const self = asCredentialManager(request.identity)
      const { idToken, nonce, password } = request.body
      const claims = await claimsOf(google, idToken, { nonce })
      await reauthenticate(request, { password })
      await withTransaction(self, async (tx) => {
        if (!(await linkGoogle(tx, self.userId, claims)))
          throw problem('conflict', {
            detail: 'Your account is linked to another Google account: unlink that first',
          })
      })
      return reply.code(204).send(null)
    },
  )

  app.delete(
    '/google',
    {
      schema: {
        ...documented,
        operationId: 'unlinkGoogle',
        summary: 'Unlink your account from Google',
        description:
          'Not before it has a password: 409 `conflict`. Where Google gives out your address, signing in with it links again. Takes a recent proof of the owner (`reauthenticate`).',
        response: responses({ 204: Type.Null() }, 'not-found', 'conflict', 'proof-required'),
      },
    },
    async (request, reply) => {
      if (!google) throw problem('not-found')
      const self = asCredentialManager(request.identity)
      await withTransaction(self, async (tx) => {
        await requireRecentProof(tx, self.userId, self.sessionId)
        const proofs = await findCredentials(tx, self.userId)
        if (!proofs?.googleId) throw problem('not-found')
        if (proofs.passwordHash === null)
          throw problem('conflict', { detail: 'You would have no way to sign in: set a password first' })
        await unlinkGoogle(tx, self.userId)
      })
      return reply.code(204).send(null)
    },
  )
}
