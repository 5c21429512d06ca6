import Type from 'typebox'
import {
  Instant,
  Name,
  Nullable,
  NullableInstant,
  OneOf,
  pageQuery,
  StrictObject,
  Text,
  Uuid,
} from '../../http/schemas.ts'
import { MAX_RATE, RATE_TEXT } from '../../network/rate.ts'

export const Rate = Type.Unsafe<number | string | null>({
  description: 'The rate in kbit/s, or a text such as "50mbit"; null is no limit',
  examples: [50_000, '50mbit'],
  anyOf: [
    { type: 'integer', minimum: 1, maximum: MAX_RATE },
    { type: 'string', maxLength: 20, pattern: RATE_TEXT, 'x-expects': 'a rate such as 50mbit' },
    { type: 'null' },
  ],
})

const Address = Type.Unsafe<string | null>({
  description: 'The IP address of the router on its own network. What has it is not a device.',
  anyOf: [
    { type: 'string', format: 'ipv4' },
    { type: 'string', format: 'ipv6', maxLength: 45 },
    { type: 'null' },
  ],
})

/** An example of a policy revision. */
export const REVISION = 'foNBEZtqxJeNsIfzVrZP7O'

const writable = {
  name: Name({ max: 100, examples: ['Home'] }),
  ip: Address,
  tunnelPort: Nullable(Type.Integer({ minimum: 1, maximum: 65_535, examples: [51_820] })),
  isActive: Type.Boolean({
    description:
      'Whether the router is in use. The agent of an inactive router gets 403 `router-inactive` and keeps its last policy.',
    examples: [true],
  }),
  timeZone: Text({
    max: 64,
    description: 'The IANA name of the time zone that schedules follow',
    examples: ['Europe/Berlin'],
  }),
  mode: OneOf(['none', 'whitelist', 'blacklist']),
  action: OneOf(['block', 'limit']),
  limitRate: Rate,
  fullRate: Rate,
  newDevices: OneOf(['allow', 'hold'], 'What happens to a device that no scan has seen before'),
}

export const Router = Type.Object(
  {
    id: Uuid(),
    ...writable,
    ip: Nullable(Type.String({ examples: ['192.168.1.1'] })),
    limitRate: Nullable(
      Type.Integer({ description: 'The rate of limited devices in kbit/s', examples: [10_000] }),
    ),
    fullRate: Nullable(
      Type.Integer({ description: 'The rate of allowed devices in kbit/s', examples: [null] }),
    ),
    status: OneOf(['never-seen', 'online', 'offline'], 'Whether its agent reports', 'online'),
    lastSeen: NullableInstant('When its agent last reported'),
    createdAt: Instant(),
    desiredRevision: Type.String({ description: 'The revision of the current policy', examples: [REVISION] }),
    appliedRevision: Nullable(
      Type.String({
        description: 'The revision of the policy that its agent enforces',
        examples: [REVISION],
      }),
    ),
    drift: Type.Boolean({ description: 'Whether the agent enforces another policy than the current one' }),
    agentError: Nullable(
      Type.String({ description: 'Why the agent could not apply the policy', examples: [null] }),
    ),
  },
  { $id: 'Router', description: 'A router and the state of its agent' },
)

const { name, ...others } = writable
export const AddRouter = StrictObject({ name, ...Type.Partial(Type.Object(others)).properties })
export const ChangeRouter = Type.Partial(StrictObject(writable), {
  additionalProperties: false,
  minProperties: 1,
})
export type RouterFields = Type.Static<typeof ChangeRouter>

const ROUTER_SORTS = ['name', 'createdAt', 'lastSeen'] as const
export const ListRouters = StrictObject({
  search: Type.Optional(Text({ max: 100 })),
  ...pageQuery(ROUTER_SORTS),
})
