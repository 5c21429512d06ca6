import { instant } from '../../database/columns.ts'
import {
  boolean,
  check,
  inet,
  integer,
  pgTable,
  primaryKey,
  sql,
  text,
  uuid,
} from '../../database/drizzle.ts'
import { adminPolicy, agentPolicy, contextPolicy, currentUserId, userPolicy } from '../../rls/policies.ts'
import { users } from '../users/table.ts'

/**
 * Rates are kbit/s. `lastSeen` is the database's clock at the agent's last report. It is in no index, so that
 * heartbeats remain HOT updates.
 */
export const routers = pgTable(
  'user_routers',
  {
    userId: uuid('user_id')
      .notNull()
      .default(currentUserId)
      .references(() => users.id, { onDelete: 'cascade' }),
    id: uuid().notNull().defaultRandom(),
    name: text('router_name').notNull(),
    ip: inet(),
    tunnelPort: integer('tunnel_port'),
    isActive: boolean('is_active').notNull().default(true),
    timeZone: text('time_zone').notNull().default('UTC'),
    mode: text({ enum: ['none', 'whitelist', 'blacklist'] })
      .notNull()
      .default('none'),
    action: text({ enum: ['block', 'limit'] })
      .notNull()
      .default('block'),
    limitRate: integer('limit_rate'),
    fullRate: integer('full_rate'),
    newDevices: text('new_devices', { enum: ['allow', 'hold'] })
      .notNull()
      .default('allow'),
    lastSeen: instant('last_seen'),
    appliedRevision: text('applied_revision'),
    appliedAt: instant('applied_at'),
    agentError: text('agent_error'),
    createdAt: instant('created_at').notNull().defaultNow(),
    updatedAt: instant('updated_at').notNull().defaultNow(),
  },
  (t) => [
    primaryKey({ name: 'user_routers_pkey', columns: [t.userId, t.id] }),
    check('user_routers_mode_known', sql`${t.mode} in ('none', 'whitelist', 'blacklist')`),
    check('user_routers_action_known', sql`${t.action} in ('block', 'limit')`),
    check('user_routers_new_devices_known', sql`${t.newDevices} in ('allow', 'hold')`),
    check('user_routers_rates_positive', sql`${t.limitRate} > 0 and ${t.fullRate} > 0`),
    check('user_routers_tunnel_port_range', sql`${t.tunnelPort} between 1 and 65535`),
    userPolicy('user_routers', t.userId),
    agentPolicy('user_routers', t.userId, t.id),
    adminPolicy('user_routers'),
    contextPolicy('user_routers'),
  ],
)
