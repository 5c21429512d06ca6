import { instant } from '../../database/columns.ts'
import {
  check,
  foreignKey,
  integer,
  pgTable,
  primaryKey,
  sql,
  text,
  unique,
  uuid,
} from '../../database/drizzle.ts'
import { agentPolicy, currentUserId, userPolicy } from '../../rls/policies.ts'
import { routers } from '../routers/table.ts'

/**
 * A named set of devices of one router (`kids`, `guests`). A device is in at most one group. `rate` is
 * kbit/s.
 */
export const deviceGroups = pgTable(
  'user_device_groups',
  {
    userId: uuid('user_id').notNull().default(currentUserId),
    id: uuid().notNull().defaultRandom(),
    routerId: uuid('router_id').notNull(),
    name: text('group_name').notNull(),
    rate: integer(),
    createdAt: instant('created_at').notNull().defaultNow(),
    updatedAt: instant('updated_at').notNull().defaultNow(),
  },
  (t) => [
    primaryKey({ name: 'user_device_groups_pkey', columns: [t.userId, t.id] }),
    unique('user_device_groups_router_key').on(t.userId, t.id, t.routerId),
    unique('user_device_groups_name_key').on(t.userId, t.routerId, t.name),
    foreignKey({
      name: 'user_device_groups_router_fk',
      columns: [t.userId, t.routerId],
      foreignColumns: [routers.userId, routers.id],
    }).onDelete('cascade'),
    check('user_device_groups_rate_positive', sql`${t.rate} > 0`),
    userPolicy('user_device_groups', t.userId),
    agentPolicy('user_device_groups', t.userId, t.routerId),
  ],
)
