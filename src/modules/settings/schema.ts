import Type from 'typebox'
import { Instant, pageQuery, StrictObject, Uuid } from '../../http/schemas.ts'

/** The maximum size of a value as JSON, in bytes. */
export const MAX_VALUE_BYTES = 16_384
/** The maximum number of keys for a person, and for each router. */
export const MAX_KEYS = 100

export const Setting = Type.Object(
  {
    key: Type.String({ examples: ['theme'] }),
    value: Type.Unknown({ description: 'The value: any JSON', examples: ['dark'] }),
    updatedAt: Instant(),
  },
  { $id: 'Setting', description: 'A setting of a person or a router' },
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
  routerId: Type.Optional(
    Uuid('The id of the router whose setting it is; without it, the setting is your own'),
  ),
})

const SETTING_SORTS = ['key', 'updatedAt'] as const
export const ListSettings = StrictObject({ ...ScopeQuery.properties, ...pageQuery(SETTING_SORTS) })
export type ListSettings = Type.Static<typeof ListSettings>

export const PutSetting = StrictObject({
  value: Type.Unknown({ description: 'The value: any JSON of up to 16 KiB', examples: ['dark'] }),
})
