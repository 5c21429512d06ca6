/** Column types that drizzle lacks. */
import { customType, timestamp } from './drizzle.ts'

export const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' })

/** A point in time, `timestamptz`; a `Date` in code, RFC 3339 UTC on the wire. */
export const instant = (name: string) => timestamp(name, { withTimezone: true, mode: 'date' })
