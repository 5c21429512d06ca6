import { instant } from '../../database/columns.ts'
import { foreignKey, jsonb, pgTable, primaryKey, text, unique, uuid } from '../../database/drizzle.ts'
import { currentUserId, userPolicy } from '../../rls/policies.ts'
import { routers } from '../routers/table.ts'
import { users } from '../users/table.ts'

/** The settings of a person, or with `routerId` those of one router. */
export const settings = pgTable(
  'user_settings',
  {
    userId: uuid('user_id')
      .notNull()
      .default(currentUserId)
      .references(() => users.id, { onDelete: 'cascade' }),
    id: uuid().notNull().defaultRandom(),
    routerId: uuid('router_id'),
    key: text('setting_key').notNull(),
    value: jsonb('setting_value').notNull(),
    updatedAt: instant('updated_at').notNull().defaultNow(),
  },
  (t) => [
    primaryKey({ name: 'user_settings_pkey', columns: [t.userId, t.id] }),
    unique('user_settings_key_key').on(t.userId, t.routerId, t.key).nullsNotDistinct(),
    foreignKey({
      name: 'user_settings_router_fk',
      columns: [t.userId, t.routerId],
      foreignColumns: [routers.userId, routers.id],
    }).onDelete('cascade'),
    userPolicy('user_settings', t.userId),
  ],
)
