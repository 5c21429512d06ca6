import Type from 'typebox'
import {
  EXAMPLE_ID,
  Forms,
  Instant,
  Nullable,
  NullableInstant,
  OneOf,
  pageQuery,
  StrictObject,
  Text,
  Uuid,
} from '../../http/schemas.ts'
import { REASON_CODES, SCOPES } from '../policy/document.ts'
import { ChangeRouter, REVISION } from '../routers/schema.ts'

const Rate = Nullable(
  Type.Integer({ description: 'The rate in kbit/s; null for no limit', examples: [null] }),
)

const Decision = OneOf(['allow', 'limit', 'block'])
const Macs = Type.Array(Type.String({ examples: ['00:00:5e:00:53:01'] }))

const Reason = Type.Object(
  {
    code: OneOf(REASON_CODES, 'The stable name of the rule', 'pause'),
    text: Type.String({
      description: 'The rule and its facts as an English sentence',
      examples: ['Its group is paused until 2026-01-31T20:00:00.000Z: Homework first'],
    }),
    id: Type.Optional(Uuid('The id of the block, schedule, override or list entry', EXAMPLE_ID)),
    scope: Type.Optional(OneOf(SCOPES, 'What a block, pause, schedule or override is about', 'group')),
    until: Type.Optional(Instant('When a pause or an override ends by itself', '2026-01-31T20:00:00.000Z')),
    note: Type.Optional(
      Type.String({
        description: 'What its author wrote about a block or a pause',
        examples: ['Homework first'],
      }),
    ),
  },
  { $id: 'Reason', description: 'A rule that led to a decision' },
)
const outcome = {
  decision: OneOf(['allow', 'limit', 'block'], undefined, 'block'),
  rate: Rate,
  until: NullableInstant('When time alone changes the decision; null when it does not'),
  reasons: Type.Array(Reason),
}

export const Entry = Type.Object(
  {
    deviceId: Nullable(Uuid('The id of the device; null for a list entry whose MAC no scan has seen')),
    macs: Macs,
    ...outcome,
    upcoming: Type.Array(Type.Object({ at: Instant(), decision: Decision, rate: Rate }), {
      description: 'The decisions of the next two days, for an agent that cannot ask',
    }),
  },
  { $id: 'PolicyEntry', description: 'The decision for one device' },
)

export const Policy = Type.Object(
  {
    revision: Type.String({
      description: 'An opaque name of this outcome. Compare it for equality only.',
      examples: [REVISION],
    }),
    routerId: Uuid(),
    mode: OneOf(['none', 'whitelist', 'blacklist']),
    generatedAt: Instant('The moment that the decisions are for'),
    default: Type.Object(
      { decision: Decision, rate: Rate },
      { description: 'The decision for everything that is not among the devices' },
    ),
    devices: Type.Array(Entry),
    changesAt: Type.Array(Instant(), { description: 'The moments at which time changes a decision' }),
  },
  { $id: 'Policy', description: 'The decision for every device of a router' },
)

/** The formats that an agent may request instead of JSON. */
const NftScript = Type.String({
  description: 'An nft script that replaces one table in one step',
  examples: ['#!/usr/sbin/nft -f\n'],
})

const PolicyLines = Type.String({
  description:
    'One line for each MAC: `<mac> <decision> [rate]`. A last line with `*` is for every other MAC.',
  examples: ['00:00:5e:00:53:01 allow\n00:00:5e:00:53:02 limit 2000\n'],
})

/** The policy in each media type that an agent may accept. */
export const AgentPolicy = {
  content: {
    'application/json': { schema: Policy },
    'text/x-nftables': { schema: NftScript },
    'text/plain': { schema: PolicyLines },
  },
}

export const PolicyQuery = StrictObject({
  at: Type.Optional(
    Type.String({
      format: 'date-time',
      maxLength: 40,
      description: 'The moment to decide for, when it is not now',
    }),
  ),
})
export const MAX_WAIT_SECONDS = 60
export const WaitQuery = StrictObject({
  wait: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: MAX_WAIT_SECONDS,
      description: 'How many seconds to wait for another revision than that of `If-None-Match`',
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
  revision: Text({
    max: 100,
    description: 'The revision of the policy that the agent enforces',
    examples: [REVISION],
  }),
  error: Type.Optional(
    Nullable(Text({ max: 1_000, description: 'Why the agent could not apply the policy' })),
  ),
})

/** The change of each list by itself, because a field name can occur only once in a body. */
const listChange = (list: 'Whitelist' | 'Blacklist') =>
  StrictObject(
    {
      add: Type.Optional(
        Type.Array(
          Forms(
            { $id: `${list}Addition`, description: 'A device by its id, a MAC or an IP address' },
            {
              deviceId: Type.Optional(Uuid()),
              mac: Type.Optional(Text({ max: 50 })),
              ip: Type.Optional(Text({ max: 60 })),
            },
            [['deviceId'], ['mac'], ['ip']],
          ),
          { maxItems: 100 },
        ),
      ),
      remove: Type.Optional(Type.Array(Uuid('The id of an entry'), { maxItems: 100 })),
    },
    { $id: `${list}Change`, description: `What to add to the ${list.toLowerCase()} and to remove from it` },
  )
const { mode, action, limitRate, fullRate, newDevices } = ChangeRouter.properties

export const Change = StrictObject(
  {
    router: Type.Optional(
      StrictObject(
        { mode, action, limitRate, fullRate, newDevices },
        { description: 'Changes of the router', examples: [{ mode: 'whitelist' }] },
      ),
    ),
    whitelist: Type.Optional(listChange('Whitelist')),
    blacklist: Type.Optional(listChange('Blacklist')),
    blocks: Type.Optional(
      Type.Array(
        StrictObject({
          deviceId: Type.Optional(Uuid()),
          groupId: Type.Optional(
            Uuid('The id of the group. Without device and group the block is of the whole router.'),
          ),
          minutes: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 525_600,
              description: 'How many minutes a pause lasts; without it the block is manual',
            }),
          ),
        }),
        { maxItems: 100, description: 'New blocks' },
      ),
    ),
    unblock: Type.Optional(Type.Array(Uuid(), { maxItems: 100, description: 'The ids of blocks to end' })),
    devices: Type.Optional(
      Type.Array(
        StrictObject({
          deviceId: Uuid(),
          groupId: Type.Optional(Nullable(Uuid())),
          isInfrastructure: Type.Optional(Type.Boolean()),
        }),
        { maxItems: 100, description: 'Changes of devices' },
      ),
    ),
  },
  { description: 'The change to try' },
)

export const PreviewRequest = StrictObject({ change: Change })
export const PreviewedOutcome = Type.Object(outcome, {
  $id: 'PreviewedOutcome',
  description: 'The decision for a device before or after the change',
})

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
        description: 'The devices whose decision, rate or end would change',
      },
    ),
  },
  { $id: 'Preview', description: 'The decisions that a change would alter' },
)
