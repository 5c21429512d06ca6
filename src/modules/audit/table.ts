import { bytea, instant } from '../../database/columns.ts'
import {
  bigint,
  check,
  index,
  inet,
  jsonb,
  pgTable,
  primaryKey,
  sql,
  text,
  uuid,
} from '../../database/drizzle.ts'
import { adminPolicy, contextPolicy, userPolicy } from '../../rls/policies.ts'

/**
 * Who did what to what, when, from where, with which outcome. Append-only by its grants (`ctx.append_act`
 * writes it), chained per account by
 * `previous_hash` so that a gap shows. It has no foreign key: the rows of a deleted account stay, without
 * personal data. So that they can, the hash covers address and detail by their salted digest, which remains
 * when they are erased.
 */
export const auditLog = pgTable(
  'user_audit_log',
  {
    userId: uuid('user_id').notNull(),
    sequence: bigint({ mode: 'number' }).notNull(),
    at: instant('at').notNull().defaultNow(),
    actorKind: text('actor_kind', { enum: ['user', 'agent', 'admin', 'system'] }).notNull(),
    actorId: uuid('actor_id'),
    /** The operation, by its `operationId` in the OpenAPI document. */
    act: text().notNull(),
    targetKind: text('target_kind'),
    targetId: uuid('target_id'),
    outcome: text({ enum: ['success', 'failure'] }).notNull(),
    address: inet(),
    detail: jsonb(),
    salt: bytea(),
    personalSha256: bytea('personal_sha256'),
    previousHash: bytea('previous_hash'),
    hash: bytea().notNull(),
  },
  (t) => [
    primaryKey({ name: 'user_audit_log_pkey', columns: [t.userId, t.sequence] }),
    index('user_audit_log_at_idx').on(t.userId, t.at.desc().nullsFirst(), t.sequence.desc().nullsFirst()),
    check('user_audit_log_actor_known', sql`${t.actorKind} in ('user', 'agent', 'admin', 'system')`),
    check('user_audit_log_outcome_known', sql`${t.outcome} in ('success', 'failure')`),
    userPolicy('user_audit_log', t.userId),
    adminPolicy('user_audit_log'),
    contextPolicy('user_audit_log'),
  ],
)

/**
 * The newest link of each account's chain: it shows when links are missing at the end, and lets one act at a
 * time append.
 */
export const auditHeads = pgTable(
  'user_audit_heads',
  {
    userId: uuid('user_id').primaryKey(),
    sequence: bigint({ mode: 'number' }).notNull(),
    hash: bytea(),
  },
  () => [contextPolicy('user_audit_heads')],
)
