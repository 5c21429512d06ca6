import Type from 'typebox'
import {
  Instant,
  Nullable,
  NullableInstant,
  OneOf,
  pageQuery,
  StrictObject,
  Text,
  Uuid,
} from '../../http/schemas.ts'

/** Both targets null: the whole router. */
export const Block = Type.Object(
  {
    id: Uuid(),
    routerId: Uuid(),
    deviceId: Nullable(Uuid()),
    groupId: Nullable(Uuid('Both null: the block is of the whole router', null)),
    type: OneOf(['manual', 'pause']),
    reason: Nullable(Type.String({ examples: ['Homework first'] })),
    blockedAt: Instant(),
    until: NullableInstant('When a pause ends by itself', null),
    unblockedAt: NullableInstant('When it ended, by itself or early; null while it is active', null),
    isActive: Type.Boolean({ examples: [true] }),
  },
  { $id: 'Block' },
)
export type Block = Type.Static<typeof Block>

const end = {
  minutes: Type.Integer({ minimum: 1, maximum: 525_600, description: 'From now', examples: [30] }),
  until: Type.String({ format: 'date-time', maxLength: 40, description: 'In the future' }),
}

export const AddBlock = StrictObject(
  {
    deviceId: Type.Optional(Uuid()),
    groupId: Type.Optional(Uuid()),
    routerId: Type.Optional(Uuid()),
    type: Type.Optional(
      OneOf(['manual', 'pause'], 'A pause has `minutes` or `until`, a manual block lasts until it is lifted'),
    ),
    minutes: Type.Optional(end.minutes),
    until: Type.Optional(end.until),
    reason: Type.Optional(Nullable(Text({ max: 500, examples: ['Homework first'] }))),
    force: Type.Optional(Type.Boolean({ description: 'Also a device that is marked `mine`' })),
  },
  { oneOf: [{ required: ['deviceId'] }, { required: ['groupId'] }, { required: ['routerId'] }] },
)
export type AddBlock = Type.Static<typeof AddBlock>

export const ExtendPause = StrictObject(
  { minutes: Type.Optional(end.minutes), until: Type.Optional(end.until) },
  { oneOf: [{ required: ['minutes'] }, { required: ['until'] }] },
)
export type ExtendPause = Type.Static<typeof ExtendPause>

export const BLOCK_SORTS = ['blockedAt', 'until'] as const
export const ListBlocks = StrictObject({
  routerId: Type.Optional(Uuid()),
  deviceId: Type.Optional(Uuid()),
  groupId: Type.Optional(Uuid()),
  active: Type.Optional(Type.Boolean({ description: 'true: in force now; false: history' })),
  ...pageQuery(BLOCK_SORTS),
})
export type ListBlocks = Type.Static<typeof ListBlocks>

export const ResetBlocks = StrictObject({ routerId: Uuid() })
export const Ended = Type.Object(
  { ended: Type.Integer({ description: 'How many were active', examples: [2] }) },
  { $id: 'Ended' },
)
