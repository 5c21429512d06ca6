/**
 * Converts facts to the document that an agent enforces: decisions, their ends, and a revision of the whole.
 * Pure.
 */
import { createHash } from 'node:crypto'
import { compare, decide, decideUnknown } from './decide.ts'
import type { Outcome, PolicyDocument, PolicyEntry } from './document.ts'
import { type DeviceFacts, HORIZON_MS, type RouterFacts } from './facts.ts'

/** Changes within this time are listed as upcoming. */
const TOLD_AHEAD_MS = 48 * 3_600_000

export function evaluate(router: RouterFacts, devices: DeviceFacts[], at: Date): PolicyDocument {
  const entries = devices
    .map((device) => entryOf(device, router, at))
    .sort((a, b) => compare(keyOf(a), keyOf(b)))
  const unknown = decideUnknown(router, at)
  const changes = new Set(entries.flatMap(({ upcoming }) => upcoming.map((change) => change.at.getTime())))
  return {
    revision: revisionOf(entries, unknown),
    routerId: router.id,
    mode: router.mode,
    generatedAt: at,
    default: unknown,
    devices: entries,
    changesAt: [...changes].sort((a, b) => a - b).map((time) => new Date(time)),
  }
}

function entryOf(device: DeviceFacts, router: RouterFacts, at: Date): PolicyEntry {
  const { reasons, ...now } = decide(device, router, at)
  const changes: PolicyEntry['upcoming'] = []
  let last: Outcome = now
  for (const time of changeTimes(device, at)) {
    const { decision, rate } = decide(device, router, time)
    if (decision !== last.decision || rate !== last.rate) changes.push({ at: time, decision, rate })
    last = { decision, rate }
  }
  const [next] = changes
  const upcoming = changes.filter((change) => change.at.getTime() - at.getTime() <= TOLD_AHEAD_MS)
  return {
    deviceId: device.id,
    macs: [...device.macs].sort(),
    ...now,
    until: next?.at ?? null,
    reasons,
    upcoming,
  }
}

/** The moments after `at` at which time alone could change the outcome, in order. */
function changeTimes({ blocks, overrides, schedules }: DeviceFacts, at: Date): Date[] {
  const horizon = at.getTime() + HORIZON_MS
  // At the horizon every window seems to end, because what follows is not known.
  const edges = schedules
    .flatMap(({ windows }) => windows.flatMap(({ from, to }) => [from, to]))
    .filter((edge) => edge.getTime() < horizon)
  const times = [
    ...blocks.map(({ until }) => until),
    ...overrides.map(({ until }) => until),
    ...edges,
  ].flatMap((time) => time?.getTime() ?? [])
  return [...new Set(times)]
    .filter((time) => time > at.getTime())
    .sort((a, b) => a - b)
    .map((time) => new Date(time))
}

/**
 * A digest of all decisions and their ends, because an agent ends a pause by itself. Later changes are
 * excluded: they enter the list of upcoming changes as time passes, without a new outcome.
 */
function revisionOf(entries: PolicyEntry[], unknown: Outcome): string {
  const outcome = entries.map(({ macs, decision, rate, until }) => [macs, decision, rate, until])
  return createHash('sha256')
    .update(JSON.stringify([outcome, unknown.decision, unknown.rate]))
    .digest('base64url')
    .slice(0, 22)
}

const keyOf = ({ macs, deviceId }: PolicyEntry) => macs.join() || `~${deviceId}`
