import { instant } from '../../database/columns.ts'
import { check, inet, integer, pgTable, primaryKey, sql, text, unique, uuid } from '../../database/drizzle.ts'
import { users } from '../../modules/users/table.ts'
import { adminPolicy, contextPolicy, signInPolicy } from '../../rls/policies.ts'

const owner = () =>
  uuid('user_id')
    .notNull()
    .references(() => users.id, { onDelete: 'cascade' })

/**
 * One row per signed-in browser or app. `id` is a capability: it gives access to transactions and is never
 * shown. `publicId` identifies the row in lists.
 */
export const loginSessions = pgTable(
  'user_login_sessions',
  {
    userId: owner(),
    id: uuid().notNull().defaultRandom(),
    publicId: uuid('public_id').notNull().defaultRandom(),
    /** How often the refresh token was rotated. The token contains the same number. */
    counter: integer().notNull().default(0),
    rotatedAt: instant('rotated_at').notNull().defaultNow(),
    /** When the person last proved their identity, by signing in or by a later proof. */
    provenAt: instant('proven_at').notNull().defaultNow(),
    device: text(),
    address: inet(),
    createdAt: instant('created_at').notNull().defaultNow(),
    lastUsedAt: instant('last_used_at').notNull().defaultNow(),
    idleExpiresAt: instant('idle_expires_at').notNull(),
    expiresAt: instant('expires_at').notNull(),
    endedAt: instant('ended_at'),
    endReason: text('end_reason', {
      enum: ['logout', 'reuse', 'revoked', 'password-changed', 'deactivated', 'too-many'],
    }),
  },
  (t) => [
    primaryKey({ name: 'user_login_sessions_pkey', columns: [t.userId, t.id] }),
    unique('user_login_sessions_public_id_key').on(t.userId, t.publicId),
    check(
      'user_login_sessions_end_reason_known',
      sql`${t.endReason} in ('logout', 'reuse', 'revoked', 'password-changed', 'deactivated', 'too-many')`,
    ),
    signInPolicy('user_login_sessions', t.userId),
    adminPolicy('user_login_sessions'),
    contextPolicy('user_login_sessions'),
  ],
)
