import Type from 'typebox'
import { OneOf, StrictObject, Text } from '../../http/schemas.ts'
import { ownerProof, Password } from '../credentials/schema.ts'
import { PASSWORD_PROBLEMS } from './policy.ts'

export const PasswordRequirements = Type.Object(
  {
    minLength: Type.Integer({ examples: [12] }),
    maxLength: Type.Integer({ examples: [256] }),
    unit: OneOf(['code points'], 'What is counted: an emoji is one, however many bytes it takes'),
    rules: Type.Array(
      Type.Object({
        code: OneOf(PASSWORD_PROBLEMS, 'Stable; the `code` in the `errors` of a refusal', 'too-short'),
        text: Type.String({ examples: ['must have at least 12 characters'] }),
      }),
    ),
  },
  { $id: 'PasswordRequirements' },
)

export const ChangePassword = StrictObject(
  {
    currentPassword: Type.Optional(Text({ max: 256, examples: ['<password>'] })),
    googleIdToken: ownerProof.googleIdToken,
    newPassword: Password,
    keepOtherSessions: Type.Optional(
      Type.Boolean({ description: 'Stay signed in elsewhere too (default false)' }),
    ),
    revokeKeys: Type.Optional(Type.Boolean({ description: 'End every personal key too (default false)' })),
  },
  { oneOf: [{ required: ['currentPassword'] }, { required: ['googleIdToken'] }] },
)
