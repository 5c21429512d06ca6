import Type from 'typebox'
import { Name, StrictObject, Text } from '../../http/schemas.ts'
import { Email, ONE_PROOF, ownerProof, Password } from '../credentials/schema.ts'

const token = Text({ max: 128, description: 'Of a mail', examples: ['npt_…'] })

export const AddressOnly = StrictObject({ email: Email }, { $id: 'AddressOnly' })
export const MailedTokenBody = StrictObject({ token })
export const ResetPassword = StrictObject({
  token,
  newPassword: Password,
  keepKeys: Type.Optional(Type.Boolean({ description: 'Leave personal keys alive (default false)' })),
})

export const ChangeEmail = StrictObject({ newEmail: Email, ...ownerProof }, ONE_PROOF)
export const Invite = StrictObject({
  email: Email,
  fullName: Type.Optional(Name({ max: 200, examples: ['Ada Lovelace'] })),
  role: Type.Optional(Type.Unsafe<'user' | 'admin'>({ type: 'string', enum: ['user', 'admin'] })),
})
