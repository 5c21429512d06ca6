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
 * Audit events: who did what to which resource, when, from where, with which outcome. Its grants make the
 * table append-only (`ctx.append_act` writes it). The rows of each account are chained by `previous_hash`, so
 * that a missing row is detected.
 *
 * The table has no foreign key: the rows of a deleted account stay, without personal data. Therefore the hash
 * covers address and detail by their salted digests, which remain when the values are erased.
 */
export const auditLog = pgTable(
  'user_audit_log',
  {
    userId: uuid('user_id').notNull(),
    sequence: bigint({ mode: 'number' }).notNull(),
    at: instant('at').notNull().defaultNow(),
    actorKind: text('actor_kind', { enum: ['user', 'agent', 'admin', 'system'] }).notNull(),
    actorId: uuid('actor_id'),
    /** The `operationId` of the operation in the OpenAPI document. */
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
 * The newest event in each account's chain. It reveals missing events at the end, and its lock serialises
 * appends.
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
