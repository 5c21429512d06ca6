import Type from 'typebox'
import { Forms, Instant, Nullable, OneOf, pageQuery, StrictObject, Uuid } from '../../http/schemas.ts'
import { DAYS } from '../../network/windows.ts'

const Time = (description: string, example: string) =>
  Type.String({
    pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$',
    'x-expects': 'a time of day such as 21:00',
    description,
    examples: [example],
  })

const recurrence = {
  kind: OneOf(
    ['blocked-during', 'allowed-only-during'],
    'Whether the window blocks, or is the only time that is allowed',
  ),
  days: Type.Array(OneOf(DAYS), {
    minItems: 1,
    maxItems: 7,
    uniqueItems: true,
    description: 'The days on which the window starts',
  }),
  start: Time("The time at which the window starts, in the router's time zone", '21:00'),
  end: Time(
    'The time at which the window ends. When it is not after `start`, it is on the next day.',
    '07:00',
  ),
}
const Enabled = Type.Boolean({ examples: [true] })

export const Schedule = Type.Object(
  {
    id: Uuid(),
    routerId: Uuid(),
    deviceId: Nullable(Uuid()),
    groupId: Nullable(Uuid('The id of the group. A schedule is for a device or a group.', null)),
    ...recurrence,
    enabled: Enabled,
    createdAt: Instant(),
  },
  { $id: 'Schedule', description: 'A weekly rule for a device or a group' },
)
export type Schedule = Type.Static<typeof Schedule>

export const AddSchedule = Forms(
  { $id: 'NewSchedule', description: 'A schedule for a device, or for a group' },
  {
    deviceId: Type.Optional(Uuid()),
    groupId: Type.Optional(Uuid()),
    ...recurrence,
    enabled: Type.Optional(Enabled),
  },
  [['deviceId'], ['groupId']],
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
  deviceId: Type.Optional(Uuid('The id of the device, for its own schedules without those of its group')),
  groupId: Type.Optional(Uuid()),
  enabled: Type.Optional(Type.Boolean()),
  ...pageQuery(SCHEDULE_SORTS),
})
export type ListSchedules = Type.Static<typeof ListSchedules>

const Decision = OneOf(
  ['allow', 'block'],
  'What holds instead of the schedules. Every other rule holds as before.',
)

export const AddOverride = StrictObject({
  decision: Decision,
  until: Type.Optional(
    Type.Unsafe<string>({
      description:
        'The end: a time, or the next start or end of a schedule of the device or its group (the default)',
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
  { $id: 'Override', description: 'An exception to the schedules of a device' },
)
export type Override = Type.Static<typeof Override>
