import Type from 'typebox'
import { Instant, Nullable, OneOf, pageQuery, StrictObject, Uuid } from '../../http/schemas.ts'
import { DAYS } from '../../network/windows.ts'

const Time = (description: string, example: string) =>
  Type.String({
    pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$',
    'x-expects': 'a time of day such as 21:00',
    description,
    examples: [example],
  })

const recurrence = {
  kind: OneOf(['blocked-during', 'allowed-only-during']),
  days: Type.Array(OneOf(DAYS), {
    minItems: 1,
    maxItems: 7,
    uniqueItems: true,
    description: 'Those on which it starts',
  }),
  start: Time("In the router's time zone", '21:00'),
  end: Time('Not after `start`: on the next day; the same: 24 hours later', '07:00'),
}
const Enabled = Type.Boolean({ examples: [true] })

export const Schedule = Type.Object(
  {
    id: Uuid(),
    routerId: Uuid(),
    deviceId: Nullable(Uuid()),
    groupId: Nullable(Uuid('One of the two is null', null)),
    ...recurrence,
    enabled: Enabled,
    createdAt: Instant(),
  },
  { $id: 'Schedule' },
)
export type Schedule = Type.Static<typeof Schedule>

export const AddSchedule = StrictObject(
  {
    deviceId: Type.Optional(Uuid()),
    groupId: Type.Optional(Uuid()),
    ...recurrence,
    enabled: Type.Optional(Enabled),
  },
  { oneOf: [{ required: ['deviceId'] }, { required: ['groupId'] }] },
)
export type AddSchedule = Type.Static<typeof AddSchedule>

export const ChangeSchedule = Type.Partial(StrictObject({ ...recurrence, enabled: Enabled }), {
  additionalProperties: false,
  minProperties: 1,
})
export type ChangeSchedule = Type.Static<typeof ChangeSchedule>

export const SCHEDULE_SORTS = ['createdAt', 'start', 'end', 'kind'] as const
export const ListSchedules = StrictObject({
  routerId: Type.Optional(Uuid()),
  deviceId: Type.Optional(Uuid('Its own schedules, without those of its group')),
  groupId: Type.Optional(Uuid()),
  enabled: Type.Optional(Type.Boolean()),
  ...pageQuery(SCHEDULE_SORTS),
})
export type ListSchedules = Type.Static<typeof ListSchedules>

const Decision = OneOf(['allow', 'block'], 'Instead of what schedules say; every other rule holds as before')

export const AddOverride = StrictObject({
  decision: Decision,
  until: Type.Optional(
    Type.Unsafe<string>({
      description:
        'A time, or the next start or end of a schedule of the device or its group; that also when left out',
      examples: ['2100-01-01T00:00:00Z', 'next-change'],
      anyOf: [
        { type: 'string', format: 'date-time', maxLength: 40 },
        { type: 'string', enum: ['next-change'] },
      ],
    }),
  ),
})

export const Override = Type.Object(
  { id: Uuid(), deviceId: Uuid(), decision: Decision, until: Instant(), createdAt: Instant() },
  { $id: 'Override' },
)
export type Override = Type.Static<typeof Override>
