import { bigint, check, pgTable, primaryKey, smallint, sql, text } from '../../database/drizzle.ts'
import { referencePolicies } from '../../rls/policies.ts'

/**
 * The organisation that each IEEE prefix (MA-L 24, MA-M 28, MA-S 36 bits) is assigned to. `prefix` is a
 * 48-bit number, zero-filled.
 */
export const ouiPrefixes = pgTable(
  'oui_prefixes',
  {
    prefix: bigint({ mode: 'number' }).notNull(),
    bits: smallint().notNull(),
    organization: text().notNull(),
  },
  (t) => [
    primaryKey({ name: 'oui_prefixes_pkey', columns: [t.prefix, t.bits] }),
    check('oui_prefixes_bits_known', sql`${t.bits} in (24, 28, 36)`),
    ...referencePolicies('oui_prefixes'),
  ],
)
