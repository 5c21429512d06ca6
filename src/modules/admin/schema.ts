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
    providers: Type.Array(Type.String(), {
      description: 'That sign in to the account: `google`, `oidc`',
      examples: [['google']],
    }),
    hasSecondFactor: Type.Boolean(),
    createdAt: Instant(),
    lastUsedAt: NullableInstant('When the account last used a login session'),
    routers: Type.Integer({ examples: [2] }),
  },
  { $id: 'Account', description: 'An account, as administrators see it' },
)

export const ListAccounts = StrictObject({
  ...pageQuery(['email', 'createdAt', 'lastUsedAt']),
  search: Type.Optional(Text({ max: 200, description: 'A part of the e-mail address or the name' })),
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
    expiresAt: Instant('When the session ends, unless somebody uses it before', '2026-05-01T20:00:00.000Z'),
  },
  { $id: 'AdminSession', description: 'A live login session of any account' },
)
export const ListSessions = StrictObject({
  ...pageQuery(['lastUsedAt', 'createdAt']),
  userId: Type.Optional(Uuid()),
})
export type ListSessions = Type.Static<typeof ListSessions>

const days = 'in the last 24 hours'
export const Stats = Type.Object(
  {
    users: Type.Integer({ description: 'How many accounts there are', examples: [12] }),
    activeUsers: Type.Integer({ description: 'How many accounts are active', examples: [11] }),
    usersSeen: Type.Integer({ description: `How many accounts used a login session ${days}`, examples: [7] }),
    logins: Type.Integer({ description: `How many sign-ins succeeded ${days}`, examples: [9] }),
    failedLogins: Type.Integer({
      description: `How many sign-ins to existing accounts failed ${days}`,
      examples: [2],
    }),
    sessions: Type.Integer({ description: 'How many login sessions are live', examples: [15] }),
    routers: Type.Integer({ examples: [14] }),
    routersOnline: Type.Integer({ description: 'How many routers are online', examples: [13] }),
    devices: Type.Integer({ description: 'How many devices there are', examples: [230] }),
  },
  { $id: 'Stats', description: 'Counts over all accounts' },
)
export const SessionParams = StrictObject({ id: Uuid(), sessionId: Uuid() })
