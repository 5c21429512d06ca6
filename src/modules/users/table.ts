import { bytea, instant } from '../../database/columns.ts'
import { bigint, boolean, check, integer, pgTable, sql, text, unique, uuid } from '../../database/drizzle.ts'
import { adminPolicy, contextPolicy, signInPolicy, userPolicy } from '../../rls/policies.ts'

/**
 * One row a person. Kept cold (no counters, no last login): on a distributed PostgreSQL it is copied to every
 * node.
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
    /** When an administrator deactivated it; its owner cannot undo that. */
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

/** What a person proves themselves with. No request role can read it. */
export const userCredentials = pgTable(
  'user_credentials',
  {
    userId: uuid('user_id')
      .primaryKey()
      .references(() => users.id, { onDelete: 'cascade' }),
    /**
     * `np1:` and a bcrypt string, or a plain bcrypt string from an import. bcrypt's compare ignores what
     * follows a NUL, hence the check.
     */
    passwordHash: text('password_hash'),
    hasPassword: boolean('has_password').generatedAlwaysAs(sql`password_hash is not null`),
    totpSecret: bytea('totp_secret'),
    totpConfirmedAt: instant('totp_confirmed_at'),
    totpLastStep: bigint('totp_last_step', { mode: 'number' }),
    updatedAt: instant('updated_at').notNull().defaultNow(),
  },
  (t) => [
    check(
      'user_credentials_password_hash_format',
      sql`${t.passwordHash} ~ '^(np1:)?\\$2[aby]\\$[0-9]{2}\\$[./A-Za-z0-9]{53}$'`,
    ),
    signInPolicy('user_credentials', t.userId),
    adminPolicy('user_credentials'),
    contextPolicy('user_credentials'),
  ],
)
