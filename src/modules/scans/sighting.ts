import type { MacRefusal } from '../../network/mac.ts'

/** One device in a source: at least a MAC (lower-case with colons) or an address (canonical, each once). */
export type Sighting = { mac: string | null; ips: string[]; hostname: string | null }

/** Why an entry is not a sighting of a device. Agents receive these codes. */
export type SkipReason =
  | MacRefusal
  /** The neighbour never answered: the entry is only an address that was looked up. */
  | 'incomplete'
  /** Neither MAC nor address. */
  | 'no-address'
  /** No MAC, and an address that cannot belong to a device. */
  | 'unusable-address'
  /** The kernel resolves no MAC for this address: multicast, point-to-point. */
  | 'noarp'
  /** An expired lease. */
  | 'expired'
  /** A Wi-Fi station that has not passed authentication. */
  | 'unauthorized'
  /** The router itself. Parsers cannot detect this, because they do not know the router. */
  | 'own-interface'

/** The line of an entry in its source: from 1 for text, null for JSON. */
type Place = { line: number | null }

/** Every entry of a source is in one of the two lists. */
export type Parsed = { sightings: (Sighting & Place)[]; skipped: (Place & { reason: SkipReason })[] }
