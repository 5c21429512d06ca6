import { bytea, instant } from '../../database/columns.ts'
import { integer, pgTable, primaryKey, text } from '../../database/drizzle.ts'
import { contextPolicy, counterPolicy } from '../../rls/policies.ts'

/**
 * How often a client (`key`: for example the HMAC of an address) did what `bucket` limits, in the window that
 * began at `windowStart`. Unlogged.
 */
export const rateCounters = pgTable(
  'rate_counters',
  {
    bucket: text().notNull(),
    key: bytea().notNull(),
    windowStart: instant('window_start').notNull(),
    count: integer().notNull(),
  },
  (t) => [
    primaryKey({ name: 'rate_counters_pkey', columns: [t.bucket, t.key] }),
    counterPolicy('rate_counters'),
    contextPolicy('rate_counters'),
  ],
)
