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
        description: "The user's name for it, or else its host name",
        examples: ['Kitchen laptop'],
      }),
    ),
    hostname: Nullable(Type.String({ examples: ['thinkpad'] })),
    type: Nullable(Type.String({ examples: ['laptop'] })),
    manufacturer: Nullable(
      Type.String({
        description: "The user's word, or else the organisation that its MAC is assigned to",
        examples: ['Lenovo'],
      }),
    ),
    macs: Type.Array(Type.String({ examples: ['00:00:5e:00:53:01'] })),
    ips: Type.Array(Type.String({ examples: ['192.168.1.20'] })),
    randomMac: Type.Boolean({ description: 'A hint: its newest MAC was not assigned by a manufacturer' }),
    online: Type.Boolean({ examples: [true] }),
    groupId: Nullable(Uuid()),
    isInfrastructure: Type.Boolean(),
    mine: Type.Boolean(),
    rate: Nullable(
      Type.Integer({
        description: 'kbit/s; comes before the rate of its group and router',
        examples: [50_000],
      }),
    ),
    approval: OneOf(['approved', 'held', 'dismissed']),
    firstSeen: Instant(),
    lastSeen: Instant(),
  },
  { $id: 'Device' },
)
export type Device = Type.Static<typeof Device>

export const DEVICE_SORTS = ['name', 'hostname', 'type', 'manufacturer', 'firstSeen', 'lastSeen'] as const
export const ListDevices = StrictObject({
  routerId: Type.Optional(Uuid()),
  search: Type.Optional(
    Text({ max: 100, description: 'Part of a name, host name, manufacturer, MAC or address' }),
  ),
  type: Type.Optional(Text({ max: 50 })),
  online: Type.Optional(Type.Boolean()),
  groupId: Type.Optional(Uuid()),
  approval: Type.Optional(OneOf(['approved', 'held', 'dismissed'])),
  ...pageQuery(DEVICE_SORTS),
})
export type ListDevices = Type.Static<typeof ListDevices>

export const ChangeDevice = Type.Partial(
  StrictObject({
    name: Nullable(
      Name({ max: 100, description: 'null gives the field back to scans', examples: ['Kitchen laptop'] }),
    ),
    type: Nullable(Name({ max: 50, examples: ['phone'] })),
    manufacturer: Nullable(Name({ max: 200 })),
    groupId: Nullable(Uuid()),
    isInfrastructure: Type.Boolean({ description: 'Never blocked or limited' }),
    mine: Type.Boolean({ description: 'Blocked only with force' }),
    rate: Rate,
  }),
  { additionalProperties: false, minProperties: 1 },
)
export type ChangeDevice = Type.Static<typeof ChangeDevice>

/** At most so many in one call. */
export const MAX_CHANGES = 200
export const ChangeDevices = StrictObject({
  changes: Type.Array(StrictObject({ id: Uuid(), ...ChangeDevice.properties }, { minProperties: 2 }), {
    minItems: 1,
    maxItems: MAX_CHANGES,
  }),
})
export type ChangeDevices = Type.Static<typeof ChangeDevices>
export const DeviceOutcomes = bulkAnswer('DeviceOutcomes', 'Of the change', 'Of the device that was changed')

export const HistoryQuery = StrictObject(cursorFields)
const DeviceEvent = Type.Object({
  at: Instant(),
  kind: OneOf(['first-seen', 'address', 'merged', 'merge-undone', 'blocked', 'paused', 'unblocked']),
  id: Uuid('Of the device, the merge or the block; of an address of nothing else'),
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
  { $id: 'DeviceHistory' },
)

export const MacParams = StrictObject({ mac: Text({ max: 50, examples: ['02:00:5e:10:00:01'] }) })
export const MacQuery = StrictObject({ routerId: Type.Optional(Uuid()) })
export const ClearQuery = StrictObject({ routerId: Uuid() })
export const Removed = Type.Object({ removed: Type.Integer({ examples: [3] }) }, { $id: 'Removed' })

/** The devices that nobody has decided on yet. */
const { search, limit, offset, sort } = ListDevices.properties
export const ListInbox = StrictObject({ search, limit, offset, sort })

export const Merge = StrictObject({
  from: Type.Array(Uuid(), { minItems: 1, maxItems: 20, uniqueItems: true }),
})
export const Split = StrictObject({
  macs: Type.Array(Text({ max: 50, examples: ['00:00:5e:00:53:01'] }), {
    minItems: 1,
    maxItems: 20,
    uniqueItems: true,
  }),
})
export const MergedDevice = Type.Object(
  { ...Device.properties, mergeIds: Type.Array(Uuid(), { description: 'For the undo of each' }) },
  { $id: 'MergedDevice' },
)
export const MergeRecord = Type.Object(
  {
    id: Uuid(),
    deviceId: Uuid(),
    mergedDeviceId: Uuid(),
    mergedAt: Instant(),
    undoneAt: NullableInstant('Null while it holds', null),
  },
  { $id: 'MergeRecord' },
)
export const Suggestion = Type.Object(
  {
    into: Uuid('The device that is there now'),
    from: Uuid('The device that vanished as the other appeared'),
    hostname: Type.String({ examples: ['thinkpad'] }),
    vanishedAt: Instant(undefined, '2026-01-31T19:58:00.000Z'),
    appearedAt: Instant(),
  },
  { $id: 'Suggestion' },
)
export const OfRouter = StrictObject({ routerId: Uuid() })
export const itemsOf = <T extends Type.TSchema & { $id?: string }>(item: T) =>
  Type.Object({ items: Type.Array(item), total: Type.Integer({ examples: [1] }) }, { $id: `${item.$id}List` })
