import type { Parsed } from '../sighting.ts'
import { isRecord, readEntries, unreadable } from './entries.ts'
import { readNeighbour } from './ip-neigh.ts'

/** Parses the output of `ip -j neigh`: `[{ dst, dev, lladdr?, state: ["REACHABLE"] }]`. */
export function parseIpNeighJson(document: unknown): Parsed {
  if (!Array.isArray(document)) return unreadable()
  return readEntries<unknown>(document, (row) => {
    if (!isRecord(row)) return 'malformed'
    return readNeighbour({
      ip: row.dst,
      mac: row.lladdr ?? undefined,
      states: Array.isArray(row.state) ? row.state : [row.state],
    })
  })
}
