import { instant } from '../../database/columns.ts'
import { boolean, check, integer, pgTable, sql, text, unique, uuid } from '../../database/drizzle.ts'
import { adminPolicy, contextPolicy, signInPolicy, userPolicy } from '../../rls/policies.ts'

/**
 * One row for each person. It changes rarely (no counters, no last login), because a distributed PostgreSQL
 * copies it to every node.
 */
export const users = pgTable(
  'users',
  {
    id: uuid().primaryKey().defaultRandom(),
    email: text().notNull(),
    googleId: text('google_id'),
    fullName: text('full_name'),
    avatarUrl: text('avatar_url'),
    role: text({ enum: ['user', 'admin'] })
      .notNull()
      .default('user'),
    isActive: boolean('is_active').notNull().default(true),
    /** When an administrator deactivated the account. Its owner cannot undo that. */
    suspendedAt: instant('suspended_at'),
    emailVerifiedAt: instant('email_verified_at'),
    passwordVersion: integer('password_version').notNull().default(1),
    createdAt: instant('created_at').notNull().defaultNow(),
    updatedAt: instant('updated_at').notNull().defaultNow(),
  },
  (t) => [
    unique('users_email_key').on(t.email),
    unique('users_google_id_key').on(t.googleId),
    check('users_email_normalised', sql`${t.email} = lower(btrim(${t.email}))`),
    check('users_role_known', sql`${t.role} in ('user', 'admin')`),
    userPolicy('users', t.id),
    signInPolicy('users', t.id),
    adminPolicy('users'),
    contextPolicy('users'),
  ],
)
