import Type from 'typebox'
import { Instant, pageQuery, StrictObject, Text, Uuid } from '../../http/schemas.ts'
import { User, visitor } from '../../modules/users/schema.ts'
import { ONE_PROOF_OR_CODE, ownerProofOrCode } from '../credentials/schema.ts'

export const Refresh = StrictObject({ refreshToken: Type.Optional(Text({ max: 512, examples: ['npr_…'] })) })

const { limit, offset } = pageQuery([])
export const ListLoginSessions = StrictObject({ limit, offset })
export const EndLoginSessions = StrictObject({
  keepCurrent: Type.Optional(Type.Boolean({ description: 'Stay signed in here (default false)' })),
})

export const LoginSession = Type.Object(
  {
    id: Uuid(),
    ...visitor,
    createdAt: Instant(),
    lastUsedAt: Instant(),
    current: Type.Boolean({ description: 'This is the session that asks', examples: [true] }),
  },
  { $id: 'LoginSession' },
)

/** Of a request that is answered with tokens. */
export const TokenTransport = Type.Object({
  'X-Token-Transport': Type.Optional(
    Type.String({
      description: '`cookie`: the refresh token goes into a cookie that no script can read',
      examples: ['cookie'],
    }),
  ),
})

export const RefreshHeaders = Type.Object({
  ...TokenTransport.properties,
  'X-CSRF-Token': Type.Optional(
    Type.String({ description: 'With the cookie: the `csrfToken` that came with it' }),
  ),
})

export const Tokens = Type.Object(
  {
    user: User,
    accessToken: Type.String({ examples: ['eyJhbGciOiJIUzI1NiIs…'] }),
    refreshToken: Type.Optional(
      Type.String({ description: 'Absent where it went into the cookie', examples: ['npr_AQ3f…'] }),
    ),
    csrfToken: Type.Optional(
      Type.String({ description: 'With `X-Token-Transport: cookie`: send it back as `X-CSRF-Token`' }),
    ),
    tokenType: Type.Literal('Bearer'),
    expiresIn: Type.Integer({ description: 'Seconds until the access token expires', examples: [600] }),
  },
  { $id: 'Tokens' },
)

export const ReauthenticateBody = StrictObject(ownerProofOrCode, ONE_PROOF_OR_CODE)
export const Reauthenticated = Type.Object(
  { provenUntil: Instant('Until then, this login session may do what takes a recent proof') },
  { $id: 'Reauthenticated' },
)
