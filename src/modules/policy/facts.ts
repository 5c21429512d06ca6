/** All facts behind a decision, for one router at one moment. Times are instants, rates kbit/s. */
import type { Window } from '../../network/windows.ts'
import type { Scope } from './document.ts'

/**
 * Windows are computed this far ahead. A schedule repeats within a week, so later windows become known as
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

/** An enabled schedule with its windows (sorted, disjoint) around the requested moments. */
export type ScheduleFact = {
  id: string
  kind: 'blocked-during' | 'allowed-only-during'
  scope: Scope
  windows: Window[]
}

/** Overrides schedules until a moment: `allow` lifts them, `block` blocks regardless of them. */
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
