import { instant } from '../../database/columns.ts'
import {
  check,
  foreignKey,
  inet,
  macaddr,
  pgTable,
  primaryKey,
  sql,
  text,
  unique,
  uuid,
} from '../../database/drizzle.ts'
import { agentPolicy, currentUserId, userPolicy } from '../../rls/policies.ts'
import { devices } from '../devices/table.ts'
import { routers } from '../routers/table.ts'

/**
 * A list of a router. An entry names a device, or a MAC or an address that may never have been seen. The two
 * lists differ only in the name of the note column.
 */
const listTable = (table: string, note: 'description' | 'reason') =>
  pgTable(
    table,
    {
      userId: uuid('user_id').notNull().default(currentUserId),
      id: uuid().notNull().defaultRandom(),
      routerId: uuid('router_id').notNull(),
      deviceId: uuid('device_id'),
      mac: macaddr(),
      ip: inet(),
      name: text('entry_name'),
      createdAt: instant('created_at').notNull().defaultNow(),
      updatedAt: instant('updated_at').notNull().defaultNow(),
      note: text(note),
    },
    (t) => [
      primaryKey({ name: `${table}_pkey`, columns: [t.userId, t.id] }),
      unique(`${table}_device_key`).on(t.userId, t.routerId, t.deviceId),
      unique(`${table}_mac_key`).on(t.userId, t.routerId, t.mac),
      unique(`${table}_ip_key`).on(t.userId, t.routerId, t.ip),
      foreignKey({
        name: `${table}_router_fk`,
        columns: [t.userId, t.routerId],
        foreignColumns: [routers.userId, routers.id],
      }).onDelete('cascade'),
      foreignKey({
        name: `${table}_device_fk`,
        columns: [t.userId, t.routerId, t.deviceId],
        foreignColumns: [devices.userId, devices.routerId, devices.id],
      }).onDelete('cascade'),
      check(`${table}_one_subject`, sql`num_nonnulls(${t.deviceId}, ${t.mac}, ${t.ip}) = 1`),
      userPolicy(table, t.userId),
      agentPolicy(table, t.userId, t.routerId),
    ],
  )

export const whitelist = listTable('user_whitelists', 'description')
export const blacklist = listTable('user_blacklists', 'reason')
