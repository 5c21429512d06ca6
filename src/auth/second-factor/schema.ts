import Type from 'typebox'
import { NullableInstant, StrictObject, Text } from '../../http/schemas.ts'
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
    description: 'Of the problem `second-factor-required`',
    examples: ['npt_0F3K…'],
  }),
  code: Code,
})
export const ConfirmFactor = StrictObject({ code: TotpCode })
export const RenewRecoveryCodes = StrictObject({ code: Code })
export const SwitchOffFactor = StrictObject({ ...ownerProof, code: Code }, ONE_PROOF)

export const OfferedSecret = Type.Object(
  {
    secret: Type.String({
      description: 'To be typed into an app; base32',
      examples: ['GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'],
    }),
    uri: Type.String({
      description: 'To be shown as a QR code',
      examples: [
        'otpauth://totp/NetPilot:ada%40example.com?issuer=NetPilot&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm=SHA1&digits=6&period=30',
      ],
    }),
  },
  { $id: 'OfferedSecret' },
)
export const NewRecoveryCodes = Type.Object(
  {
    recoveryCodes: Type.Array(Type.String({ examples: ['7k3q-x0mv-9edt'] }), {
      minItems: RECOVERY_CODE_COUNT,
      maxItems: RECOVERY_CODE_COUNT,
      description: 'Shown once. Each is good for one sign-in in place of a code of the app',
    }),
  },
  { $id: 'RecoveryCodes' },
)
export const FactorStatus = Type.Object(
  {
    enabled: Type.Boolean({ examples: [true] }),
    confirmedAt: NullableInstant('Since when it is asked for'),
    recoveryCodesLeft: Type.Integer({ minimum: 0, maximum: RECOVERY_CODE_COUNT, examples: [9] }),
  },
  { $id: 'FactorStatus' },
)
