import Type from 'typebox'
import {
  EXAMPLE_ID,
  Instant,
  Name,
  Nullable,
  pageQuery,
  StrictObject,
  Text,
  Uuid,
} from '../../http/schemas.ts'
import { AddRouter } from '../routers/schema.ts'

export const Group = Type.Object(
  {
    id: Uuid(),
    routerId: Uuid(),
    name: Type.String({ examples: ['kids'] }),
    rate: Nullable(Type.Integer({ description: 'kbit/s', examples: [20_000] })),
    deviceCount: Type.Integer({ examples: [4] }),
    createdAt: Instant(),
  },
  { $id: 'Group' },
)
export type Group = Type.Static<typeof Group>

const name = Name({ max: 100, examples: ['kids'], description: 'One of its name on a router' })
const { limitRate: rate } = AddRouter.properties

export const AddGroup = StrictObject({ routerId: Uuid(), name, rate })
export const ChangeGroup = Type.Partial(StrictObject({ name, rate }), {
  additionalProperties: false,
  minProperties: 1,
})
export type GroupFields = Type.Static<typeof ChangeGroup>

export const GROUP_SORTS = ['name', 'createdAt'] as const
export const ListGroups = StrictObject({
  routerId: Type.Optional(Uuid()),
  search: Type.Optional(Text({ max: 100, description: 'Part of a name' })),
  ...pageQuery(GROUP_SORTS),
})
export type ListGroups = Type.Static<typeof ListGroups>

const Devices = Type.Optional(Type.Array(Uuid(), { maxItems: 1_000, examples: [[EXAMPLE_ID]] }))
export const MoveDevices = StrictObject({ add: Devices, remove: Devices }, { minProperties: 1 })
export const Moved = Type.Object(
  {
    added: Type.Integer({ description: 'That were not in the group, perhaps in another', examples: [2] }),
    removed: Type.Integer({ description: 'That were in the group and are now in none', examples: [1] }),
  },
  { $id: 'Moved' },
)
export type Moved = Type.Static<typeof Moved>
