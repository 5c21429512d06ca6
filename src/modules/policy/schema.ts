import Type from 'typebox'
import { Instant, Nullable, NullableInstant, OneOf, Strict, Text, Uuid } from '../../http/schemas.ts'

const Rate = Nullable(Type.Integer({ description: 'kbit/s' }))
const Decision = OneOf(['allow', 'limit', 'block'])

export const Entry = Type.Object(
  {
    deviceId: Nullable(Uuid('Null for a list entry whose MAC was never seen')),
    macs: Type.Array(Type.String()),
    decision: Decision,
    rate: Rate,
    until: NullableInstant('When time alone changes this outcome'),
    reasons: Type.Array(
      Type.Object({
        code: Type.String({ description: 'Stable' }),
        text: Type.String(),
        id: Type.Optional(Uuid('Of the block, schedule, override or entry that says so')),
      }),
    ),
    upcoming: Type.Array(Type.Object({ at: Instant(), decision: Decision, rate: Rate }), {
      description: 'What it changes to within two days, for an agent that cannot ask',
    }),
  },
  { $id: 'PolicyEntry' },
)

export const Policy = Type.Object(
  {
    revision: Type.String({ description: 'Opaque: compare for equality only. It changes when the outcome does' }),
    routerId: Uuid(),
    mode: OneOf(['none', 'whitelist', 'blacklist']),
    generatedAt: Instant('The moment that the decisions are for'),
    default: Type.Object({ decision: Decision, rate: Rate }, { description: 'For what is not among the devices' }),
    devices: Type.Array(Entry),
    changesAt: Type.Array(Instant(), { description: 'The next moments at which time changes an outcome' }),
  },
  { $id: 'Policy' },
)

export const PolicyQuery = Strict({
  at: Type.Optional(Type.String({ format: 'date-time', maxLength: 40, description: 'Another moment than now' })),
})
export const PolicyParams = Strict({ id: Uuid() })
export const WaitQuery = Strict({
  wait: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 60, description: 'Seconds to wait for a revision other than that of If-None-Match' }),
  ),
})
export const Applied = Strict({
  revision: Text({ max: 100 }),
  error: Type.Optional(Nullable(Text({ max: 1_000, description: 'Why it could not be applied' }))),
})
