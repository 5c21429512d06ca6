import { bytea, instant } from '../../database/columns.ts'
import {
  check,
  foreignKey,
  index,
  jsonb,
  pgTable,
  primaryKey,
  sql,
  text,
  uuid,
} from '../../database/drizzle.ts'
import { agentPolicy, contextPolicy, currentUserId, userPolicy } from '../../rls/policies.ts'
import { routers } from '../routers/table.ts'
import type { ScanAnswer } from './schema.ts'

/** The ledger that makes scans idempotent: the id of a scan, a digest of its body, and its answer. */
export const scans = pgTable(
  'user_scans',
  {
    userId: uuid('user_id').notNull().default(currentUserId),
    routerId: uuid('router_id').notNull(),
    scanId: text('scan_id').notNull(),
    /** A uuid derived from the id, because under row security no other comparison can use the index. */
    scanKey: uuid('scan_key').notNull().defaultRandom(),
    bodySha256: bytea('body_sha256').notNull(),
    takenAt: instant('taken_at').notNull(),
    receivedAt: instant('received_at').notNull().defaultNow(),
    /** Null only inside the transaction that records the scan. */
    answer: jsonb().$type<ScanAnswer>(),
  },
  (t) => [
    primaryKey({ name: 'user_scans_pkey', columns: [t.userId, t.routerId, t.scanKey] }),
    index('user_scans_received_at_idx').on(t.userId, t.receivedAt),
    foreignKey({
      name: 'user_scans_router_fk',
      columns: [t.userId, t.routerId],
      foreignColumns: [routers.userId, routers.id],
    }).onDelete('cascade'),
    check('user_scans_sha256_length', sql`octet_length(${t.bodySha256}) = 32`),
    userPolicy('user_scans', t.userId),
    agentPolicy('user_scans', t.userId, t.routerId),
    contextPolicy('user_scans'),
  ],
)
