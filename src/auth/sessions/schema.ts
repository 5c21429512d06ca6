import Type from 'typebox'
import { Forms, Instant, pageQuery, StrictObject, Text, Uuid } from '../../http/schemas.ts'
import { User, visitor } from '../../modules/users/schema.ts'
import { ONE_PROOF_OR_CODE, ownerProofOrCode } from '../credentials/schema.ts'

export const Refresh = StrictObject({ refreshToken: Type.Optional(Text({ max: 512, examples: ['npr_…'] })) })

const { limit, offset } = pageQuery([])
export const ListLoginSessions = StrictObject({ limit, offset })
export const EndLoginSessions = StrictObject({
  keepCurrent: Type.Optional(
    Type.Boolean({ description: 'Whether the session of the request goes on (default false)' }),
  ),
})

export const LoginSession = Type.Object(
  {
    id: Uuid(),
    ...visitor,
    createdAt: Instant(),
    lastUsedAt: Instant(),
    current: Type.Boolean({ description: 'Whether it is the session of the request', examples: [true] }),
  },
  { $id: 'LoginSession', description: 'A login session: one sign-in on one device' },
)

/** Headers of a request whose answer contains tokens. */
export const TokenTransport = Type.Object({
  'X-Token-Transport': Type.Optional(
    Type.String({
      description: '`cookie` puts the refresh token into a cookie that no script can read',
      examples: ['cookie'],
    }),
  ),
})

export const RefreshHeaders = Type.Object({
  ...TokenTransport.properties,
  'X-CSRF-Token': Type.Optional(
    Type.String({
      description: 'The `csrfToken` that came with the cookie. A request with the cookie needs it.',
    }),
  ),
})

export const Tokens = Type.Object(
  {
    user: User,
    accessToken: Type.String({ examples: ['eyJhbGciOiJIUzI1NiIs…'] }),
    refreshToken: Type.Optional(
      Type.String({
        description: 'The refresh token; absent when it is in the cookie',
        examples: ['npr_AQ3f…'],
      }),
    ),
    csrfToken: Type.Optional(
      Type.String({
        description: 'The token to send as `X-CSRF-Token`, when the refresh token is in the cookie',
      }),
    ),
    tokenType: Type.Literal('Bearer'),
    expiresIn: Type.Integer({ description: 'How many seconds the access token is valid', examples: [600] }),
  },
  { $id: 'Tokens', description: 'The tokens of a login session' },
)

/** The problems that all first steps of signing in have in common. */
export const SIGN_IN_PROBLEMS = [
  'invalid-credentials',
  'second-factor-required',
  'email-unverified',
  'cross-site',
] as const

export const ReauthenticateBody = Forms(
  {
    $id: 'OwnerProofOrCode',
    description: 'A proof that the owner of the account asks, also by a code of the second factor',
  },
  ownerProofOrCode,
  ONE_PROOF_OR_CODE,
)

export const Reauthenticated = Type.Object(
  { provenUntil: Instant('Until when the proof counts as recent') },
  { $id: 'Reauthenticated', description: 'The server has accepted the proof' },
)
