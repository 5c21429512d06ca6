import { bytea, instant } from '../../database/columns.ts'
import { check, integer, pgTable, primaryKey, sql, text, unique, uuid } from '../../database/drizzle.ts'
import { users } from '../../modules/users/table.ts'
import { adminPolicy, contextPolicy, signInPolicy } from '../../rls/policies.ts'

const owner = () =>
  uuid('user_id')
    .notNull()
    .references(() => users.id, { onDelete: 'cascade' })

/**
 * Single-use secrets, sent by mail or returned to a browser: password reset, verification, change of address,
 * invitation, exchange.
 */
export const userTokens = pgTable(
  'user_tokens',
  {
    userId: owner(),
    id: uuid().notNull().defaultRandom(),
    purpose: text({
      enum: ['verify-email', 'reset-password', 'change-email', 'invitation', 'exchange', 'second-factor'],
    }).notNull(),
    tokenSha256: bytea('token_sha256').notNull(),
    /** The address that it was sent to. A token becomes invalid when the account's address changes. */
    email: text(),
    /** The account's password version at issue. A token becomes invalid when the password changes. */
    passwordVersion: integer('password_version').notNull(),
    createdAt: instant('created_at').notNull().defaultNow(),
    expiresAt: instant('expires_at').notNull(),
    usedAt: instant('used_at'),
  },
  (t) => [
    primaryKey({ name: 'user_tokens_pkey', columns: [t.userId, t.id] }),
    unique('user_tokens_sha256_key').on(t.userId, t.tokenSha256),
    check(
      'user_tokens_purpose_known',
      sql`${t.purpose} in ('verify-email', 'reset-password', 'change-email', 'invitation', 'exchange', 'second-factor')`,
    ),
    signInPolicy('user_tokens', t.userId),
    adminPolicy('user_tokens'),
    contextPolicy('user_tokens'),
  ],
)
