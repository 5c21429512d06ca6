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
    rate: Nullable(Type.Integer({ description: 'The rate of its devices in kbit/s', examples: [20_000] })),
    deviceCount: Type.Integer({ examples: [4] }),
    createdAt: Instant(),
  },
  { $id: 'Group', description: 'A group of devices' },
)
export type Group = Type.Static<typeof Group>

const name = Name({
  max: 100,
  examples: ['kids'],
  description: 'The name, which no other group of the router has',
})

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
  search: Type.Optional(Text({ max: 100, description: 'A part of the name' })),
  ...pageQuery(GROUP_SORTS),
})
export type ListGroups = Type.Static<typeof ListGroups>

const Devices = Type.Optional(Type.Array(Uuid(), { maxItems: 1_000, examples: [[EXAMPLE_ID]] }))
export const MoveDevices = StrictObject({ add: Devices, remove: Devices }, { minProperties: 1 })
export const Moved = Type.Object(
  {
    added: Type.Integer({ description: 'How many devices came into the group', examples: [2] }),
    removed: Type.Integer({ description: 'How many devices left the group', examples: [1] }),
  },
  { $id: 'Moved', description: 'How many devices were moved' },
)
export type Moved = Type.Static<typeof Moved>
