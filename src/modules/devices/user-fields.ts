import type { ChangeDevice } from './schema.ts'

type UserField = {
  column: string
  /** Its name in what is read of a device, beside what scans found. */
  shown: string
  /** What the column holds while the user has said nothing. */
  unsaid: 'null' | 'false'
}

/**
 * What the user says of a device. Scans never write these columns and do not merge away a device that has one;
 * a merge hands them on.
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

/** A condition: the user has said something of the device `d`. */
export const IS_DESCRIBED = USER_COLUMNS.map(
  ({ column, unsaid }) => `d.${column} is distinct from ${unsaid}`,
).join(' or ')
