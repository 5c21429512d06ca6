import { bytea, instant } from '../../database/columns.ts'
import {
  check,
  foreignKey,
  inet,
  integer,
  pgTable,
  primaryKey,
  smallint,
  sql,
  text,
  unique,
  uniqueIndex,
  uuid,
} from '../../database/drizzle.ts'
import { routers } from '../../modules/routers/table.ts'
import { users } from '../../modules/users/table.ts'
import { adminPolicy, contextPolicy, counterPolicy, ownAuthPolicy, signInPolicy } from '../../rls/policies.ts'

const owner = () =>
  uuid('user_id')
    .notNull()
    .references(() => users.id, { onDelete: 'cascade' })

/**
 * One row a signed-in browser or app. `id` is a capability (it opens transactions) and is never shown;
 * `publicId` names it in lists.
 */
export const loginSessions = pgTable(
  'user_login_sessions',
  {
    userId: owner(),
    id: uuid().notNull().defaultRandom(),
    publicId: uuid('public_id').notNull().defaultRandom(),
    /** How often the refresh token was rotated; the token carries the same number. */
    counter: integer().notNull().default(0),
    rotatedAt: instant('rotated_at').notNull().defaultNow(),
    /** When its person last proved who they are: by signing in, or by a proof since. */
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

/**
 * Keys of agents (bound to one router) and of scripts (personal, `routerId` null). Only the SHA-256 of the
 * secret is stored.
 */
export const apiKeys = pgTable(
  'user_api_keys',
  {
    userId: owner(),
    id: uuid().notNull().defaultRandom(),
    routerId: uuid('router_id'),
    kind: text({ enum: ['agent', 'personal'] }).notNull(),
    name: text(),
    /** The 12 base62 characters that name the key inside its text; unlike `id` never shown on its own. */
    keyId: text('key_id').notNull(),
    prefix: text().notNull(),
    secretSha256: bytea('secret_sha256').notNull(),
    scopes: text().array().notNull(),
    /**
     * 1 or 2: two live keys a router at most, held by the unique index below and so also under parallel
     * requests.
     */
    slot: smallint(),
    createdAt: instant('created_at').notNull().defaultNow(),
    expiresAt: instant('expires_at'),
    /** When a key that was replaced stops working; apart from `expiresAt`, which its successor inherits. */
    retiresAt: instant('retires_at'),
    revokedAt: instant('revoked_at'),
    lastUsedAt: instant('last_used_at'),
  },
  (t) => [
    primaryKey({ name: 'user_api_keys_pkey', columns: [t.userId, t.id] }),
    unique('user_api_keys_key_id_key').on(t.userId, t.keyId),
    uniqueIndex('user_api_keys_live_slot_key')
      .on(t.userId, t.routerId, t.slot)
      .where(sql`${t.revokedAt} is null`),
    foreignKey({
      name: 'user_api_keys_router_fk',
      columns: [t.userId, t.routerId],
      foreignColumns: [routers.userId, routers.id],
    }).onDelete('cascade'),
    check('user_api_keys_kind_known', sql`${t.kind} in ('agent', 'personal')`),
    check(
      'user_api_keys_agent_bound',
      sql`(${t.kind} = 'agent') = (${t.routerId} is not null and ${t.slot} is not null)`,
    ),
    check('user_api_keys_slot_known', sql`${t.slot} in (1, 2)`),
    check('user_api_keys_sha256_length', sql`octet_length(${t.secretSha256}) = 32`),
    ownAuthPolicy('user_api_keys', t.userId),
    contextPolicy('user_api_keys'),
  ],
)

/**
 * Single-use secrets sent by mail or handed to a browser: password reset, verification, change of address,
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
    /** The address it was sent to; a token dies when the account's address changes. */
    email: text(),
    /** The account's password version at issue; a token dies when the password changes. */
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

export const recoveryCodes = pgTable(
  'user_recovery_codes',
  {
    userId: owner(),
    id: uuid().notNull().defaultRandom(),
    codeSha256: bytea('code_sha256').notNull(),
    createdAt: instant('created_at').notNull().defaultNow(),
    usedAt: instant('used_at'),
  },
  (t) => [
    primaryKey({ name: 'user_recovery_codes_pkey', columns: [t.userId, t.id] }),
    unique('user_recovery_codes_sha256_key').on(t.userId, t.codeSha256),
    signInPolicy('user_recovery_codes', t.userId),
  ],
)

/**
 * Failed guesses at a password or a second factor, by the HMAC of who is being guessed at, whether or not
 * there is such an account. Without an
 * owner, and unlogged: a crash forgets it.
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

/**
 * How often somebody (`key`: the HMAC of an address, say) did what `bucket` limits, in the window that began
 * at `windowStart`. Unlogged.
 */
export const rateCounters = pgTable(
  'rate_counters',
  {
    bucket: text().notNull(),
    key: bytea().notNull(),
    windowStart: instant('window_start').notNull(),
    count: integer().notNull(),
  },
  (t) => [
    primaryKey({ name: 'rate_counters_pkey', columns: [t.bucket, t.key] }),
    counterPolicy('rate_counters'),
    contextPolicy('rate_counters'),
  ],
)
