import Type from 'typebox'
import { Instant, Nullable, NullableInstant, OneOf, pageQuery, Strict, Text, Uuid } from '../../http/schemas.ts'

const ROLES = ['user', 'admin'] as const

export const Account = Type.Object(
  {
    id: Uuid(),
    email: Type.String(),
    fullName: Nullable(Type.String()),
    role: OneOf(ROLES),
    isActive: Type.Boolean(),
    emailVerified: Type.Boolean(),
    hasPassword: Type.Boolean(),
    hasGoogle: Type.Boolean(),
    hasSecondFactor: Type.Boolean(),
    createdAt: Instant(),
    lastUsedAt: NullableInstant('When a login session of theirs was last refreshed or begun'),
    routers: Type.Integer(),
  },
  { $id: 'Account' },
)

export const ListAccounts = Strict({
  ...pageQuery(['email', 'createdAt', 'lastUsedAt']),
  search: Type.Optional(Text({ max: 200, description: 'Part of the address or the name' })),
  role: Type.Optional(OneOf(ROLES)),
  active: Type.Optional(Type.Boolean()),
})
export type ListAccounts = Type.Static<typeof ListAccounts>

export const ChangeAccount = Strict({ role: Type.Optional(OneOf(ROLES)), isActive: Type.Optional(Type.Boolean()) }, { minProperties: 1 })

export const AnybodysSession = Type.Object(
  {
    id: Uuid(),
    userId: Uuid(),
    device: Nullable(Type.String()),
    address: Nullable(Type.String()),
    createdAt: Instant(),
    lastUsedAt: Instant(),
    expiresAt: Instant(),
  },
  { $id: 'AnybodysSession' },
)
export const ListSessions = Strict({ ...pageQuery(['lastUsedAt', 'createdAt']), userId: Type.Optional(Uuid()) })
export type ListSessions = Type.Static<typeof ListSessions>

const days = 'in the last 24 hours'
export const Stats = Type.Object(
  {
    users: Type.Integer(),
    activeUsers: Type.Integer({ description: 'Not deactivated' }),
    usersSeen: Type.Integer({ description: `With a login session that was used ${days}` }),
    logins: Type.Integer({ description: `Sign-ins of every kind ${days}` }),
    failedLogins: Type.Integer({ description: `Failed sign-ins to accounts that exist ${days}` }),
    sessions: Type.Integer({ description: 'Live login sessions' }),
    routers: Type.Integer(),
    routersOnline: Type.Integer(),
    devices: Type.Integer(),
  },
  { $id: 'Stats' },
)
export const SessionParams = Strict({ id: Uuid(), sessionId: Uuid() })
