/** What a frontend must know before anybody is signed in. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from 'typebox'
import Type from 'typebox'
import { OneOf, responses } from '../../http/schemas.ts'
import { PasswordRequirements } from '../passwords/schema.ts'

export const SignInOptionsDocument = Type.Object(
  {
    version: Type.String({ description: 'Of the server, as in `GET /health`', examples: ['0.1.0'] }),
    registration: OneOf(['open'], 'Who may make an account: everybody'),
    emailVerification: OneOf(
      ['required', 'optional'],
      'Required: an address must be confirmed before the first sign-in, and `register` gives no tokens (202)',
    ),
    secondFactor: Type.Object({
      requiredFor: OneOf(['nobody', 'admins', 'everyone'], 'Who must have one; everybody may'),
    }),
    providers: Type.Object({
      password: Type.Boolean({ examples: [true] }),
      google: Type.Object({
        idToken: Type.Boolean({ description: '`POST /api/auth/google` takes ID tokens' }),
        redirect: Type.Boolean({
          description: '`GET /api/auth/google/start` sends browsers to Google and back',
        }),
      }),
    }),
    password: PasswordRequirements,
  },
  { $id: 'AuthOptions' },
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
        description: 'For the page that people sign in on. What is off here answers 404.',
        response: responses({ 200: SignInOptionsDocument }),
      },
    },
    async () => authOptions,
  )
}
