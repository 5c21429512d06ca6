import Type from 'typebox'
import { problem } from '../../http/problem.ts'
import { Forms, Name, Nullable, StrictObject, Text } from '../../http/schemas.ts'
import { ADDRESS, LABEL } from '../../network/email-address.ts'

/**
 * An address that can receive mail, in a domain of at least two labels. An account's address is never on the
 * local machine.
 */
const EMAIL = `^\\s*${ADDRESS}\\.${LABEL}\\s*$`
const WHOLE_EMAIL = new RegExp(EMAIL, 'u')

/** Whether an account may have this address, whatever its source. */
export const isAccountAddress = (text: string): boolean => WHOLE_EMAIL.test(text)

export const Email = Type.String({
  maxLength: 254,
  pattern: EMAIL,
  'x-expects': 'an e-mail address such as ada@example.com',
  description: 'The e-mail address. The server trims and lower-cases it.',
  examples: ['ada@example.com'],
})

export const Password = Text({
  max: 256,
  description: 'The password: 12 to 256 characters, all of which count',
  examples: ['<password>'],
})

export const Register = StrictObject({
  email: Email,
  password: Password,
  fullName: Type.Optional(Nullable(Name({ max: 200, examples: ['Ada Lovelace'] }))),
})

export const Login = StrictObject(
  { email: Email, password: Password },
  { $id: 'Credentials', description: 'What a person signs in with' },
)

/** The code of a redirect flow that does not sign in. */
export const ProviderCode = Text({
  max: 8_192,
  description:
    'The code of a flow with `purpose=prove`, at most five minutes old, of the account that is linked',
  examples: ['mTz2c1Qx…'],
})

/** The proofs with which a signed-in person shows again that they own the account. A request contains one. */
export const ownerProof = {
  password: Type.Optional(Password),
  googleIdToken: Type.Optional(
    Text({ max: 8_192, description: 'A fresh ID token of the Google account that is linked' }),
  ),
  providerCode: Type.Optional(ProviderCode),
}

export const ONE_PROOF = [['password'], ['googleIdToken'], ['providerCode']] as const
export const OwnerProof = Forms(
  { $id: 'OwnerProof', description: 'A proof that the owner of the account asks' },
  ownerProof,
  ONE_PROOF,
)

/** The same proofs, or a code of the second factor. */
export const ownerProofOrCode = {
  ...ownerProof,
  code: Type.Optional(
    Text({
      max: 64,
      description: 'A code of the second factor: six digits of the authenticator app, or a recovery code',
    }),
  ),
}

export const ONE_PROOF_OR_CODE = [...ONE_PROOF, ['code']] as const
export const EmailSent = Type.Object(
  { status: Type.Literal('check-your-mail', { description: 'Always `check-your-mail`' }) },
  { $id: 'EmailSent', description: 'The server sends a mail' },
)

export const addressUnconfirmed = () =>
  problem('email-unverified', {
    detail: 'Open the link in the mail that was sent; resend-verification sends it again',
  })
