/** Routes for signed-in users: the providers that sign in to their account. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { problem } from '../../http/problem.ts'
import { responses } from '../../http/schemas.ts'
import { asCredentialManager } from '../../rls/identity.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { linkIdentity, unlinkIdentities } from '../credentials/identities.ts'
import { findAccountEmail, findCredentials } from '../credentials/repository.ts'
import { confirmEmail } from '../email/repository.ts'
import type { Reauthenticate } from '../sessions/owner-proof.ts'
import { requireRecentProof } from '../sessions/repository.ts'
import { claimsOf, providerRejected } from './account-linking.ts'
import type { IdentityCodes } from './identity-code.ts'
import type { Provider, ProviderClaims } from './provider.ts'
import type { Providers } from './routes.ts'
import { GoogleLink, OidcLink } from './schema.ts'

export type ProviderLinkRoutesOptions = {
  withTransaction: WithTransaction
  providers: Providers
  identityCodes: IdentityCodes
  reauthenticate: Reauthenticate
}

export const providerLinkRoutes: FastifyPluginAsyncTypebox<ProviderLinkRoutesOptions> = async (
  app,
  { withTransaction, providers, identityCodes, reauthenticate },
) => {
  const documented = { tags: ['auth'], security: [{ person: [] }] }
  const refusals = ['wrong-password', 'invalid-credentials', 'locked-out', 'conflict', 'not-found'] as const

  async function link(
    request: FastifyRequest,
    { id: provider, name }: Pick<Provider, 'id' | 'name'>,
    claims: ProviderClaims,
    password: string,
  ): Promise<void> {
    const self = asCredentialManager(request.identity)
    await reauthenticate(request, { password })
    await withTransaction(self, async (tx) => {
      if (!(await linkIdentity(tx, self.userId, { provider, subject: claims.sub })))
        throw problem('conflict', {
          detail: `Your account is linked to another ${name} account, or this one to another account: unlink that first`,
        })
      const mailbox = await findAccountEmail(tx, self.userId)
      if (claims.emailVerified && mailbox?.email === claims.email) await confirmEmail(tx, self.userId)
    })
  }

  async function unlink(request: FastifyRequest, provider: Provider | undefined): Promise<void> {
    if (!provider) throw problem('not-found')
    const self = asCredentialManager(request.identity)
    await withTransaction(self, async (tx) => {
      await requireRecentProof(tx, self.userId, self.sessionId)
      const proofs = await findCredentials(tx, self.userId)
      if ((await unlinkIdentities(tx, self.userId, provider.id)).length === 0) throw problem('not-found')
      if (proofs?.passwordHash == null)
        throw problem('conflict', { detail: 'You would have no way to sign in: set a password first' })
    })
  }

  app.post(
    '/google/link',
    {
      schema: {
        ...documented,
        operationId: 'linkGoogle',
        summary: 'Link your account to a Google account',
        description:
          'Links the Google account, whose address may be another one. From then on it signs in to your account.',
        body: GoogleLink,
        response: responses({ 204: Type.Null() }, ...refusals),
      },
    },
    async (request, reply) => {
      const { idToken, nonce, password } = request.body
      const claims = await claimsOf(providers.google, idToken, { nonce })
      await link(request, { id: 'google', name: 'Google' }, claims, password)
      return reply.code(204).send(null)
    },
  )

  app.post(
    '/oidc/link',
    {
      schema: {
        ...documented,
        operationId: 'linkOidc',
        summary: 'Link your account to the OpenID Connect provider',
        description:
          'Links the account at the provider, which signs in to yours from then on. `GET /api/auth/oidc/start?purpose=prove` gives the `providerCode`.',
        body: OidcLink,
        response: responses({ 204: Type.Null() }, ...refusals),
      },
    },
    async (request, reply) => {
      const { oidc } = providers
      if (!oidc) throw problem('not-found')
      const proven = identityCodes.read(request.body.providerCode)
      if (proven?.provider !== oidc.id) throw providerRejected(oidc.name)
      await link(request, oidc, proven.claims, request.body.password)
      return reply.code(204).send(null)
    },
  )

  for (const { id, name, operationId } of [
    { id: 'google', name: 'Google', operationId: 'unlinkGoogle' },
    { id: 'oidc', name: 'the OpenID Connect provider', operationId: 'unlinkOidc' },
  ] as const)
    app.delete(
      `/${id}`,
      {
        schema: {
          ...documented,
          operationId,
          summary: `Unlink your account from ${name}`,
          description: `Removes the link. An account without a password answers 409 \`conflict\`. The next sign-in by a provider that vouches for your address links it again. The operation needs a recent proof of the owner (\`reauthenticate\`).`,
          response: responses({ 204: Type.Null() }, 'not-found', 'conflict', 'proof-required'),
        },
      },
      async (request, reply) => {
        await unlink(request, providers[id])
        return reply.code(204).send(null)
      },
    )
}
