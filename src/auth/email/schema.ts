import Type from 'typebox'
import { Name, Strict, Text } from '../../http/schemas.ts'
import { Email, ONE_PROOF, ownerProof, Password } from '../credentials/schema.ts'

const token = Text({ max: 128, description: 'Of a mail', examples: ['npt_…'] })

export const AddressOnly = Strict({ email: Email }, { $id: 'AddressOnly' })
export const MailedTokenBody = Strict({ token })
export const ResetPassword = Strict({
  token,
  newPassword: Password,
  keepKeys: Type.Optional(Type.Boolean({ description: 'Leave personal keys alive (default false)' })),
})

export const ChangeEmail = Strict({ newEmail: Email, ...ownerProof }, ONE_PROOF)
export const Invite = Strict({
  email: Email,
  fullName: Type.Optional(Name({ max: 200, examples: ['Ada Lovelace'] })),
  role: Type.Optional(Type.Unsafe<'user' | 'admin'>({ type: 'string', enum: ['user', 'admin'] })),
})
