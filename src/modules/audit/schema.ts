import Type from 'typebox'
import { Instant, Nullable, OneOf, StrictObject, TAGS, Text, Uuid } from '../../http/schemas.ts'
import { cursorFields, NextCursor } from '../paging/cursor.ts'

const Moment = () => Type.String({ format: 'date-time', maxLength: 40 })

/** Filters and page of an audit log, newest events first. */
const filters = {
  act: Type.Optional(
    Text({ max: 100, description: 'The `operationId` of what was done', examples: ['login'] }),
  ),
  outcome: Type.Optional(OneOf(['success', 'failure'], 'Whether the operation succeeded')),
  from: Type.Optional(Moment()),
  to: Type.Optional(Moment()),
  ...cursorFields,
}
export const ListActs = StrictObject(filters)
export const ListEverybodysActs = StrictObject({
  ...filters,
  userId: Type.Optional(Uuid()),
  actorKind: Type.Optional(OneOf(['user', 'admin', 'system'], 'Who acted')),
})
export type ActFilters = Type.Static<typeof ListEverybodysActs>

const TARGETS = [...(Object.keys(TAGS) as (keyof typeof TAGS)[]), 'users'] as const
const act = {
  sequence: Type.Integer({
    description: 'The place in the log of the account, without gaps',
    examples: [42],
  }),
  at: Instant(),
  actorKind: OneOf(['user', 'agent', 'admin', 'system'], 'Who acted'),
  actorId: Nullable(Uuid('The id of who acted; null when nobody had proven who they are')),
  act: Type.String({ description: 'The `operationId` of what was done', examples: ['changeDevice'] }),
  targetKind: Nullable(
    OneOf<string>(
      TARGETS,
      'The tag of the operation; `users` for what an administrator did to an account',
      'devices',
    ),
  ),
  targetId: Nullable(Uuid()),
  outcome: OneOf(['success', 'failure'], 'Whether the operation succeeded'),
  address: Nullable(Type.String({ examples: ['192.0.2.7'] })),
  detail: Type.Unsafe<Record<string, unknown> | null>({
    type: ['object', 'null'],
    description: 'More about the event, such as how many things one call changed',
    additionalProperties: true,
    examples: [null],
  }),
}
const listOf = <T extends Type.TSchema & { $id?: string }>(item: T) =>
  Type.Object(
    { items: Type.Array(item), nextCursor: NextCursor },
    { $id: `${item.$id}Page`, description: `One page of \`${item.$id}\` entries, the newest first` },
  )

export const Acts = listOf(Type.Object(act, { $id: 'AuditEvent', description: 'An entry of the audit log' }))
const AdminAuditEvent = Type.Object(
  { userId: Uuid('The id of the account that it was about'), ...act },
  { $id: 'AdminAuditEvent', description: 'An entry of the audit log, with its account' },
)
export type AdminAuditEvent = Type.Static<typeof AdminAuditEvent>
export const EverybodysActs = listOf(AdminAuditEvent)
