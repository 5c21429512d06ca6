import Type from 'typebox'
import { Instant, Nullable, NullableInstant, OneOf, pageQuery, Strict, Text, Uuid } from '../http/schemas.ts'

/** What an agent's key may do: report what the router sees, and read what it must enforce. */
export const AGENT_SCOPES = ['scans:write', 'policy:read'] as const
export type AgentScope = (typeof AGENT_SCOPES)[number]

const key = {
  id: Uuid(),
  name: Nullable(Type.String()),
  prefix: Type.String({ description: 'The public beginning of the key, to recognise it by' }),
  scopes: Type.Array(Type.String()),
  createdAt: Instant(),
  expiresAt: NullableInstant(),
  lastUsedAt: NullableInstant('Written about once a minute'),
}

export const Key = Type.Object(key, { $id: 'Key' })
export const NewKey = Type.Object(
  { ...key, key: Type.String({ description: 'The key itself: shown now and never again' }) },
  { $id: 'NewKey' },
)
const { limit, offset } = pageQuery([])
export const ListKeys = Strict({ limit, offset })

export const AddKey = Strict({
  name: Type.Optional(Nullable(Text({ max: 100, examples: ['Attic'] }))),
  scopes: Type.Optional(Type.Array(OneOf(AGENT_SCOPES), { minItems: 1, maxItems: AGENT_SCOPES.length, uniqueItems: true })),
  expiresAt: Type.Optional(Nullable(Type.String({ format: 'date-time', maxLength: 40 }))),
})
export const RotateKey = Strict({
  overlapMinutes: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 10_080, description: 'How long the old key goes on working (default 60); 0 ends it at once' }),
  ),
})
export const KeyParams = Strict({ id: Uuid(), keyId: Uuid() })
