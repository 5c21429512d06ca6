import Type from 'typebox'
import { Instant, Nullable, OneOf, StrictObject, TAGS, Text, Uuid } from '../../http/schemas.ts'
import { cursorFields, NextCursor } from '../paging/cursor.ts'

const Moment = () => Type.String({ format: 'date-time', maxLength: 40 })

/** Filters and page of a log; the newest acts first. */
const filters = {
  act: Type.Optional(
    Text({ max: 100, description: 'The operationId of what was done', examples: ['login'] }),
  ),
  outcome: Type.Optional(OneOf(['success', 'failure'])),
  from: Type.Optional(Moment()),
  to: Type.Optional(Moment()),
  ...cursorFields,
}
export const ListActs = StrictObject(filters)
export const ListEverybodysActs = StrictObject({
  ...filters,
  userId: Type.Optional(Uuid()),
  actorKind: Type.Optional(OneOf(['user', 'admin', 'system'])),
})
export type ActFilters = Type.Static<typeof ListEverybodysActs>

const TARGETS = [...(Object.keys(TAGS) as (keyof typeof TAGS)[]), 'users'] as const
const act = {
  sequence: Type.Integer({ description: 'Of the account, without gaps', examples: [42] }),
  at: Instant(),
  actorKind: OneOf(['user', 'agent', 'admin', 'system']),
  actorId: Nullable(Uuid('Null when nobody had proven who they are')),
  act: Type.String({ description: 'The operationId of what was done', examples: ['changeDevice'] }),
  targetKind: Nullable(
    OneOf<string>(
      TARGETS,
      'The tag of the operation; of what an administrator did to an account, `users`',
      'devices',
    ),
  ),
  targetId: Nullable(Uuid()),
  outcome: OneOf(['success', 'failure']),
  address: Nullable(Type.String({ examples: ['192.0.2.7'] })),
  detail: Type.Unsafe<Record<string, unknown> | null>({
    type: ['object', 'null'],
    additionalProperties: true,
    examples: [null],
  }),
}
const listOf = <T extends Type.TSchema & { $id?: string }>(item: T) =>
  Type.Object({ items: Type.Array(item), nextCursor: NextCursor }, { $id: `${item.$id}Page` })

export const Acts = listOf(Type.Object(act, { $id: 'AuditEvent' }))
const AdminAuditEvent = Type.Object(
  { userId: Uuid('Whose account it was about'), ...act },
  { $id: 'AdminAuditEvent' },
)
export type AdminAuditEvent = Type.Static<typeof AdminAuditEvent>
export const EverybodysActs = listOf(AdminAuditEvent)
