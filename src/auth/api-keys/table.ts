import { bytea, instant } from '../../database/columns.ts'
import {
  check,
  foreignKey,
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
import { contextPolicy, ownAuthPolicy } from '../../rls/policies.ts'

const owner = () =>
  uuid('user_id')
    .notNull()
    .references(() => users.id, { onDelete: 'cascade' })

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
    /**
     * The 12 base62 characters that identify the key inside its text. Unlike `id` they are never shown on
     * their own.
     */
    keyId: text('key_id').notNull(),
    prefix: text().notNull(),
    secretSha256: bytea('secret_sha256').notNull(),
    scopes: text().array().notNull(),
    /**
     * 1 or 2: a router has two live keys at most. The unique index below ensures this under parallel requests
     * too.
     */
    slot: smallint(),
    createdAt: instant('created_at').notNull().defaultNow(),
    expiresAt: instant('expires_at'),
    /** When a replaced key stops working. It is separate from `expiresAt`, which the successor inherits. */
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
