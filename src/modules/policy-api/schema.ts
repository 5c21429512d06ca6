import Type from 'typebox'
import {
  Instant,
  Nullable,
  NullableInstant,
  OneOf,
  pageQuery,
  StrictObject,
  Text,
  Uuid,
} from '../../http/schemas.ts'
import { REASON_CODES } from '../policy/document.ts'
import { ChangeRouter, REVISION } from '../routers/schema.ts'

const Rate = Nullable(Type.Integer({ description: 'kbit/s; null for none', examples: [null] }))
const Decision = OneOf(['allow', 'limit', 'block'])
const Macs = Type.Array(Type.String({ examples: ['00:00:5e:00:53:01'] }))

const Reason = Type.Object(
  {
    code: OneOf(REASON_CODES, 'Stable', 'mode-none'),
    text: Type.String({ examples: ['The router restricts nobody'] }),
    id: Type.Optional(Uuid('Of the block, schedule, override or entry that says so')),
  },
  { $id: 'Reason' },
)
const outcome = {
  decision: Decision,
  rate: Rate,
  until: NullableInstant('When time alone changes this outcome', null),
  reasons: Type.Array(Reason),
}

export const Entry = Type.Object(
  {
    deviceId: Nullable(Uuid('Null for a list entry whose MAC was never seen')),
    macs: Macs,
    ...outcome,
    upcoming: Type.Array(Type.Object({ at: Instant(), decision: Decision, rate: Rate }), {
      description: 'What it changes to within two days, for an agent that cannot ask',
    }),
  },
  { $id: 'PolicyEntry' },
)

export const Policy = Type.Object(
  {
    revision: Type.String({
      description: 'Opaque: compare for equality only. It changes when the outcome does',
      examples: [REVISION],
    }),
    routerId: Uuid(),
    mode: OneOf(['none', 'whitelist', 'blacklist']),
    generatedAt: Instant('The moment that the decisions are for'),
    default: Type.Object(
      { decision: Decision, rate: Rate },
      { description: 'For what is not among the devices' },
    ),
    devices: Type.Array(Entry),
    changesAt: Type.Array(Instant(), { description: 'The next moments at which time changes an outcome' }),
  },
  { $id: 'Policy' },
)

export const PolicyQuery = StrictObject({
  at: Type.Optional(
    Type.String({ format: 'date-time', maxLength: 40, description: 'Another moment than now' }),
  ),
})
export const MAX_WAIT_SECONDS = 60
export const WaitQuery = StrictObject({
  wait: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: MAX_WAIT_SECONDS,
      description: 'Seconds to wait for a revision other than that of If-None-Match',
    }),
  ),
})
export const KnownRevision = Type.Object({
  'If-None-Match': Type.Optional(
    Type.String({ description: 'The `ETag` of the last answer', examples: [`"${REVISION}"`] }),
  ),
})
const { limit, offset } = pageQuery([])
export const PartQuery = StrictObject({ limit, offset })
export const Applied = StrictObject({
  revision: Text({ max: 100, examples: [REVISION] }),
  error: Type.Optional(Nullable(Text({ max: 1_000, description: 'Why it could not be applied' }))),
})

const ListChange = StrictObject({
  add: Type.Optional(
    Type.Array(
      StrictObject(
        {
          deviceId: Type.Optional(Uuid()),
          mac: Type.Optional(Text({ max: 50 })),
          ip: Type.Optional(Text({ max: 60 })),
        },
        { minProperties: 1, maxProperties: 1 },
      ),
      { maxItems: 100 },
    ),
  ),
  remove: Type.Optional(Type.Array(Uuid('Of an entry'), { maxItems: 100 })),
})
const { mode, action, limitRate, fullRate, newDevices } = ChangeRouter.properties

export const Change = StrictObject({
  router: Type.Optional(
    StrictObject({ mode, action, limitRate, fullRate, newDevices }, { examples: [{ mode: 'whitelist' }] }),
  ),
  whitelist: Type.Optional(ListChange),
  blacklist: Type.Optional(ListChange),
  blocks: Type.Optional(
    Type.Array(
      StrictObject({
        deviceId: Type.Optional(Uuid()),
        groupId: Type.Optional(Uuid('Neither a device nor a group: the whole router')),
        minutes: Type.Optional(
          Type.Integer({
            minimum: 1,
            maximum: 525_600,
            description: 'A pause; without it the block is manual',
          }),
        ),
      }),
      { maxItems: 100 },
    ),
  ),
  unblock: Type.Optional(Type.Array(Uuid('Of a block'), { maxItems: 100 })),
  devices: Type.Optional(
    Type.Array(
      StrictObject({
        deviceId: Uuid(),
        groupId: Type.Optional(Nullable(Uuid())),
        isInfrastructure: Type.Optional(Type.Boolean()),
      }),
      {
        maxItems: 100,
      },
    ),
  ),
})
export const PreviewRequest = StrictObject({ change: Change })
export const PreviewedOutcome = Type.Object(outcome, { $id: 'PreviewedOutcome' })
export const PreviewAnswer = Type.Object(
  {
    affected: Type.Array(
      Type.Object({
        deviceId: Nullable(Uuid()),
        macs: Macs,
        before: PreviewedOutcome,
        after: PreviewedOutcome,
      }),
      {
        description: 'Devices that would be decided otherwise, at another rate, or until another time',
      },
    ),
  },
  { $id: 'Preview' },
)
