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

/** What a rule is about: the device itself, its group, or the whole router. */
export const SCOPES = ['device', 'group', 'router'] as const
export type Scope = (typeof SCOPES)[number]

/**
 * Why: a stable `code` with its facts, from which a client can make a sentence in any language, and that
 * sentence in English. A fact that a rule does not have is left out.
 */
export type Reason = {
  code: ReasonCode
  text: string
  /** Of the row that says so. */
  id?: string
  scope?: Scope
  /** When the rule ends by itself. */
  until?: Date
  /** What its author wrote about it. */
  note?: string
}

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
