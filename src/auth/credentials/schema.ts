import Type from 'typebox'
import { Instant, Name, Nullable, pageQuery, Strict, Text, Uuid } from '../../http/schemas.ts'
import { User, visitor } from '../../modules/users/schema.ts'
import { ADDRESS, LABEL } from '../../network/email-address.ts'

/**
 * One that a mail can be sent to, in a domain of at least two labels: an account's address is never one of
 * the own machine.
 */
const EMAIL = `^\\s*${ADDRESS}\\.${LABEL}\\s*$`
const WHOLE_EMAIL = new RegExp(EMAIL, 'u')

/** Whether an account may have it, wherever it comes from. */
export const isAccountAddress = (text: string): boolean => WHOLE_EMAIL.test(text)

export const Email = Type.String({
  maxLength: 254,
  pattern: EMAIL,
  'x-expects': 'an e-mail address such as ada@example.com',
  description: 'Trimmed and lower-cased',
  examples: ['ada@example.com'],
})
export const Password = Text({
  max: 256,
  description: '12 to 256 characters, all of which count',
  examples: ['<password>'],
})

export const Register = Strict({
  email: Email,
  password: Password,
  fullName: Type.Optional(Nullable(Name({ max: 200, examples: ['Ada Lovelace'] }))),
})
export const Login = Strict({ email: Email, password: Password })
/** What a signed-in person proves again that they are the owner with; of the two, one. */
export const ownerProof = {
  password: Type.Optional(Password),
  googleIdToken: Type.Optional(
    Text({ max: 8_192, description: 'Fresh, of the Google account that is linked' }),
  ),
}
export const ONE_PROOF = { oneOf: [{ required: ['password'] }, { required: ['googleIdToken'] }] }
export const OwnerProof = Strict(ownerProof, { ...ONE_PROOF, $id: 'OwnerProof' })
/** The same, or a code of the second factor. */
export const ownerProofOrCode = {
  ...ownerProof,
  code: Type.Optional(
    Text({
      max: 64,
      description: 'Of the second factor: six digits of the authenticator app, or a recovery code',
    }),
  ),
}
export const ONE_PROOF_OR_CODE = { oneOf: [...ONE_PROOF.oneOf, { required: ['code'] }] }
export const Reauthenticate = Strict(ownerProofOrCode, ONE_PROOF_OR_CODE)
export const Reauthenticated = Type.Object(
  { provenUntil: Instant('Until then, this login session may do what takes a recent proof') },
  { $id: 'Reauthenticated' },
)
export const Refresh = Strict({ refreshToken: Type.Optional(Text({ max: 512, examples: ['npr_…'] })) })

const { limit, offset } = pageQuery([])
export const ListLoginSessions = Strict({ limit, offset })
export const EndLoginSessions = Strict({
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
