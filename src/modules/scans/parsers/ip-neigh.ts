import { normaliseRow } from '../normalise.ts'
import type { Parsed, Sighting, SkipReason } from '../sighting.ts'
import { columnsOf, readLines } from './entries.ts'

const STATES = new Set([
  'NONE',
  'INCOMPLETE',
  'REACHABLE',
  'STALE',
  'DELAY',
  'PROBE',
  'FAILED',
  'NOARP',
  'PERMANENT',
])
const UNANSWERED = ['NONE', 'INCOMPLETE', 'FAILED']

/**
 * Parses the output of `ip neigh`: `<ip> [dev <name>] [lladdr <mac>] [router] [proxy] [ref n] [used n/n/n]
 * [probes n] <STATE>[,<STATE>] [proto <name>]`. Format: `print_neigh` in ipneigh.c of iproute2 and of
 * BusyBox.
 */
export function parseIpNeigh(text: string): Parsed {
  return readLines(text, (line) => {
    const [ip = '', ...rest] = columnsOf(line)
    const words = rest.slice(rest[0] === 'dev' ? 2 : 0)
    const states = words
      .map((word) => word.split(','))
      .findLast((flags) => flags.every((flag) => STATES.has(flag)))
    // Proxy rows have no state. They are addresses that the router itself answers for.
    if (!states && !words.includes('proxy')) return 'malformed'
    return readNeighbour({ ip, mac: words[0] === 'lladdr' ? words[1] : undefined, states: states ?? [] })
  })
}

/**
 * One row of the kernel's neighbour table. Every state except the unanswered ones is a sighting, because a
 * neighbour was present.
 */
export function readNeighbour({
  ip,
  mac,
  states,
}: {
  ip: unknown
  mac: unknown
  states: unknown[]
}): Sighting | SkipReason {
  const row = normaliseRow({ mac, ip })
  if (row === 'malformed') return row
  if (mac === undefined || UNANSWERED.some((state) => states.includes(state))) return 'incomplete'
  return typeof row !== 'string' && states.includes('NOARP') ? 'noarp' : row
}
