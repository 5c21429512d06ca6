import { bytea, instant } from '../../database/columns.ts'
import { pgTable, primaryKey, unique, uuid } from '../../database/drizzle.ts'
import { users } from '../../modules/users/table.ts'
import { signInPolicy } from '../../rls/policies.ts'

const owner = () =>
  uuid('user_id')
    .notNull()
    .references(() => users.id, { onDelete: 'cascade' })

export const recoveryCodes = pgTable(
  'user_recovery_codes',
  {
    userId: owner(),
    id: uuid().notNull().defaultRandom(),
    codeSha256: bytea('code_sha256').notNull(),
    createdAt: instant('created_at').notNull().defaultNow(),
    usedAt: instant('used_at'),
  },
  (t) => [
    primaryKey({ name: 'user_recovery_codes_pkey', columns: [t.userId, t.id] }),
    unique('user_recovery_codes_sha256_key').on(t.userId, t.codeSha256),
    signInPolicy('user_recovery_codes', t.userId),
  ],
)
