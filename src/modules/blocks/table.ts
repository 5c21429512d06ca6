import { instant } from '../../database/columns.ts'
import {
  check,
  foreignKey,
  index,
  pgTable,
  primaryKey,
  sql,
  text,
  unique,
  uuid,
} from '../../database/drizzle.ts'
import { agentPolicy, currentUserId, userPolicy } from '../../rls/policies.ts'
import { devices } from '../devices/table.ts'
import { deviceGroups } from '../groups/table.ts'
import { routers } from '../routers/table.ts'

/**
 * Blocks a device, a group, or (both null) the whole router. A block is active while `unblocked_at` is null
 * and `until` is not past: a pause ends by time alone. Ended blocks stay as history, so only active ones are
 * unique. Adding a block first closes those that have ended by time.
 */
export const blocks = pgTable(
  'user_blocked_devices',
  {
    userId: uuid('user_id').notNull().default(currentUserId),
    id: uuid().notNull().defaultRandom(),
    routerId: uuid('router_id').notNull(),
    deviceId: uuid('device_id'),
    groupId: uuid('group_id'),
    type: text('block_type', { enum: ['manual', 'pause'] }).notNull(),
    reason: text(),
    blockedAt: instant('blocked_at').notNull().defaultNow(),
    until: instant('until'),
    unblockedAt: instant('unblocked_at'),
  },
  (t) => [
    primaryKey({ name: 'user_blocked_devices_pkey', columns: [t.userId, t.id] }),
    index('user_blocked_devices_router_idx').on(t.userId, t.routerId, t.blockedAt.desc().nullsFirst()),
    index('user_blocked_devices_device_idx').on(t.userId, t.routerId, t.deviceId),
    index('user_blocked_devices_group_idx').on(t.userId, t.routerId, t.groupId),
    unique('user_blocked_devices_active_key')
      .on(t.userId, t.routerId, t.deviceId, t.groupId, t.type, t.unblockedAt)
      .nullsNotDistinct(),
    foreignKey({
      name: 'user_blocked_devices_router_fk',
      columns: [t.userId, t.routerId],
      foreignColumns: [routers.userId, routers.id],
    }).onDelete('cascade'),
    foreignKey({
      name: 'user_blocked_devices_device_fk',
      columns: [t.userId, t.routerId, t.deviceId],
      foreignColumns: [devices.userId, devices.routerId, devices.id],
    }).onDelete('cascade'),
    foreignKey({
      name: 'user_blocked_devices_group_fk',
      columns: [t.userId, t.routerId, t.groupId],
      foreignColumns: [deviceGroups.userId, deviceGroups.routerId, deviceGroups.id],
    }).onDelete('cascade'),
    check('user_blocked_devices_type_known', sql`${t.type} in ('manual', 'pause')`),
    check('user_blocked_devices_one_target', sql`num_nonnulls(${t.deviceId}, ${t.groupId}) <= 1`),
    check('user_blocked_devices_pause_ends', sql`(${t.type} = 'pause') = (${t.until} is not null)`),
    userPolicy('user_blocked_devices', t.userId),
    agentPolicy('user_blocked_devices', t.userId, t.routerId),
  ],
)
