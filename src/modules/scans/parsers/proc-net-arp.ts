import { normaliseRow } from '../normalise.ts'
import type { Parsed } from '../sighting.ts'
import { columnsOf, readLines } from './entries.ts'

const HEADER = /^IP address\s/
const HEX = /^0x[0-9a-f]{1,8}$/i
/** ARPHRD_ETHER and ATF_COM of linux/if_arp.h. */
const ETHERNET = 1
const COMPLETE = 2

/**
 * Parses `/proc/net/arp`: a header, then `<ip> <hardware type> <flags> <mac> <mask> <device>`. Format:
 * `arp_format_neigh_entry` in Linux's net/ipv4/arp.c.
 */
export function parseProcNetArp(text: string): Parsed {
  return readLines(text, (line) => {
    if (HEADER.test(line)) return undefined
    const [ip, type = '', flags = '', mac, , device] = columnsOf(line)
    if (!HEX.test(type) || !HEX.test(flags) || device === undefined) return 'malformed'
    const row = normaliseRow({ mac, ip })
    if (row === 'malformed') return row
    if ((Number(flags) & COMPLETE) === 0) return 'incomplete'
    return Number(type) === ETHERNET ? row : 'not-ethernet'
  })
}
