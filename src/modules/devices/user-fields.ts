import type { ChangeDevice } from './schema.ts'

type UserField = {
  column: string
  /** The field name in query results, which also contain values from scans. */
  shown: string
  /** The value of the column while the user has entered nothing. */
  unsaid: 'null' | 'false'
}

/**
 * The fields that the user enters for a device. Scans never write these columns and never merge away a device
 * with one of them. A merge passes them on to the survivor.
 */
const USER_FIELDS = {
  name: { column: 'device_name', shown: 'ownName', unsaid: 'null' },
  type: { column: 'device_type', shown: 'type', unsaid: 'null' },
  manufacturer: { column: 'manufacturer', shown: 'ownManufacturer', unsaid: 'null' },
  groupId: { column: 'group_id', shown: 'groupId', unsaid: 'null' },
  isInfrastructure: { column: 'is_infrastructure', shown: 'isInfrastructure', unsaid: 'false' },
  mine: { column: 'mine', shown: 'mine', unsaid: 'false' },
  rate: { column: 'rate', shown: 'rate', unsaid: 'null' },
} as const satisfies Record<keyof ChangeDevice, UserField>

export const USER_COLUMNS: readonly UserField[] = Object.values(USER_FIELDS)

/** A SQL condition: the user has entered something for the device `d`. */
export const IS_DESCRIBED = USER_COLUMNS.map(
  ({ column, unsaid }) => `d.${column} is distinct from ${unsaid}`,
).join(' or ')
