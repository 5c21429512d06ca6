import { bytea, instant } from '../../database/columns.ts'
import { bigint, boolean, check, integer, pgTable, sql, text, uuid } from '../../database/drizzle.ts'
import { users } from '../../modules/users/table.ts'
import { adminPolicy, contextPolicy, counterPolicy, signInPolicy } from '../../rls/policies.ts'

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

/**
 * Failed guesses at a password or a second factor, by the HMAC of who is being guessed at, whether or not
 * there is such an account. Without an owner, and unlogged: a crash forgets it.
 */
export const signInAttempts = pgTable(
  'sign_in_attempts',
  {
    key: bytea().primaryKey(),
    failures: integer().notNull(),
    lastFailedAt: instant('last_failed_at').notNull().defaultNow(),
    lockedUntil: instant('locked_until'),
  },
  () => [counterPolicy('sign_in_attempts'), contextPolicy('sign_in_attempts')],
)
