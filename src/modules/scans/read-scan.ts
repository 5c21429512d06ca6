/**
 * From the three forms of a scan to what it saw: one list of sightings, and what was skipped, by source and
 * line.
 */
import { createHash } from 'node:crypto'
import { mergeSightings } from './merge.ts'
import { normaliseEntry } from './normalise.ts'
import { readEntries } from './parsers/entries.ts'
import { type FormatName, parseSource } from './parsers/formats.ts'
import type { Scan, ScanAnswer, ScanEntry } from './schema.ts'
import type { Parsed, Sighting } from './sighting.ts'

export type ReadScan = { sightings: Sighting[]; errors: ScanAnswer['errors'] }

/**
 * How a source is read, in one shape for all three forms: the normalised form is a format like the others.
 */
export type Source = { format: FormatName; content: unknown } | { entries: ScanEntry[] }

export const sourcesOf = ({ devices, sources }: Scan): Source[] =>
  devices ? [{ entries: devices }] : (sources ?? []).map(({ format, content }) => ({ format, content }))

/** A digest of a scan's body, to tell the same scan posted again from another one under the same id. */
export const digestOf = (body: unknown): Buffer => createHash('sha256').update(JSON.stringify(body)).digest()

/** Sightings of all sources as they were read, before any two are taken for the same device. */
export function readSources(sources: Source[]): { parsed: Parsed[]; entries: number } {
  const parsed = sources.map((source) =>
    'entries' in source
      ? readEntries(source.entries, normaliseEntry)
      : parseSource(source.format, source.content),
  )
  return {
    parsed,
    entries: parsed.reduce((sum, { sightings, skipped }) => sum + sightings.length + skipped.length, 0),
  }
}

/**
 * @param routerIp the router's own address on its network: what answers there is the router, not a device,
 * under all its addresses
 */
export function combine(parsed: Parsed[], routerIp: string | null): ReadScan {
  const errors: ScanAnswer['errors'] = []
  const sightings: Sighting[] = []
  const isRouterAt = ({ ips }: Sighting) => routerIp !== null && ips.includes(routerIp)
  const routerMacs = new Set(
    parsed.flatMap((source) => source.sightings.filter(isRouterAt).flatMap(({ mac }) => mac ?? [])),
  )
  parsed.forEach((source, index) => {
    for (const { line, reason } of source.skipped) errors.push({ source: index, line, reason })
    for (const { line, ...sighting } of source.sightings) {
      if (isRouterAt(sighting) || (sighting.mac !== null && routerMacs.has(sighting.mac)))
        errors.push({ source: index, line, reason: 'own-interface' })
      else sightings.push(sighting)
    }
  })
  return { sightings: mergeSightings(sightings), errors }
}
