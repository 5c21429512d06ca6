/** What an agent must enforce: one decision for each device, at a revision. Shapes as in the API. */
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

/** Why: a stable `code`, a sentence for people, and the id of the row that says so, where there is one. */
export type Reason = { code: ReasonCode; text: string; id?: string }

/** What becomes of a device at a moment: `rate` is kbit/s, null for none. */
export type Outcome = { decision: Decision; rate: number | null }

export type PolicyEntry = Outcome & {
  /** Null for a list entry whose MAC was never seen. */
  deviceId: string | null
  macs: string[]
  /** When time alone changes this outcome; null when it does not. */
  until: Date | null
  reasons: Reason[]
  /** What it changes to within the next two days, so that an agent on its own goes on in time. */
  upcoming: (Outcome & { at: Date })[]
}

export type PolicyDocument = {
  revision: string
  routerId: string
  mode: 'none' | 'whitelist' | 'blacklist'
  generatedAt: Date
  /** For what is not among the devices. */
  default: Outcome
  devices: PolicyEntry[]
  /** The distinct moments of all that is upcoming, sorted. */
  changesAt: Date[]
}
