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
import { visitor } from '../users/schema.ts'

const ROLES = ['user', 'admin'] as const

export const Account = Type.Object(
  {
    id: Uuid(),
    email: Type.String({ examples: ['ada@example.com'] }),
    fullName: Nullable(Type.String({ examples: ['Ada Lovelace'] })),
    role: OneOf(ROLES),
    isActive: Type.Boolean({ examples: [true] }),
    emailVerified: Type.Boolean({ examples: [true] }),
    hasPassword: Type.Boolean({ examples: [true] }),
    hasGoogle: Type.Boolean(),
    hasSecondFactor: Type.Boolean(),
    createdAt: Instant(),
    lastUsedAt: NullableInstant('When a login session of theirs was last refreshed or begun'),
    routers: Type.Integer({ examples: [2] }),
  },
  { $id: 'Account' },
)

export const ListAccounts = StrictObject({
  ...pageQuery(['email', 'createdAt', 'lastUsedAt']),
  search: Type.Optional(Text({ max: 200, description: 'Part of the address or the name' })),
  role: Type.Optional(OneOf(ROLES)),
  active: Type.Optional(Type.Boolean()),
})
export type ListAccounts = Type.Static<typeof ListAccounts>

export const ChangeAccount = StrictObject(
  { role: Type.Optional(OneOf(ROLES, undefined, 'admin')), isActive: Type.Optional(Type.Boolean()) },
  { minProperties: 1 },
)

export const AdminSession = Type.Object(
  {
    id: Uuid(),
    userId: Uuid(),
    ...visitor,
    createdAt: Instant(),
    lastUsedAt: Instant(),
    expiresAt: Instant('Unless it is used before', '2026-05-01T20:00:00.000Z'),
  },
  { $id: 'AdminSession' },
)
export const ListSessions = StrictObject({
  ...pageQuery(['lastUsedAt', 'createdAt']),
  userId: Type.Optional(Uuid()),
})
export type ListSessions = Type.Static<typeof ListSessions>

const days = 'in the last 24 hours'
export const Stats = Type.Object(
  {
    users: Type.Integer({ examples: [12] }),
    activeUsers: Type.Integer({ description: 'Not deactivated', examples: [11] }),
    usersSeen: Type.Integer({ description: `With a login session that was used ${days}`, examples: [7] }),
    logins: Type.Integer({ description: `Sign-ins of every kind ${days}`, examples: [9] }),
    failedLogins: Type.Integer({
      description: `Failed sign-ins to accounts that exist ${days}`,
      examples: [2],
    }),
    sessions: Type.Integer({ description: 'Live login sessions', examples: [15] }),
    routers: Type.Integer({ examples: [14] }),
    routersOnline: Type.Integer({ examples: [13] }),
    devices: Type.Integer({ examples: [230] }),
  },
  { $id: 'Stats' },
)
export const SessionParams = StrictObject({ id: Uuid(), sessionId: Uuid() })
