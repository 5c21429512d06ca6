import Type from 'typebox'
import {
  Forms,
  Instant,
  Name,
  Nullable,
  NullableInstant,
  OneOf,
  pageQuery,
  StrictObject,
  Uuid,
} from '../../http/schemas.ts'
import { AGENT_SCOPES } from '../../rls/identity.ts'
import { ONE_PROOF_OR_CODE, ownerProofOrCode } from '../credentials/schema.ts'

/** The parts of the API that a personal key may read, or also change. */
const AREAS = ['routers', 'devices', 'lists', 'blocks', 'groups', 'schedules', 'settings', 'policy'] as const

export type Area = (typeof AREAS)[number]
export const PERSONAL_SCOPES = AREAS.flatMap((area) => [`${area}:read`, `${area}:write`] as const)

const key = {
  id: Uuid(),
  name: Nullable(Type.String({ examples: ['Attic'] })),
  prefix: Type.String({
    description: 'The public beginning of the key, to recognise it by',
    examples: ['npa_2xKf…_9bQe…'],
  }),
  scopes: Type.Array(OneOf<string>([...new Set([...AGENT_SCOPES, ...PERSONAL_SCOPES])])),
  createdAt: Instant(),
  expiresAt: NullableInstant('When the key ends; null for never', '2026-05-01T20:00:00.000Z'),
  lastUsedAt: NullableInstant('When the key was last used, to about a minute'),
}

export const Key = Type.Object(key, { $id: 'Key', description: 'An API key, without the secret' })
export const NewKey = Type.Object(
  {
    ...key,
    key: Type.String({
      description: 'The key itself, which the server shows once',
      examples: ['npa_2xKf…_9bQe…_7TzW…'],
    }),
  },
  { $id: 'NewKey', description: 'A new API key, with its secret' },
)

const { limit, offset } = pageQuery([])
export const ListKeys = StrictObject({ limit, offset })

const scopesOf = <const T extends string>(scopes: readonly T[]) =>
  Type.Array(OneOf(scopes), { minItems: 1, maxItems: scopes.length, uniqueItems: true })
/** The default lifetime of a personal key. */
export const PERSONAL_KEY_DAYS = 90

const about = (defaultEnd: string) => ({
  name: Type.Optional(Nullable(Name({ max: 100, examples: ['Attic'] }))),
  expiresAt: Type.Optional(
    Nullable(
      Type.String({
        format: 'date-time',
        maxLength: 40,
        description: `When the key ends (default ${defaultEnd}); null for no end`,
      }),
    ),
  ),
})

export const AddRouterKey = StrictObject({
  ...about('no end'),
  scopes: Type.Optional(scopesOf(AGENT_SCOPES)),
})
export const AddPersonalKey = Forms(
  { $id: 'NewPersonalKey', description: 'A personal key, with a proof that the owner asks' },
  { ...about(`in ${PERSONAL_KEY_DAYS} days`), scopes: scopesOf(PERSONAL_SCOPES), ...ownerProofOrCode },
  ONE_PROOF_OR_CODE,
)

const overlap = {
  overlapMinutes: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 10_080,
      description: 'How many minutes the old key goes on working (default 60). 0 ends it at once.',
    }),
  ),
}

export const RotateRouterKey = StrictObject(overlap)
export const RotatePersonalKey = StrictObject({ ...overlap, ...ownerProofOrCode })

/** The two holders of keys, and their texts in the routes. */
export const HOLDERS = {
  router: {
    tag: 'routers',
    path: '/:id/keys',
    Kind: 'Router',
    words: {
      key: 'a key of the router',
      keys: "the router's live keys",
      limit:
        'A router has two live keys at most, so that one can replace the other without a gap. The request takes a recent proof of the owner (`reauthenticate`).',
      rotation: 'The request takes a recent proof of the owner (`reauthenticate`).',
    },
    Keys: StrictObject({ id: Uuid() }),
    OneKey: StrictObject({ id: Uuid(), keyId: Uuid() }),
  },
  person: {
    tag: 'account',
    path: '/keys',
    Kind: 'Personal',
    words: {
      key: 'a key of your own',
      keys: 'your own live keys',
      limit:
        'It is for scripts and home automation. Its scopes name what it can do, which is never anything about the account itself. A mail tells the owner.',
      rotation:
        'The request takes a recent proof of the owner (`reauthenticate`), and without an overlap a proof of its own. A mail tells the owner.',
    },
    Keys: StrictObject({}),
    OneKey: StrictObject({ keyId: Uuid() }),
  },
} as const
