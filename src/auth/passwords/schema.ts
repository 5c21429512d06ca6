import Type from 'typebox'
import { Forms, OneOf, Text } from '../../http/schemas.ts'
import { ownerProof, Password } from '../credentials/schema.ts'
import { PASSWORD_PROBLEMS } from './policy.ts'

export const PasswordRequirements = Type.Object(
  {
    minLength: Type.Integer({ description: 'The least number of code points', examples: [12] }),
    maxLength: Type.Integer({ description: 'The greatest number of code points', examples: [256] }),
    unit: OneOf(['code points'], 'What is counted. An emoji is one, however many bytes it takes.'),
    rules: Type.Array(
      Type.Object({
        code: OneOf(
          PASSWORD_PROBLEMS,
          'The stable name of the rule, as in the `errors` of a refusal',
          'too-short',
        ),
        text: Type.String({
          description: 'The rule in English',
          examples: ['must have at least 12 characters'],
        }),
      }),
      { description: 'The rules, each with a code' },
    ),
  },
  { $id: 'PasswordRequirements', description: 'The rules for passwords' },
)

export const ChangePassword = Forms(
  { $id: 'PasswordChange', description: 'The new password, with a proof that the owner asks' },
  {
    currentPassword: Type.Optional(Text({ max: 256, examples: ['<password>'] })),
    googleIdToken: ownerProof.googleIdToken,
    providerCode: ownerProof.providerCode,
    newPassword: Password,
    keepOtherSessions: Type.Optional(
      Type.Boolean({ description: 'Whether other login sessions go on (default false)' }),
    ),
    revokeKeys: Type.Optional(
      Type.Boolean({ description: 'Whether every personal key ends (default false)' }),
    ),
  },
  [['currentPassword'], ['googleIdToken'], ['providerCode']],
)
