import Type from 'typebox'
import { Forms, Instant, Name, Nullable, OneOf, StrictObject, Text } from '../../http/schemas.ts'
import { User } from '../../modules/users/schema.ts'
import { Email, ownerProof } from '../credentials/schema.ts'

/** Frontends show it. The server never fetches it. */
const AvatarUrl = Text({
  max: 2_048,
  description: 'The https address of a picture of the person',
  examples: ['https://example.com/ada.png'],
})

export const Profile = Type.Object(
  { ...User.properties, avatarUrl: Nullable(Type.String({ examples: ['https://example.com/ada.png'] })) },
  { $id: 'Profile', description: 'Your profile' },
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
    providers: Type.Array(Type.String(), {
      description: 'That sign in to the account: `google`, `oidc`',
      examples: [['google']],
    }),
    hasSecondFactor: Type.Boolean(),
    createdAt: Instant(),
    loginSessions: Type.Integer({ description: 'How many login sessions are live', examples: [2] }),
  },
  { $id: 'AccountStatus', description: 'The state of your account' },
)

export const Reactivate = Forms(
  { $id: 'Reactivation', description: 'What a deactivated account comes back with' },
  { email: Type.Optional(Email), ...ownerProof },
  [['email', 'password'], ['googleIdToken'], ['providerCode']],
)

/** The rows of each table as they are stored, by the table's name. */
export const Export = Type.Object(
  {
    exportedAt: Instant(),
    account: Profile,
    tables: Type.Unsafe<Record<string, unknown[]>>({
      type: 'object',
      description: 'Each table by its name, with its rows as they are stored',
      additionalProperties: true,
      examples: [{ user_routers: [] }],
    }),
  },
  { $id: 'Export', description: 'Everything that the account owns' },
)
