import Type from 'typebox'
import {
  bulkAnswer,
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
import { cursorFields, NextCursor } from '../paging/cursor.ts'
import { Rate } from '../routers/schema.ts'

export const Device = Type.Object(
  {
    id: Uuid(),
    routerId: Uuid(),
    name: Nullable(
      Type.String({
        description: 'The name that the owner gave it, or else its host name',
        examples: ['Kitchen laptop'],
      }),
    ),
    hostname: Nullable(Type.String({ examples: ['thinkpad'] })),
    type: Nullable(Type.String({ description: 'The kind of device', examples: ['laptop'] })),
    manufacturer: Nullable(
      Type.String({
        description:
          'The manufacturer that the owner named, or else the organisation that its MAC is assigned to',
        examples: ['Lenovo'],
      }),
    ),
    macs: Type.Array(Type.String({ examples: ['00:00:5e:00:53:01'] })),
    ips: Type.Array(Type.String({ examples: ['192.168.1.20'] })),
    randomMac: Type.Boolean({
      description: 'Whether the newest MAC is a random one, which no manufacturer assigned',
    }),
    online: Type.Boolean({ examples: [true] }),
    groupId: Nullable(Uuid()),
    isInfrastructure: Type.Boolean(),
    mine: Type.Boolean(),
    rate: Nullable(
      Type.Integer({
        description: 'The rate of the device in kbit/s. It comes before the rate of its group and router.',
        examples: [50_000],
      }),
    ),
    approval: OneOf(['approved', 'held', 'dismissed']),
    firstSeen: Instant(),
    lastSeen: Instant(),
  },
  { $id: 'Device', description: 'A device on the network of a router' },
)
export type Device = Type.Static<typeof Device>

export const DEVICE_SORTS = ['name', 'hostname', 'type', 'manufacturer', 'firstSeen', 'lastSeen'] as const
export const ListDevices = StrictObject({
  routerId: Type.Optional(Uuid()),
  search: Type.Optional(
    Text({ max: 100, description: 'A part of a name, host name, manufacturer, MAC or address' }),
  ),
  type: Type.Optional(Text({ max: 50, description: 'The kind of device' })),
  online: Type.Optional(Type.Boolean()),
  groupId: Type.Optional(Uuid()),
  approval: Type.Optional(OneOf(['approved', 'held', 'dismissed'])),
  ...pageQuery(DEVICE_SORTS),
})
export type ListDevices = Type.Static<typeof ListDevices>

export const ChangeDevice = Type.Partial(
  StrictObject({
    name: Nullable(
      Name({
        max: 100,
        description: 'The name that people see; null leaves it to scans',
        examples: ['Kitchen laptop'],
      }),
    ),
    type: Nullable(Name({ max: 50, description: 'The kind of device', examples: ['phone'] })),
    manufacturer: Nullable(Name({ max: 200 })),
    groupId: Nullable(Uuid()),
    isInfrastructure: Type.Boolean({
      description: 'Whether the device is part of the network itself, and so never blocked',
    }),
    mine: Type.Boolean({ description: "Whether the device is the person's own, which only `force` blocks" }),
    rate: Rate,
  }),
  { additionalProperties: false, minProperties: 1 },
)
export type ChangeDevice = Type.Static<typeof ChangeDevice>

/** The maximum number of changes in one call. */
export const MAX_CHANGES = 200
export const ChangeDevices = StrictObject({
  changes: Type.Array(StrictObject({ id: Uuid(), ...ChangeDevice.properties }, { minProperties: 2 }), {
    minItems: 1,
    maxItems: MAX_CHANGES,
    description: 'The changes, one for each device',
  }),
})
export type ChangeDevices = Type.Static<typeof ChangeDevices>
export const DeviceOutcomes = bulkAnswer(
  'DeviceOutcomes',
  'The place of the change in the request',
  'The id of the device',
)

export const HistoryQuery = StrictObject(cursorFields)
const DeviceEvent = Type.Object({
  at: Instant(),
  kind: OneOf(
    ['first-seen', 'address', 'merged', 'merge-undone', 'blocked', 'paused', 'unblocked'],
    'What happened',
  ),
  id: Uuid('The id of the device, the merge or the block'),
  detail: Nullable(
    Type.String({
      description: 'A host name, a MAC, the name of the device that was merged, or the reason of a block',
      examples: ['thinkpad'],
    }),
  ),
})
export type DeviceEvent = Type.Static<typeof DeviceEvent>
export const DeviceHistory = Type.Object(
  { items: Type.Array(DeviceEvent), nextCursor: NextCursor },
  { $id: 'DeviceHistory', description: 'What happened to a device, the newest first' },
)

export const MacParams = StrictObject({ mac: Text({ max: 50, examples: ['02:00:5e:10:00:01'] }) })
export const MacQuery = StrictObject({ routerId: Type.Optional(Uuid()) })
export const ClearQuery = StrictObject({ routerId: Uuid() })
export const Removed = Type.Object(
  { removed: Type.Integer({ examples: [3] }) },
  { $id: 'Removed', description: 'How many were removed' },
)

/** The query for the devices without a decision. */
const { search, limit, offset, sort } = ListDevices.properties
export const ListInbox = StrictObject({ search, limit, offset, sort })

export const Merge = StrictObject({
  from: Type.Array(Uuid(), {
    minItems: 1,
    maxItems: 20,
    uniqueItems: true,
    description: 'The ids of the devices that become part of this one',
  }),
})

export const Split = StrictObject({
  macs: Type.Array(Text({ max: 50, examples: ['00:00:5e:00:53:01'] }), {
    minItems: 1,
    maxItems: 20,
    uniqueItems: true,
    description: 'The MAC addresses that leave the device',
  }),
})
export const MergedDevice = Type.Object(
  {
    ...Device.properties,
    mergeIds: Type.Array(Uuid(), { description: 'The ids of the merges, to undo them by' }),
  },
  { $id: 'MergedDevice', description: 'The device after the merge' },
)
export const MergeRecord = Type.Object(
  {
    id: Uuid(),
    deviceId: Uuid(),
    mergedDeviceId: Uuid(),
    mergedAt: Instant(),
    undoneAt: NullableInstant('When the merge was undone; null while it holds', null),
  },
  { $id: 'MergeRecord', description: 'A merge of one device into another' },
)
export const Suggestion = Type.Object(
  {
    into: Uuid('The id of the device that is there now'),
    from: Uuid('The id of the device that vanished as the other appeared'),
    hostname: Type.String({ examples: ['thinkpad'] }),
    vanishedAt: Instant(undefined, '2026-01-31T19:58:00.000Z'),
    appearedAt: Instant(),
  },
  { $id: 'Suggestion', description: 'Two devices that may be one' },
)
export const OfRouter = StrictObject({ routerId: Uuid() })
export const itemsOf = <T extends Type.TSchema & { $id?: string }>(item: T) =>
  Type.Object(
    { items: Type.Array(item), total: Type.Integer({ examples: [1] }) },
    { $id: `${item.$id}List`, description: `All \`${item.$id}\` entries` },
  )
