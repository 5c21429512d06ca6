import Type from 'typebox'
import { Instant, Name, Nullable, OneOf, StrictObject, Text } from '../../http/schemas.ts'
import { User } from '../../modules/users/schema.ts'
import { Email, ownerProof } from '../credentials/schema.ts'

/** Shown by frontends and never fetched by the server. */
const AvatarUrl = Text({ max: 2_048, description: 'https only', examples: ['https://example.com/ada.png'] })

export const Profile = Type.Object(
  { ...User.properties, avatarUrl: Nullable(Type.String({ examples: ['https://example.com/ada.png'] })) },
  { $id: 'Profile' },
)
export const ChangeProfile = StrictObject({
  fullName: Nullable(Name({ max: 200, examples: ['Ada Lovelace'] })),
  avatarUrl: Type.Optional(Nullable(AvatarUrl)),
})

export const AccountStatus = Type.Object(
  {
    isActive: Type.Boolean({ examples: [true] }),
    role: OneOf(['user', 'admin']),
    emailVerified: Type.Boolean({ examples: [true] }),
    hasPassword: Type.Boolean({ examples: [true] }),
    hasGoogle: Type.Boolean(),
    hasSecondFactor: Type.Boolean(),
    createdAt: Instant(),
    loginSessions: Type.Integer({ description: 'How many are live', examples: [2] }),
  },
  { $id: 'AccountStatus' },
)

export const Reactivate = StrictObject(
  { email: Type.Optional(Email), ...ownerProof },
  { oneOf: [{ required: ['email', 'password'] }, { required: ['googleIdToken'] }] },
)

/** Each table by its name, its rows as they are stored. */
export const Export = Type.Object(
  {
    exportedAt: Instant(),
    account: Profile,
    tables: Type.Unsafe<Record<string, unknown[]>>({
      type: 'object',
      additionalProperties: true,
      examples: [{ user_routers: [] }],
    }),
  },
  { $id: 'Export' },
)
