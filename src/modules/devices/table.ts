import { instant } from '../../database/columns.ts'
import {
  boolean,
  check,
  foreignKey,
  index,
  inet,
  integer,
  macaddr,
  pgTable,
  primaryKey,
  sql,
  text,
  unique,
  uuid,
} from '../../database/drizzle.ts'
import { adminPolicy, agentPolicy, currentUserId, userPolicy } from '../../rls/policies.ts'
import { deviceGroups } from '../groups/table.ts'
import { routers } from '../routers/table.ts'

/**
 * A device on a network. Values from the user and values from scans have separate columns, so that neither
 * overwrites the other. A merged device keeps its row and points at the survivor: rows that refer to it then
 * apply to the survivor, and the merge can be undone.
 *
 * `last_seen` is in no index, so that a scan that changes nothing else is a HOT update (0 % with such an
 * index, 82 to 97 % without).
 */
export const devices = pgTable(
  'user_devices',
  {
    userId: uuid('user_id').notNull().default(currentUserId),
    id: uuid().notNull().defaultRandom(),
    routerId: uuid('router_id').notNull(),
    name: text('device_name'),
    type: text('device_type'),
    manufacturer: text(),
    hostname: text(),
    detectedManufacturer: text('detected_manufacturer'),
    isInfrastructure: boolean('is_infrastructure').notNull().default(false),
    mine: boolean().notNull().default(false),
    groupId: uuid('group_id'),
    rate: integer(),
    approval: text({ enum: ['approved', 'held', 'dismissed'] })
      .notNull()
      .default('approved'),
    mergedInto: uuid('merged_into'),
    firstSeen: instant('first_seen').notNull().defaultNow(),
    lastSeen: instant('last_seen').notNull().defaultNow(),
  },
  (t) => [
    primaryKey({ name: 'user_devices_pkey', columns: [t.userId, t.id] }),
    // For foreign keys. `id` comes before `router_id`. Otherwise the planner, before it has statistics,
    // searches by router and filters by id (n²).
    unique('user_devices_router_key').on(t.userId, t.id, t.routerId),
    // Foreign keys bypass row security, so each key includes the owner.
    foreignKey({
      name: 'user_devices_router_fk',
      columns: [t.userId, t.routerId],
      foreignColumns: [routers.userId, routers.id],
    }).onDelete('cascade'),
    foreignKey({
      name: 'user_devices_group_fk',
      columns: [t.userId, t.routerId, t.groupId],
      foreignColumns: [deviceGroups.userId, deviceGroups.routerId, deviceGroups.id],
    }),
    foreignKey({
      name: 'user_devices_merged_into_fk',
      columns: [t.userId, t.routerId, t.mergedInto],
      foreignColumns: [t.userId, t.routerId, t.id],
    }).onDelete('cascade'),
    index('user_devices_merged_into_idx')
      .on(t.userId, t.routerId, t.mergedInto)
      .where(sql`${t.mergedInto} is not null`),
    index('user_devices_group_idx').on(t.userId, t.routerId, t.groupId).where(sql`${t.groupId} is not null`),
    check('user_devices_approval_known', sql`${t.approval} in ('approved', 'held', 'dismissed')`),
    check('user_devices_rate_positive', sql`${t.rate} > 0`),
    userPolicy('user_devices', t.userId),
    agentPolicy('user_devices', t.userId, t.routerId),
    adminPolicy('user_devices'),
  ],
)

/**
 * A network interface of a device: one MAC with its current addresses. `mac` is null for a device that is
 * known by address only. An address belongs to one interface of a router at a time: `recordScan` takes it
 * from the previous interface.
 */
export const deviceInterfaces = pgTable(
  'user_device_interfaces',
  {
    userId: uuid('user_id').notNull().default(currentUserId),
    id: uuid().notNull().defaultRandom(),
    routerId: uuid('router_id').notNull(),
    deviceId: uuid('device_id').notNull(),
    mac: macaddr(),
    ips: inet().array().notNull().default(sql`'{}'`),
    firstSeen: instant('first_seen').notNull().defaultNow(),
  },
  (t) => [
    primaryKey({ name: 'user_device_interfaces_pkey', columns: [t.userId, t.id] }),
    unique('user_device_interfaces_mac_key').on(t.userId, t.routerId, t.mac),
    // Without `router_id`, so that the planner never uses the MAC index instead and filters by device (n²
    // before statistics). The foreign key finds the rows of a device by this index just as well: deleting one
    // of an owner's 50,000 devices scans nothing.
    index('user_device_interfaces_device_idx').on(t.userId, t.deviceId),
    foreignKey({
      name: 'user_device_interfaces_device_fk',
      columns: [t.userId, t.routerId, t.deviceId],
      foreignColumns: [devices.userId, devices.routerId, devices.id],
    }).onDelete('cascade'),
    userPolicy('user_device_interfaces', t.userId),
    agentPolicy('user_device_interfaces', t.userId, t.routerId),
  ],
)

/** What a merge changed, so that it can be undone. */
export const deviceMerges = pgTable(
  'user_device_merges',
  {
    userId: uuid('user_id').notNull().default(currentUserId),
    id: uuid().notNull().defaultRandom(),
    routerId: uuid('router_id').notNull(),
    deviceId: uuid('device_id').notNull(),
    mergedDeviceId: uuid('merged_device_id').notNull(),
    /** The interfaces that the merge moved, and the empty fields of the survivor that it filled. */
    interfaces: uuid().array().notNull(),
    filled: text().array().notNull(),
    mergedAt: instant('merged_at').notNull().defaultNow(),
    undoneAt: instant('undone_at'),
  },
  (t) => [
    primaryKey({ name: 'user_device_merges_pkey', columns: [t.userId, t.id] }),
    index('user_device_merges_device_idx').on(t.userId, t.routerId, t.deviceId),
    index('user_device_merges_merged_device_idx').on(t.userId, t.routerId, t.mergedDeviceId),
    foreignKey({
      name: 'user_device_merges_device_fk',
      columns: [t.userId, t.routerId, t.deviceId],
      foreignColumns: [devices.userId, devices.routerId, devices.id],
    }).onDelete('cascade'),
    foreignKey({
      name: 'user_device_merges_merged_device_fk',
      columns: [t.userId, t.routerId, t.mergedDeviceId],
      foreignColumns: [devices.userId, devices.routerId, devices.id],
    }).onDelete('cascade'),
    userPolicy('user_device_merges', t.userId),
  ],
)
