import Type from 'typebox'
import {
  bulkAnswer,
  EXAMPLE_ID,
  Forms,
  Instant,
  Name,
  Nullable,
  pageQuery,
  StrictObject,
  Text,
  Uuid,
} from '../../http/schemas.ts'

export type ListName = 'whitelist' | 'blacklist'

/** The name of the note field: `description` on the whitelist, `reason` on the blacklist. */
export const NOTES = { whitelist: 'description', blacklist: 'reason' } as const

/** The maximum number of additions, and of removals, in one call. */
export const MAX_BULK = 500

export const ENTRY_SORTS = ['createdAt', 'name', 'mac', 'ip'] as const
export const ListEntries = StrictObject({
  routerId: Type.Optional(Uuid()),
  search: Type.Optional(
    Text({
      max: 100,
      description: 'A part of the entry, or of a name, MAC or address of its device',
    }),
  ),
  ...pageQuery(ENTRY_SORTS),
})
export type ListEntries = Type.Static<typeof ListEntries>

const EntryName = Type.Optional(Nullable(Name({ max: 100, examples: ['Tablet'] })))
const Note = Type.Optional(Nullable(Text({ max: 500 })))

/**
 * The note field under its name on the list. TypeScript sees both names, so that one implementation serves
 * both lists.
 */
const noteOf = <T extends Type.TSchema>(list: ListName, schema: T) =>
  ({ [NOTES[list]]: schema }) as Record<(typeof NOTES)[ListName], Type.TOptional<T>>

/** The schemas of one list. */
export function entrySchemas(list: ListName) {
  const AddEntry = Forms(
    {
      $id: list === 'whitelist' ? 'NewWhitelistEntry' : 'NewBlacklistEntry',
      description: `A device for the ${list}, by its id, a MAC or an IP address`,
    },
    {
      deviceId: Type.Optional(Uuid()),
      routerId: Type.Optional(
        Uuid('The id of the router, with `mac` or `ip`. With `deviceId` it is that of the device.'),
      ),
      mac: Type.Optional(
        Text({
          max: 50,
          examples: ['02:00:5e:10:00:01'],
          description: 'The MAC address of a device, seen already or not',
        }),
      ),
      ip: Type.Optional(
        Text({
          max: 60,
          examples: ['192.0.2.7'],
          description: 'The IP address. The entry is about whichever device has it, seen already or not.',
        }),
      ),
      name: EntryName,
      ...noteOf(list, Note),
      move: Type.Optional(
        Type.Boolean({ description: 'Whether to take the device off the other list in the same step' }),
      ),
    },
    [['deviceId'], ['routerId', 'mac'], ['routerId', 'ip']],
  )
  return {
    AddEntry,
    ChangeEntry: StrictObject({ name: EntryName, ...noteOf(list, Note) }, { minProperties: 1 }),
    Bulk: StrictObject({
      add: Type.Optional(Type.Array(AddEntry, { maxItems: MAX_BULK })),
      remove: Type.Optional(
        Type.Array(Uuid(), {
          maxItems: MAX_BULK,
          description: 'The ids of the entries to remove',
          examples: [[EXAMPLE_ID]],
        }),
      ),
    }),
    Entry: Type.Object(
      {
        id: Uuid(),
        routerId: Uuid(),
        deviceId: Nullable(Uuid('The id of the device that the entry is about; null until a scan sees it')),
        mac: Nullable(Type.String({ examples: ['02:00:5e:10:00:01'] })),
        ip: Nullable(Type.String({ examples: [null] })),
        name: Nullable(Type.String({ examples: ['Tablet'] })),
        ...noteOf(
          list,
          Nullable(
            Type.String({ examples: [list === 'whitelist' ? 'For school' : 'Nobody knows whose it is'] }),
          ),
        ),
        createdAt: Instant(),
      },
      {
        $id: list === 'whitelist' ? 'WhitelistEntry' : 'BlacklistEntry',
        description: `An entry of the ${list} of a router`,
      },
    ),
  }
}

type Schemas = ReturnType<typeof entrySchemas>
export type Entry = Type.Static<Schemas['Entry']>
export type AddEntry = Type.Static<Schemas['AddEntry']>
export type ChangeEntry = Type.Static<Schemas['ChangeEntry']>

export const BulkAnswer = bulkAnswer(
  'EntryOutcomes',
  'The place in the request: through `add` first, then on through `remove`',
  'The id of the entry that was added or removed',
)
export type BulkAnswer = Type.Static<typeof BulkAnswer>
