import type { Outcome, PolicyDocument, PolicyEntry } from '../../src/modules/policy/document.ts'

export const ALLOW: Outcome = { decision: 'allow', rate: null }
export const BLOCK: Outcome = { decision: 'block', rate: null }
export const limit = (rate: number): Outcome => ({ decision: 'limit', rate })

/** An entry for MACs: the current values, and the changed ones. */
export const entryOf = (
  macs: string[],
  outcome: Outcome,
  upcoming: PolicyEntry['upcoming'] = [],
): PolicyEntry => ({
  deviceId: null,
  macs,
  ...outcome,
  until: upcoming[0]?.at ?? null,
  reasons: [{ code: 'manual-block', text: '"; flush ruleset #' }],
  upcoming,
})

export const documentOf = (
  devices: PolicyEntry[],
  generatedAt: Date,
  unlisted: Outcome = ALLOW,
): PolicyDocument => ({
  revision: 'Zk3vQ1',
  routerId: '0190c0de-0000-7000-8000-000000000001',
  mode: 'none',
  generatedAt,
  default: unlisted,
  devices,
  changesAt: [],
})

/**
 * `02:00:5e:…` and a number.
 */
export const macOf = (number: number) =>
  `02:00:5e:${number.toString(16).padStart(6, '0').match(/../g)?.join(':')}`
