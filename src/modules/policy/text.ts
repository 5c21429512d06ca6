import type { Outcome, PolicyDocument } from './document.ts'

/**
 * The policy for the simplest agent, which needs no JSON: one `<mac> <decision> [rate]` a line, sorted by
 * MAC, for every MAC of every entry; `rate` is kbit/s, absent for none. A last line with `*` for a MAC holds
 * for every MAC that has no line; without it, those are allowed, so a shell reads the whole form as "the
 * first line that starts with the MAC, else with `*`, else allow". It says what holds now: such an agent
 * waits for the next form (`?wait=`) to learn of an end.
 */
export function toTextLines(document: PolicyDocument): string {
  const lines = document.devices.flatMap((entry) => entry.macs.map((mac) => lineOf(mac, entry))).sort()
  const isOpen = document.default.decision === 'allow' && document.default.rate === null
  return [...lines, ...(isOpen ? [] : [lineOf('*', document.default)])].map((line) => `${line}\n`).join('')
}

const lineOf = (mac: string, { decision, rate }: Outcome) =>
  rate === null ? `${mac} ${decision}` : `${mac} ${decision} ${rate}`
