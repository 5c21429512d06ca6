import { instant } from '../../database/columns.ts'
import { check, foreignKey, inet, macaddr, pgTable, primaryKey, sql, text, unique, uuid } from '../../database/drizzle.ts'
import { agentPolicy, currentUserId, userPolicy } from '../../rls/policies.ts'
import { devices } from '../devices/table.ts'
import { routers } from '../routers/table.ts'

/** The columns both lists share; an entry names a device, or a MAC or an address that may never have been seen. */
const entryColumns = () => ({
  userId: uuid('user_id').notNull().default(currentUserId),
  id: uuid().notNull().defaultRandom(),
  routerId: uuid('router_id').notNull(),
  deviceId: uuid('device_id'),
  mac: macaddr(),
  ip: inet(),
  name: text('entry_name'),
  createdAt: instant('created_at').notNull().defaultNow(),
  updatedAt: instant('updated_at').notNull().defaultNow(),
})

export const whitelist = pgTable('user_whitelists', { ...entryColumns(), description: text() }, (t) => [
  primaryKey({ name: 'user_whitelists_pkey', columns: [t.userId, t.id] }),
  unique('user_whitelists_device_key').on(t.userId, t.routerId, t.deviceId),
  unique('user_whitelists_mac_key').on(t.userId, t.routerId, t.mac),
  unique('user_whitelists_ip_key').on(t.userId, t.routerId, t.ip),
  foreignKey({
    name: 'user_whitelists_router_fk',
    columns: [t.userId, t.routerId],
    foreignColumns: [routers.userId, routers.id],
  }).onDelete('cascade'),
  foreignKey({
    name: 'user_whitelists_device_fk',
    columns: [t.userId, t.routerId, t.deviceId],
    foreignColumns: [devices.userId, devices.routerId, devices.id],
  }).onDelete('cascade'),
  check('user_whitelists_one_subject', sql`num_nonnulls(${t.deviceId}, ${t.mac}, ${t.ip}) = 1`),
  userPolicy('user_whitelists', t.userId),
  agentPolicy('user_whitelists', t.userId, t.routerId),
])

export const blacklist = pgTable('user_blacklists', { ...entryColumns(), reason: text() }, (t) => [
  primaryKey({ name: 'user_blacklists_pkey', columns: [t.userId, t.id] }),
  unique('user_blacklists_device_key').on(t.userId, t.routerId, t.deviceId),
  unique('user_blacklists_mac_key').on(t.userId, t.routerId, t.mac),
  unique('user_blacklists_ip_key').on(t.userId, t.routerId, t.ip),
  foreignKey({
    name: 'user_blacklists_router_fk',
    columns: [t.userId, t.routerId],
    foreignColumns: [routers.userId, routers.id],
  }).onDelete('cascade'),
  foreignKey({
    name: 'user_blacklists_device_fk',
    columns: [t.userId, t.routerId, t.deviceId],
    foreignColumns: [devices.userId, devices.routerId, devices.id],
  }).onDelete('cascade'),
  check('user_blacklists_one_subject', sql`num_nonnulls(${t.deviceId}, ${t.mac}, ${t.ip}) = 1`),
  userPolicy('user_blacklists', t.userId),
  agentPolicy('user_blacklists', t.userId, t.routerId),
])
