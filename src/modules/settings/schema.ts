import Type from 'typebox'
import { Instant, pageQuery, StrictObject, Uuid } from '../../http/schemas.ts'

/** Bytes of a value as JSON. */
export const MAX_VALUE_BYTES = 16_384
/** Keys of a person, and again of each router. */
export const MAX_KEYS = 100

export const Setting = Type.Object(
  {
    key: Type.String({ examples: ['theme'] }),
    value: Type.Unknown({ description: 'Any JSON', examples: ['dark'] }),
    updatedAt: Instant(),
  },
  { $id: 'Setting' },
)
export type Setting = { key: string; value: unknown; updatedAt: Date }

export const SettingParams = StrictObject({
  key: Type.String({
    pattern: '^[a-z][a-zA-Z0-9.-]{0,63}$',
    'x-expects': 'a key such as theme: a small letter, then letters, digits, dots and hyphens',
    examples: ['theme'],
  }),
})
export const ScopeQuery = StrictObject({
  routerId: Type.Optional(Uuid('Of a router; your own when it is left out')),
})

const SETTING_SORTS = ['key', 'updatedAt'] as const
export const ListSettings = StrictObject({ ...ScopeQuery.properties, ...pageQuery(SETTING_SORTS) })
export type ListSettings = Type.Static<typeof ListSettings>

export const PutSetting = StrictObject({
  value: Type.Unknown({ description: 'Any JSON of up to 16 KiB', examples: ['dark'] }),
})
