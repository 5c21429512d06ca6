import Type from 'typebox'
import { OneOf, StrictObject, Text } from '../../http/schemas.ts'
import { ProviderCode } from '../credentials/schema.ts'

const IdToken = Text({
  max: 8_192,
  description: 'Of Google Identity Services or a mobile sign-in library',
  examples: ['eyJhbGciOiJSUzI1NiIs…'],
})
const Nonce = Text({ max: 255, description: 'What the token must carry, when you asked Google for one' })
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
      'An absolute URL on an allowed origin. It comes back with `code` for POST /api/auth/exchange, or with `error`, a code of a problem. Put a value of your own into its query and compare it then: that way nobody can hand you somebody else’s code.',
    examples: ['https://app.example.com/signed-in?attempt=8e1f'],
  }),
  purpose: Type.Optional(
    OneOf(
      ['sign-in', 'prove'],
      '`prove`: nobody is signed in, and the `code` that comes back is a `providerCode`, good for five minutes: it links the account, or proves its owner in place of the password (default `sign-in`)',
    ),
  ),
})

/** The provider's answer; it adds what it likes. */
export const FlowCallback = Type.Object({
  state: Type.Optional(Text({ max: 512 })),
  code: Type.Optional(Text({ max: 2_048 })),
  iss: Type.Optional(Text({ max: 2_000 })),
})

export const OidcLink = StrictObject({ providerCode: ProviderCode, password: CurrentPassword })
export const Exchange = StrictObject({
  code: Text({
    max: 512,
    examples: ['npt_0F3K…'],
    description: 'From the address that the flow came back to',
  }),
})
