import Type from 'typebox'
import {
  Forms,
  Instant,
  Nullable,
  NullableInstant,
  OneOf,
  pageQuery,
  StrictObject,
  Text,
  Uuid,
} from '../../http/schemas.ts'

/** When both targets are null, the block applies to the whole router. */
export const Block = Type.Object(
  {
    id: Uuid(),
    routerId: Uuid(),
    deviceId: Nullable(Uuid()),
    groupId: Nullable(
      Uuid('The id of the group. Without device and group the block is of the whole router.', null),
    ),
    type: OneOf(['manual', 'pause'], 'A manual block lasts until it ends; a pause ends by itself'),
    reason: Nullable(Type.String({ examples: ['Homework first'] })),
    blockedAt: Instant(),
    until: NullableInstant('When a pause ends by itself', null),
    unblockedAt: NullableInstant('When the block ended, by itself or early; null while it is active', null),
    isActive: Type.Boolean({ examples: [true] }),
  },
  { $id: 'Block', description: 'A block or pause of a device, a group or a whole router' },
)
export type Block = Type.Static<typeof Block>

const end = {
  minutes: Type.Integer({
    minimum: 1,
    maximum: 525_600,
    description: 'How many minutes the pause lasts from now',
    examples: [30],
  }),
  until: Type.String({
    format: 'date-time',
    maxLength: 40,
    description: 'When the pause ends; a moment in the future',
  }),
}

export const AddBlock = Forms(
  { $id: 'NewBlock', description: 'A block of a device, a group or a whole router' },
  {
    deviceId: Type.Optional(Uuid()),
    groupId: Type.Optional(Uuid()),
    routerId: Type.Optional(Uuid()),
    type: Type.Optional(
      OneOf(['manual', 'pause'], 'A pause has `minutes` or `until`; a manual block lasts until it ends'),
    ),
    minutes: Type.Optional(end.minutes),
    until: Type.Optional(end.until),
    reason: Type.Optional(Nullable(Text({ max: 500, examples: ['Homework first'] }))),
    force: Type.Optional(
      Type.Boolean({ description: 'Whether to block a device even when it is marked `mine`' }),
    ),
  },
  [['deviceId'], ['groupId'], ['routerId']],
)
export type AddBlock = Type.Static<typeof AddBlock>

export const ExtendPause = Forms(
  { $id: 'PauseEnd', description: 'The new end of a pause' },
  { minutes: Type.Optional(end.minutes), until: Type.Optional(end.until) },
  [['minutes'], ['until']],
)
export type ExtendPause = Type.Static<typeof ExtendPause>

export const BLOCK_SORTS = ['blockedAt', 'until'] as const
export const ListBlocks = StrictObject({
  routerId: Type.Optional(Uuid()),
  deviceId: Type.Optional(Uuid()),
  groupId: Type.Optional(Uuid()),
  active: Type.Optional(Type.Boolean({ description: 'Whether the blocks are active, or past' })),
  ...pageQuery(BLOCK_SORTS),
})
export type ListBlocks = Type.Static<typeof ListBlocks>

export const ResetBlocks = StrictObject({ routerId: Uuid() })
export const Ended = Type.Object(
  { ended: Type.Integer({ description: 'How many blocks were active', examples: [2] }) },
  { $id: 'Ended', description: 'How many blocks ended' },
)
