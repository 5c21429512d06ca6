/** Everything that a decision rests on, for one router at one moment. Times are instants, rates kbit/s. */
import type { Window } from '../../network/windows.ts'
import type { Scope } from './document.ts'

/**
 * Windows are known so far ahead. A schedule repeats within a week; what is further off comes into view as
 * time passes.
 */
export const HORIZON_MS = 8 * 86_400_000

export type RouterFacts = {
  id: string
  ip: string | null
  mode: 'none' | 'whitelist' | 'blacklist'
  action: 'block' | 'limit'
  limitRate: number | null
  fullRate: number | null
  newDevices: 'allow' | 'hold'
}

/** A block that was not lifted. A pause ends by itself at `until`; a manual block has none. */
export type BlockFact = {
  id: string
  type: 'manual' | 'pause'
  scope: Scope
  until: Date | null
  reason: string | null
}

/**
 * An enabled schedule with the windows (sorted, disjoint) that it has around the moments that are asked
 * about.
 */
export type ScheduleFact = {
  id: string
  kind: 'blocked-during' | 'allowed-only-during'
  scope: Scope
  windows: Window[]
}

/** Lifts (`allow`) or imposes (`block`) what schedules say, until a moment. */
export type OverrideFact = { id: string; decision: 'allow' | 'block'; until: Date }

export type DeviceFacts = {
  /** Null for a list entry whose MAC was never seen. */
  id: string | null
  macs: string[]
  ips: string[]
  /** Infrastructure, as marked by the user. */
  isInfrastructure: boolean
  approval: 'approved' | 'held' | 'dismissed'
  /** The device's own rate, and its group's. */
  rate: number | null
  groupRate: number | null
  /** Ids of the entries that match it, by device, MAC or address. */
  whitelistEntries: string[]
  blacklistEntries: string[]
  blocks: BlockFact[]
  schedules: ScheduleFact[]
  overrides: OverrideFact[]
}
