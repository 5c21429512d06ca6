import type { Outcome, PolicyDocument } from './document.ts'

/**
 * Writes the policy for the simplest agent, which needs no JSON: one `<mac> <decision> [rate]` per line,
 * sorted by MAC, for every MAC of every entry. `rate` is kbit/s; absent means unlimited. A last line with `*`
 * as MAC applies to every MAC without a line; without that line, those MACs are allowed. A shell script
 * therefore uses the first line that starts with the MAC, else the `*` line, else allow. The text contains
 * only current decisions: such an agent requests the next text (`?wait=`) to learn of an end.
 */
export function toTextLines(document: PolicyDocument): string {
  const lines = document.devices.flatMap((entry) => entry.macs.map((mac) => lineOf(mac, entry))).sort()
  const isOpen = document.default.decision === 'allow' && document.default.rate === null
  return [...lines, ...(isOpen ? [] : [lineOf('*', document.default)])].map((line) => `${line}\n`).join('')
}

const lineOf = (mac: string, { decision, rate }: Outcome) =>
  rate === null ? `${mac} ${decision}` : `${mac} ${decision} ${rate}`
