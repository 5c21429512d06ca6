import { bytea, instant } from '../../database/columns.ts'
import {
  bigint,
  boolean,
  check,
  integer,
  pgTable,
  primaryKey,
  sql,
  text,
  uuid,
} from '../../database/drizzle.ts'
import { users } from '../../modules/users/table.ts'
import { adminPolicy, contextPolicy, counterPolicy, signInPolicy } from '../../rls/policies.ts'

/**
 * The credentials of a person: one row for each account. No request role can read it. A sign-in locks this
 * row, so that the password does not change meanwhile.
 */
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
    /** How often the password was chosen. Tokens that were sent under another version are invalid. */
    passwordVersion: integer('password_version').notNull().default(1),
    /** Personal keys that were created up to this time are revoked, without writing to their rows. */
    keysRevokedAt: instant('keys_revoked_at'),
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
 * Failed guesses at a password or a second factor, by the HMAC of the target, whether or not the account
 * exists. The table has no owner and is unlogged, so a crash clears it.
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

// Look-up tables (docs/decisions/0019-identities.md). Their keys begin with the value that is looked up, not
// with the owner. Each is an index that functions of the context role maintain, and only that role can read
// or write it. The facts themselves are stored with their owner: `users.email` and `user_providers`.

/** Maps an address to its account. */
export const userEmails = pgTable(
  'user_emails',
  {
    email: text().primaryKey(),
    userId: uuid('user_id').notNull(),
  },
  (t) => [
    check('user_emails_normalised', sql`${t.email} = lower(btrim(${t.email}))`),
    contextPolicy('user_emails'),
  ],
)

/** Maps an account at a provider (Google, or another issuer of ID tokens) to its account here. */
export const userIdentities = pgTable(
  'user_identities',
  {
    provider: text().notNull(),
    subject: text().notNull(),
    userId: uuid('user_id').notNull(),
  },
  (t) => [
    primaryKey({ name: 'user_identities_pkey', columns: [t.provider, t.subject] }),
    contextPolicy('user_identities'),
  ],
)

/** The providers that sign a person in: at most one account of each. */
export const userProviders = pgTable(
  'user_providers',
  {
    userId: uuid('user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    provider: text().notNull(),
    /** The provider's permanent identifier of the person. */
    subject: text().notNull(),
  },
  (t) => [
    primaryKey({ name: 'user_providers_pkey', columns: [t.userId, t.provider] }),
    signInPolicy('user_providers', t.userId),
    adminPolicy('user_providers'),
    contextPolicy('user_providers'),
  ],
)
