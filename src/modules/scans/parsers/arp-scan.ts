import { normaliseRow } from '../normalise.ts'
import type { Parsed } from '../sighting.ts'
import { columnsOf, readLines } from './entries.ts'

/** Banner, summary and warnings. Two of the warnings continue on a second and third line. */
const PROSE =
  /^(?:Interface: |Target list from |Starting arp-scan |\d+ packets received by filter|Ending arp-scan |WARNING|---\t|the source address, which |\S+ with an IP address, or |Please report to )/

/**
 * Parses the output of `arp-scan`: `<ip> <mac> [(<frame's mac>)] <vendor>` with tabs or spaces between. The
 * vendor is arbitrary text, which may be followed by `(802.1Q VLAN=n)`, `(ARP Proto=0x…)` and `(DUP: n)`;
 * none of it is kept. The MAC is the one in the ARP reply. Format: `display_packet` in arp-scan.c.
 */
export function parseArpScan(text: string): Parsed {
  return readLines(text, (line) => {
    if (PROSE.test(line)) return undefined
    const [ip, mac] = columnsOf(line)
    return mac === undefined ? 'malformed' : normaliseRow({ mac, ip })
  })
}
