import type { MacRefusal } from '../../network/mac.ts'

/**
 * One device as a source shows it: at least a MAC (lower-case with colons) or an address (canonical, each
 * once).
 */
export type Sighting = { mac: string | null; ips: string[]; hostname: string | null }

/** Why an entry is no sighting of a device; agents see these codes. */
export type SkipReason =
  | MacRefusal
  /** The neighbour never answered: nothing but an address that somebody asked for. */
  | 'incomplete'
  /** Neither MAC nor address. */
  | 'no-address'
  /** An address that can belong to no device, and no MAC. */
  | 'unusable-address'
  /** The kernel resolves no neighbour there: multicast, point-to-point. */
  | 'noarp'
  /** A lease that has ended. */
  | 'expired'
  /** A Wi-Fi station that has not passed authentication. */
  | 'unauthorized'
  /** The router itself; no parser can tell, only who knows the router. */
  | 'own-interface'

/** Where an entry stands in its source: from 1 for text, null for JSON. */
type Place = { line: number | null }

/** Every entry of a source is in one of the two. */
export type Parsed = { sightings: (Sighting & Place)[]; skipped: (Place & { reason: SkipReason })[] }
