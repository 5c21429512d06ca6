import Type from 'typebox'
import { Forms, Name, StrictObject, Text } from '../../http/schemas.ts'
import { Email, ONE_PROOF, ownerProof, Password } from '../credentials/schema.ts'

const token = Text({ max: 128, description: 'The token in the link of the mail', examples: ['npt_…'] })

export const AddressOnly = StrictObject(
  { email: Email },
  { $id: 'AddressOnly', description: 'An e-mail address' },
)
export const MailedTokenBody = StrictObject({ token })
export const ResetPassword = StrictObject({
  token,
  newPassword: Password,
  keepKeys: Type.Optional(Type.Boolean({ description: 'Whether personal keys go on (default false)' })),
})

export const ChangeEmail = Forms(
  { $id: 'EmailChange', description: 'The new e-mail address, with a proof that the owner asks' },
  { newEmail: Email, ...ownerProof },
  ONE_PROOF,
)

export const Invite = StrictObject({
  email: Email,
  fullName: Type.Optional(Name({ max: 200, examples: ['Ada Lovelace'] })),
  role: Type.Optional(Type.Unsafe<'user' | 'admin'>({ type: 'string', enum: ['user', 'admin'] })),
})
