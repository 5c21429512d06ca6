import Type from 'typebox'
import { OneOf, StrictObject, Text } from '../../http/schemas.ts'
import { ProviderCode } from '../credentials/schema.ts'

const IdToken = Text({
  max: 8_192,
  description: 'An ID token of Google Identity Services or of a mobile sign-in library',
  examples: ['eyJhbGciOiJSUzI1NiIs…'],
})
const Nonce = Text({
  max: 255,
  description: 'The nonce that the token must carry, when the app asked Google for one',
})
const CurrentPassword = Text({ max: 256, examples: ['<password>'] })

export const GoogleSignIn = StrictObject({ idToken: IdToken, nonce: Type.Optional(Nonce) })
export const GoogleLink = StrictObject({
  idToken: IdToken,
  nonce: Type.Optional(Nonce),
  password: CurrentPassword,
})
export const StartFlow = StrictObject({
  returnTo: Text({
    max: 2_000,
    description:
      'An absolute URL on an allowed origin. It gets `code` for POST /api/auth/exchange, or `error`, a code of a problem. Put a value of your own into its query, and compare the value when the browser returns. Without it, somebody could hand you a code of their own.',
    examples: ['https://app.example.com/signed-in?attempt=8e1f'],
  }),
  purpose: Type.Optional(
    OneOf(
      ['sign-in', 'prove'],
      'What the flow is for (default `sign-in`). `prove` signs nobody in. Its `code` is a `providerCode`, valid for five minutes, which links the account or proves its owner in place of the password.',
    ),
  ),
})

/** The provider's answer. Providers may add parameters of their own. */
export const FlowCallback = Type.Object({
  state: Type.Optional(Text({ max: 512 })),
  code: Type.Optional(Text({ max: 2_048 })),
  iss: Type.Optional(Text({ max: 2_000, description: 'The issuer of the code (RFC 9207)' })),
})

export const OidcLink = StrictObject({ providerCode: ProviderCode, password: CurrentPassword })
export const Exchange = StrictObject({
  code: Text({
    max: 512,
    examples: ['npt_0F3K…'],
    description: 'The code in the address that the flow returned to',
  }),
})
