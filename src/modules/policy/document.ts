/** What an agent must enforce: one decision for each device, with a revision. The types match the API. */
export type Decision = 'allow' | 'limit' | 'block'

export const REASON_CODES = [
  ...[
    'router',
    'infrastructure',
    'manual-block',
    'pause',
    'override',
    'schedule',
    'outside-schedule',
    'held',
  ],
  ...['mode-none', 'blacklisted', 'not-blacklisted', 'whitelisted', 'not-whitelisted'],
] as const
export type ReasonCode = (typeof REASON_CODES)[number]

/** What a rule applies to: the device itself, its group, or the whole router. */
export const SCOPES = ['device', 'group', 'router'] as const
export type Scope = (typeof SCOPES)[number]

/**
 * The reason for a decision: a stable `code` with its facts, from which a client can build a sentence in any
 * language, and the sentence in English. Facts that a rule does not have are absent.
 */
export type Reason = {
  code: ReasonCode
  text: string
  /** The id of the row behind the reason. */
  id?: string
  scope?: Scope
  /** When the rule ends by itself. */
  until?: Date
  /** The note that its author wrote. */
  note?: string
}

/** The outcome for a device at a moment. `rate` is kbit/s; null means unlimited. */
export type Outcome = { decision: Decision; rate: number | null }

export type PolicyEntry = Outcome & {
  /** Null for a list entry whose MAC was never seen. */
  deviceId: string | null
  macs: string[]
  /** When time alone changes this outcome; null when it does not. */
  until: Date | null
  reasons: Reason[]
  /** The changes within the next two days, so that an agent without a connection applies them in time. */
  upcoming: (Outcome & { at: Date })[]
}

export type PolicyDocument = {
  revision: string
  routerId: string
  mode: 'none' | 'whitelist' | 'blacklist'
  generatedAt: Date
  /** The outcome for every device that is not listed. */
  default: Outcome
  devices: PolicyEntry[]
  /** The distinct moments of all upcoming changes, sorted. */
  changesAt: Date[]
}
