/** Whose word each column of a device is: a new one is the user's or the scanner's. */

import { getTableConfig } from 'drizzle-orm/pg-core'
import { expect, it } from 'vitest'
import { ChangeDevice } from '../../src/modules/devices/schema.ts'
import { devices } from '../../src/modules/devices/table.ts'
import { USER_COLUMNS } from '../../src/modules/devices/user-fields.ts'

/** What scans and NetPilot itself write. Of `approval` the inbox has the last word, and a merge none. */
const SCANNERS = [
  ...['user_id', 'id', 'router_id', 'hostname', 'detected_manufacturer', 'approval'],
  ...['merged_into', 'first_seen', 'last_seen'],
]

it('is said of every column of the table, once', () => {
  const columns = getTableConfig(devices).columns.map(({ name }) => name)
  expect([...USER_COLUMNS.map(({ column }) => column), ...SCANNERS].sort()).toEqual(columns.sort())
})

it('is the user’s of what they can change', () => {
  expect(USER_COLUMNS).toHaveLength(Object.keys(ChangeDevice.properties).length)
})

it('knows what each column holds while the user has said nothing', () => {
  const columns = getTableConfig(devices).columns
  for (const { column, unsaid } of USER_COLUMNS) {
    const { notNull, default: value = null } = columns.find(({ name }) => name === column) ?? {}
    expect([notNull, String(value)], column).toEqual([unsaid !== 'null', unsaid])
  }
})
