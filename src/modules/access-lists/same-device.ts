/** Whether two entries are about the same device, and what becomes of those that are to be added. Pure. */

/** Names a device in one of three ways: the other two are null. */
type Subject = { deviceId: string | null; mac: string | null; ip: string | null }
export type StoredEntry = Subject & { id: string }
/** In canonical spellings. */
export type NewEntry = Subject & {
  routerId: string | null
  name: string | null
  note: string | null
  move: boolean
}

/**
 * A device as entries may name it: its id, those of devices merged into it, its MACs, the addresses it has
 * now.
 */
export type KnownDevice = { id: string; ids: string[]; macs: string[]; ips: string[] }

/** What became of an entry: the id it got, or why there is none. */
export type Added =
  | { id: string }
  | { code: 'not-found' | 'conflict' }
  | { code: 'on-other-list'; entryId: string }

export type KnownDevices = {
  devices: KnownDevice[]
  /** Entries of the list that is added to, and of the other; oldest first. */
  here: StoredEntry[]
  there: StoredEntry[]
}
export type Additions = {
  outcomes: Map<NewEntry, Added>
  /**
   * `replaces`: ids of the other list's entries that give way.
   */
  added: (NewEntry & { id: string; replaces: string[] })[]
}

/** @returns what a subject is about: a device's id, or else the MAC or address that no known device has */
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
 * Decides about entries for one router one after the other, each as if those before it were stored.
 * @param newId makes the ids of new entries
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
