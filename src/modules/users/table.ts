import { instant } from '../../database/columns.ts'
import { boolean, check, pgTable, sql, text, uuid } from '../../database/drizzle.ts'
import { adminPolicy, contextPolicy, signInPolicy, userPolicy } from '../../rls/policies.ts'

/** One row for each person. The id leads every key, as in the other tables of people. */
export const users = pgTable(
  'users',
  {
    id: uuid().primaryKey().defaultRandom(),
    /** A copy of what `user_emails` looks up, which alone keeps an address from being taken twice. */
    email: text().notNull(),
    fullName: text('full_name'),
    avatarUrl: text('avatar_url'),
    role: text({ enum: ['user', 'admin'] })
      .notNull()
      .default('user'),
    isActive: boolean('is_active').notNull().default(true),
    /** When an administrator deactivated the account. Its owner cannot undo that. */
    suspendedAt: instant('suspended_at'),
    emailVerifiedAt: instant('email_verified_at'),
    createdAt: instant('created_at').notNull().defaultNow(),
    updatedAt: instant('updated_at').notNull().defaultNow(),
  },
  (t) => [
    check('users_email_normalised', sql`${t.email} = lower(btrim(${t.email}))`),
    check('users_role_known', sql`${t.role} in ('user', 'admin')`),
    userPolicy('users', t.id),
    signInPolicy('users', t.id),
    adminPolicy('users'),
    contextPolicy('users'),
  ],
)
