import { instant } from '../../database/columns.ts'
import {
  boolean,
  check,
  foreignKey,
  index,
  pgTable,
  primaryKey,
  sql,
  text,
  time,
  uuid,
} from '../../database/drizzle.ts'
import { agentPolicy, currentUserId, userPolicy } from '../../rls/policies.ts'
import { devices } from '../devices/table.ts'
import { deviceGroups } from '../groups/table.ts'

/**
 * A recurring window of a device or a group, in the router's time zone. If `end_time` is before `start_time`,
 * the window extends past midnight.
 */
export const schedules = pgTable(
  'user_schedules',
  {
    userId: uuid('user_id').notNull().default(currentUserId),
    id: uuid().notNull().defaultRandom(),
    routerId: uuid('router_id').notNull(),
    deviceId: uuid('device_id'),
    groupId: uuid('group_id'),
    kind: text('schedule_kind', { enum: ['blocked-during', 'allowed-only-during'] }).notNull(),
    days: text().array().notNull(),
    startTime: time('start_time').notNull(),
    endTime: time('end_time').notNull(),
    enabled: boolean().notNull().default(true),
    createdAt: instant('created_at').notNull().defaultNow(),
    updatedAt: instant('updated_at').notNull().defaultNow(),
  },
  (t) => [
    primaryKey({ name: 'user_schedules_pkey', columns: [t.userId, t.id] }),
    index('user_schedules_device_idx').on(t.userId, t.routerId, t.deviceId),
    index('user_schedules_group_idx').on(t.userId, t.routerId, t.groupId),
    foreignKey({
      name: 'user_schedules_device_fk',
      columns: [t.userId, t.routerId, t.deviceId],
      foreignColumns: [devices.userId, devices.routerId, devices.id],
    }).onDelete('cascade'),
    foreignKey({
      name: 'user_schedules_group_fk',
      columns: [t.userId, t.routerId, t.groupId],
      foreignColumns: [deviceGroups.userId, deviceGroups.routerId, deviceGroups.id],
    }).onDelete('cascade'),
    check('user_schedules_kind_known', sql`${t.kind} in ('blocked-during', 'allowed-only-during')`),
    check('user_schedules_one_target', sql`num_nonnulls(${t.deviceId}, ${t.groupId}) = 1`),
    check(
      'user_schedules_days_known',
      sql`${t.days} <@ array['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] and cardinality(${t.days}) between 1 and 7`,
    ),
    userPolicy('user_schedules', t.userId),
    agentPolicy('user_schedules', t.userId, t.routerId),
  ],
)

/** Lifts or imposes schedules for one device until a moment ("let them finish the film"). */
export const overrides = pgTable(
  'user_schedule_overrides',
  {
    userId: uuid('user_id').notNull().default(currentUserId),
    id: uuid().notNull().defaultRandom(),
    routerId: uuid('router_id').notNull(),
    deviceId: uuid('device_id').notNull(),
    decision: text({ enum: ['allow', 'block'] }).notNull(),
    until: instant('until').notNull(),
    createdAt: instant('created_at').notNull().defaultNow(),
  },
  (t) => [
    primaryKey({ name: 'user_schedule_overrides_pkey', columns: [t.userId, t.id] }),
    index('user_schedule_overrides_device_idx').on(t.userId, t.routerId, t.deviceId),
    foreignKey({
      name: 'user_schedule_overrides_device_fk',
      columns: [t.userId, t.routerId, t.deviceId],
      foreignColumns: [devices.userId, devices.routerId, devices.id],
    }).onDelete('cascade'),
    check('user_schedule_overrides_decision_known', sql`${t.decision} in ('allow', 'block')`),
    userPolicy('user_schedule_overrides', t.userId),
    agentPolicy('user_schedule_overrides', t.userId, t.routerId),
  ],
)
