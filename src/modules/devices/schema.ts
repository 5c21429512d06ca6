import Type from 'typebox'
import { Instant, Nullable, pageQuery, Strict, Text, Uuid } from '../../http/schemas.ts'

export const Device = Type.Object(
  {
    id: Uuid(),
    routerId: Uuid(),
    name: Nullable(Type.String({ description: "The user's name for it, or else its host name" })),
    hostname: Nullable(Type.String()),
    type: Nullable(Type.String()),
    manufacturer: Nullable(Type.String({ description: "The user's word, or else the organisation that its MAC is assigned to" })),
    macs: Type.Array(Type.String()),
    ips: Type.Array(Type.String()),
    randomMac: Type.Boolean({ description: 'A hint: its newest MAC was not assigned by a manufacturer' }),
    online: Type.Boolean(),
    groupId: Nullable(Uuid()),
    isInfrastructure: Type.Boolean(),
    mine: Type.Boolean(),
    firstSeen: Instant(),
    lastSeen: Instant(),
  },
  { $id: 'Device' },
)
export type Device = Type.Static<typeof Device>

export const DEVICE_SORTS = ['name', 'hostname', 'type', 'manufacturer', 'firstSeen', 'lastSeen'] as const
export const ListDevices = Strict({
  routerId: Type.Optional(Uuid()),
  search: Type.Optional(Text({ max: 100, description: 'Part of a name, host name, manufacturer, MAC or address' })),
  type: Type.Optional(Text({ max: 50 })),
  online: Type.Optional(Type.Boolean()),
  groupId: Type.Optional(Uuid()),
  ...pageQuery(DEVICE_SORTS),
})
export type ListDevices = Type.Static<typeof ListDevices>

export const ChangeDevice = Type.Partial(
  Strict({
    name: Nullable(Text({ max: 100, description: 'null gives the field back to scans' })),
    type: Nullable(Text({ max: 50, examples: ['phone'] })),
    manufacturer: Nullable(Text({ max: 200 })),
    groupId: Nullable(Uuid()),
    isInfrastructure: Type.Boolean({ description: 'Never blocked or limited' }),
    mine: Type.Boolean({ description: 'Blocked only with force' }),
  }),
  { additionalProperties: false, minProperties: 1 },
)
export type ChangeDevice = Type.Static<typeof ChangeDevice>

export const MacParams = Strict({ mac: Text({ max: 50, examples: ['02:00:5e:10:00:01'] }) })
export const MacQuery = Strict({ routerId: Type.Optional(Uuid()) })
export const ClearQuery = Strict({ routerId: Uuid() })
export const Removed = Type.Object({ removed: Type.Integer() })
