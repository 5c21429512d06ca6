import Type from 'typebox'
import { Forms, NullableInstant, StrictObject, Text } from '../../http/schemas.ts'
import { ONE_PROOF, ownerProof } from '../credentials/schema.ts'
import { RECOVERY_CODE_COUNT } from './recovery-codes.ts'

const Code = Text({
  max: 64,
  description: 'Six digits of the authenticator app, or a recovery code',
  examples: ['123456'],
})
const TotpCode = Text({ max: 64, description: 'Six digits of the authenticator app', examples: ['123456'] })

export const AnswerChallenge = StrictObject({
  challenge: Text({
    max: 128,
    description: 'The `challenge` of the problem `second-factor-required`',
    examples: ['npt_0F3K…'],
  }),
  code: Code,
})
export const ConfirmFactor = StrictObject({ code: TotpCode })
export const RenewRecoveryCodes = StrictObject({ code: Code })
export const SwitchOffFactor = Forms(
  { $id: 'OwnerProofAndCode', description: 'A proof that the owner asks, and a code of the second factor' },
  { ...ownerProof, code: Code },
  ONE_PROOF,
)

export const OfferedSecret = Type.Object(
  {
    secret: Type.String({
      description: 'The secret in base32, to type into an app',
      examples: ['GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'],
    }),
    uri: Type.String({
      description: 'The secret as a URI, to show as a QR code',
      examples: [
        'otpauth://totp/NetPilot:ada%40example.com?issuer=NetPilot&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm=SHA1&digits=6&period=30',
      ],
    }),
  },
  { $id: 'OfferedSecret', description: 'The secret for an authenticator app' },
)
export const NewRecoveryCodes = Type.Object(
  {
    recoveryCodes: Type.Array(Type.String({ examples: ['7k3q-x0mv-9edt'] }), {
      minItems: RECOVERY_CODE_COUNT,
      maxItems: RECOVERY_CODE_COUNT,
      description:
        'The codes, which the server shows once. Each is good for one sign-in in place of a code of the app.',
    }),
  },
  { $id: 'RecoveryCodes', description: 'The new recovery codes' },
)
export const FactorStatus = Type.Object(
  {
    enabled: Type.Boolean({ description: 'Whether signing in asks for it', examples: [true] }),
    confirmedAt: NullableInstant('When a code confirmed it'),
    recoveryCodesLeft: Type.Integer({
      description: 'How many recovery codes are unused',
      examples: [9],
    }),
  },
  { $id: 'FactorStatus', description: 'The state of the second factor' },
)
