/** What a frontend must know before a person signs in. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from 'typebox'
import Type from 'typebox'
import { Nullable, OneOf, responses } from '../../http/schemas.ts'
import { PasswordRequirements } from '../passwords/schema.ts'

export const SignInOptionsDocument = Type.Object(
  {
    version: Type.String({ description: 'The version of the server', examples: ['0.1.0'] }),
    registration: OneOf(['open'], 'Who may make an account: everybody'),
    emailVerification: OneOf(
      ['required', 'optional'],
      '`required`: a person confirms the address before the first sign-in, and `register` gives no tokens (202)',
    ),
    secondFactor: Type.Object(
      { requiredFor: OneOf(['nobody', 'admins', 'everyone'], 'Who must have one. Everybody may.') },
      { description: 'The second factor' },
    ),
    providers: Type.Object(
      {
        password: Type.Boolean({ description: 'Whether passwords work', examples: [true] }),
        google: Type.Object(
          {
            idToken: Type.Boolean({ description: 'Whether `POST /api/auth/google` takes ID tokens' }),
            redirect: Type.Boolean({
              description: 'Whether `GET /api/auth/google/start` sends browsers to Google and back',
            }),
          },
          { description: 'The ways to sign in with Google' },
        ),
        oidc: Type.Object(
          {
            redirect: Type.Boolean({
              description: 'Whether `GET /api/auth/oidc/start` sends browsers to the provider and back',
            }),
            name: Nullable(
              Type.String({
                description: 'The name for its button; null without one',
                examples: ['Authelia'],
              }),
            ),
          },
          { description: 'The OpenID Connect provider of the operator' },
        ),
      },
      { description: 'The ways to sign in' },
    ),
    password: PasswordRequirements,
  },
  { $id: 'AuthOptions', description: 'What a sign-in page has to offer' },
)
export type SignInOptionsDocument = Static<typeof SignInOptionsDocument>

export const authOptionsRoutes: FastifyPluginAsyncTypebox<{ authOptions: SignInOptionsDocument }> = async (
  app,
  { authOptions },
) => {
  app.get(
    '/options',
    {
      schema: {
        tags: ['auth'],
        operationId: 'getAuthOptions',
        summary: 'Get the sign-in options',
        description: 'Says what a sign-in page can offer. The operations of what is off answer 404.',
        response: responses({ 200: SignInOptionsDocument }),
      },
    },
    async () => authOptions,
  )
}
