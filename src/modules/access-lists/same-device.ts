/**
 * Decides whether two entries are about the same device, and what happens to entries that are to be added.
 * Pure.
 */

/** Names a device in one of three ways. The other two fields are null. */
type Subject = { deviceId: string | null; mac: string | null; ip: string | null }
export type StoredEntry = Subject & { id: string }
/** MAC and address are in canonical spelling. */
export type NewEntry = Subject & {
  routerId: string | null
  name: string | null
  note: string | null
  move: boolean
}

/**
 * A device by everything that an entry may name: its id, the ids of devices merged into it, its MACs, and its
 * current addresses.
 */
export type KnownDevice = { id: string; ids: string[]; macs: string[]; ips: string[] }

/** The result for an entry: its new id, or the reason why it was not added. */
export type Added =
  | { id: string }
  | { code: 'not-found' | 'conflict' }
  | { code: 'on-other-list'; entryId: string }

export type KnownDevices = {
  devices: KnownDevice[]
  /** The entries of the list to add to and of the other list, oldest first. */
  here: StoredEntry[]
  there: StoredEntry[]
}
export type Additions = {
  outcomes: Map<NewEntry, Added>
  /** `replaces`: the ids of entries on the other list that the new entry replaces. */
  added: (NewEntry & { id: string; replaces: string[] })[]
}

/**
 * @returns a function that identifies a subject: by the device's id, or by the MAC or address when no known
 * device has it
 */
function identify(devices: KnownDevice[]): (subject: Subject) => string {
  const owners = new Map(
    devices.flatMap(({ id, ids, macs, ips }) => [...ids, ...macs, ...ips].map((name) => [name, id])),
  )
  return ({ deviceId, mac, ip }) => {
    const name = deviceId ?? mac ?? ip ?? ''
    return owners.get(name) ?? name
  }
}

/**
 * Decides about the entries for one router in order, each as if the entries before it were stored.
 * @param newId generates the ids of new entries
 */
export function decideAdditions(
  entries: NewEntry[],
  { devices, here, there }: KnownDevices,
  newId: () => string,
): Additions {
  const identityOf = identify(devices)
  const known = new Set(devices.map(({ id }) => id))
  const listed = new Set(here.map(identityOf))
  const others = Map.groupBy(there, identityOf)
  const additions: Additions = { outcomes: new Map(), added: [] }

  const decide = (entry: NewEntry): Added => {
    if (entry.deviceId !== null && !known.has(entry.deviceId)) return { code: 'not-found' }
    const identity = identityOf(entry)
    if (listed.has(identity)) return { code: 'conflict' }
    const inTheWay = others.get(identity) ?? []
    if (inTheWay[0] && !entry.move) return { code: 'on-other-list', entryId: inTheWay[0].id }
    const id = newId()
    others.delete(identity)
    listed.add(identity)
    additions.added.push({ ...entry, id, replaces: inTheWay.map((entryThere) => entryThere.id) })
    return { id }
  }
  for (const entry of entries) additions.outcomes.set(entry, decide(entry))
  return additions
}
