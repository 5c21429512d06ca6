/**
 * Decides who may use the network. Only this file defines the precedence of rules. Pure; the order of facts
 * does not matter.
 *
 * Infrastructure and the router itself are allowed. The next rules are, in order:
 * - a manual block,
 * - a pause (of the device, its group or the router),
 * - schedules unless overridden,
 * - the hold on a new device,
 * - the router's lists and mode.
 *
 * The first rule that applies wins. The rate is the device's, else its group's, else the router's
 * (`limitRate` for limited devices, `fullRate` for allowed ones).
 */
import { type Decision, type Outcome, type Reason, type ReasonCode, SCOPES, type Scope } from './document.ts'
import type { DeviceFacts, OverrideFact, RouterFacts } from './facts.ts'

export type Verdict = Outcome & { reasons: Reason[] }

/** The result of one rule: a decision and its reasons, or undefined when the rule does not apply. */
type Ruling = { decision: Decision; reasons: Reason[] } | undefined
type Rule = (device: DeviceFacts, router: RouterFacts, at: Date) => Ruling

/**
 * The first rule that applies decides. Its reasons come first, then those of later rules with the same
 * decision.
 */
export function decide(device: DeviceFacts, router: RouterFacts, at: Date): Verdict {
  const guarded = allowInfrastructure(device, router, at)
  if (guarded) return { ...guarded, rate: null }
  const rulings = RULES.map((rule) => rule(device, router, at)).filter((ruling) => ruling !== undefined)
  const { decision } = rulings[0] as NonNullable<Ruling>
  const reasons = rulings.filter((ruling) => ruling.decision === decision).flatMap((ruling) => ruling.reasons)
  return { decision, rate: rateOf(decision, device, router), reasons: [...liftedBy(device, at), ...reasons] }
}

/** The outcome for an unknown device. */
export function decideUnknown(router: RouterFacts, at: Date): Outcome {
  const { decision, rate } = decide(
    { ...UNKNOWN, approval: router.newDevices === 'hold' ? 'held' : 'approved' },
    router,
    at,
  )
  return { decision, rate }
}

const UNKNOWN: DeviceFacts = {
  id: null,
  macs: [],
  ips: [],
  isInfrastructure: false,
  approval: 'approved',
  rate: null,
  groupRate: null,
  whitelistEntries: [],
  blacklistEntries: [],
  blocks: [],
  schedules: [],
  overrides: [],
}

const allowInfrastructure: Rule = ({ isInfrastructure, ips }, { ip }) => {
  if (ip !== null && ips.includes(ip))
    return { decision: 'allow', reasons: [{ code: 'router', text: 'This is the router itself' }] }
  if (isInfrastructure)
    return { decision: 'allow', reasons: [{ code: 'infrastructure', text: 'Marked as infrastructure' }] }
  return undefined
}

const WHOSE: Record<Scope, string> = { device: 'The device', group: 'Its group', router: 'The whole network' }
const because = (text: string, note: string | null) => ({
  text: note === null ? text : `${text}: ${note}`,
  ...(note !== null && { note }),
})

const manualBlock: Rule = ({ blocks }) =>
  block(
    blocks
      .filter(({ type }) => type === 'manual')
      .map(({ id, scope, reason }) => ({
        code: 'manual-block',
        ...because(`${WHOSE[scope]} is blocked`, reason),
        id,
        scope,
      })),
  )

const pause: Rule = ({ blocks }, _router, at) =>
  block(
    blocks
      .filter(({ type, until }) => type === 'pause' && isAhead(until, at))
      .sort((a, b) => SCOPES.indexOf(a.scope) - SCOPES.indexOf(b.scope))
      .map(({ id, scope, until, reason }) => ({
        code: 'pause',
        ...because(`${WHOSE[scope]} is paused until ${until?.toISOString()}`, reason),
        id,
        scope,
        ...(until && { until }),
      })),
  )

const schedule: Rule = (device, _router, at) => {
  const override = activeOverride(device, at)
  if (override?.decision === 'allow') return undefined
  if (override)
    return block([
      {
        code: 'override',
        text: `Blocked by an override until ${override.until.toISOString()}`,
        ...factsOf(override),
      },
    ])
  const runs = ({ windows }: DeviceFacts['schedules'][number]) =>
    windows.some(({ from, to }) => from <= at && at < to)
  const blocking = device.schedules.filter((one) => one.kind === 'blocked-during' && runs(one))
  const allowing = device.schedules.filter(({ kind }) => kind === 'allowed-only-during')
  // Several "allowed only during" schedules are alternatives: one that runs is enough.
  const outside = allowing.some(runs) ? [] : allowing
  return block([
    ...blocking.map(
      ({ id, scope }): Reason => ({
        code: 'schedule',
        text: `${WHOSE[scope]} is blocked at this time`,
        id,
        scope,
      }),
    ),
    ...outside.map(
      ({ id, scope }): Reason => ({
        code: 'outside-schedule',
        text: `${WHOSE[scope]} is allowed at other times only`,
        id,
        scope,
      }),
    ),
  ])
}

const held: Rule = ({ approval }, { newDevices }) =>
  block(
    newDevices === 'hold' && approval !== 'approved'
      ? [{ code: 'held', text: 'A new device that nobody has approved yet' }]
      : [],
  )

const listAndMode: Rule = ({ whitelistEntries, blacklistEntries }, { mode, action }) => {
  const named = (code: ReasonCode, text: string, ids: string[]) => ids.map((id) => ({ code, text, id }))
  if (mode === 'none')
    return { decision: 'allow', reasons: [{ code: 'mode-none', text: 'The router restricts nobody' }] }
  if (mode === 'blacklist') {
    if (blacklistEntries.length > 0)
      return { decision: action, reasons: named('blacklisted', 'On the blacklist', blacklistEntries) }
    return { decision: 'allow', reasons: [{ code: 'not-blacklisted', text: 'Not on the blacklist' }] }
  }
  if (whitelistEntries.length > 0)
    return { decision: 'allow', reasons: named('whitelisted', 'On the whitelist', whitelistEntries) }
  return { decision: action, reasons: [{ code: 'not-whitelisted', text: 'Not on the whitelist' }] }
}

const RULES: Rule[] = [manualBlock, pause, schedule, held, listAndMode]

const block = (reasons: Reason[]): Ruling =>
  reasons.length === 0
    ? undefined
    : {
        decision: 'block',
        reasons: reasons.sort((a, b) => compare(a.code, b.code) || compare(a.id ?? '', b.id ?? '')),
      }

export const compare = (a: string, b: string) => Number(a > b) - Number(a < b)
const isAhead = (until: Date | null, at: Date) => until !== null && until > at

/**
 * Of several overrides the one that lasts longest is active; of equal ones, the one that allows; then a fixed
 * order decides.
 */
function activeOverride({ overrides }: DeviceFacts, at: Date) {
  const active = overrides.filter(({ until }) => until > at)
  return active.sort(
    (a, b) => b.until.getTime() - a.until.getTime() || compare(a.decision, b.decision) || compare(a.id, b.id),
  )[0]
}

const factsOf = ({ id, until }: OverrideFact) => ({ id, scope: 'device' as const, until })

/** An override that lifts schedules is always listed as a reason, whatever else decides. */
function liftedBy(device: DeviceFacts, at: Date): Reason[] {
  const override = activeOverride(device, at)
  if (override?.decision !== 'allow' || device.schedules.length === 0) return []
  return [
    {
      code: 'override',
      text: `Schedules are lifted until ${override.until.toISOString()}`,
      ...factsOf(override),
    },
  ]
}

function rateOf(decision: Decision, device: DeviceFacts, router: RouterFacts): number | null {
  if (decision === 'block') return null
  return device.rate ?? device.groupRate ?? (decision === 'limit' ? router.limitRate : router.fullRate)
}
