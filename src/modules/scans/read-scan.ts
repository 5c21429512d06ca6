/**
 * Converts the three forms of a scan to one list of sightings, and the skipped entries by source and line.
 */
import { createHash } from 'node:crypto'
import type { Static } from 'typebox'
import { type FieldError, problem } from '../../http/problem.ts'
import { mergeSightings } from './merge.ts'
import { normaliseEntry } from './normalise.ts'
import { readEntries } from './parsers/entries.ts'
import { FORMATS, type FormatName, parseSource } from './parsers/formats.ts'
import type { RawScanQuery, Scan, ScanAnswer, ScanEntry } from './schema.ts'
import type { Parsed, Sighting } from './sighting.ts'

export type ReadScan = {
  scanId: string | undefined
  takenAt: Date | undefined
  /** Distinguishes the same scan posted again from a different scan with the same id. */
  bodySha256: Buffer
  /**
   * The sightings of other devices than the router. Whatever answers at the router's own address is the
   * router, with all its addresses, and not a device.
   */
  seenBy(router: { ip: string | null }): { sightings: Sighting[]; errors: ScanAnswer['errors'] }
}

/**
 * @throws Problem `invalid-request` for a body that is no scan, `too-large` for more than `maxDevices`
 * entries
 */
export function readScan(body: unknown, query: Static<typeof RawScanQuery>, maxDevices: number): ReadScan {
  const { sources, ...scan } = scanOf(body, query)
  // Before sightings of the same device are merged.
  const parsed = sources.map((source) =>
    'entries' in source
      ? readEntries(source.entries, normaliseEntry)
      : parseSource(source.format, source.content),
  )
  const entries = parsed.reduce((sum, { sightings, skipped }) => sum + sightings.length + skipped.length, 0)
  if (entries > maxDevices) throw problem('too-large', { detail: `A scan has at most ${maxDevices} devices` })
  return {
    ...scan,
    bodySha256: createHash('sha256').update(JSON.stringify(body)).digest(),
    seenBy: ({ ip }) => combine(parsed, ip),
  }
}

/**
 * A source and its format, in one shape for all three forms. The normalised form is a format like the others.
 */
type Source = { format: FormatName; content: unknown } | { entries: ScanEntry[] }
type RequestedScan = Pick<ReadScan, 'scanId' | 'takenAt'> & { sources: Source[] }

/**
 * Converts the three forms to one. A router's output may lack an id and a time: the time is then that of
 * arrival, and posting it again is a new scan.
 */
function scanOf(body: unknown, { format, scanId, takenAt }: Static<typeof RawScanQuery>): RequestedScan {
  const path = '/querystring/format'
  if (typeof body === 'string') {
    if (!format) throw refusal({ path, code: 'missing', message: 'is required with a text/plain body' })
    return {
      scanId,
      takenAt: takenAt === undefined ? undefined : new Date(takenAt),
      sources: [{ format, content: body }],
    }
  }
  // Without a content type there is no schema to validate the body, so the request counts as having none.
  if (typeof body !== 'object' || body === null)
    throw problem('invalid-request', { detail: 'A scan needs a body' })
  if (format)
    throw refusal({ path, code: 'contradiction', message: 'is only allowed with a text/plain body' })
  const { devices, sources = [], ...scan } = body as Scan
  const faults = sources.flatMap(({ format: name, content }, index) =>
    typeof content === 'string' || (FORMATS[name].json && typeof content === 'object' && content !== null)
      ? []
      : {
          path: `/body/sources/${index}/content`,
          code: 'wrong-type' as const,
          message: FORMATS[name].json ? 'must be text or JSON' : 'must be text',
        },
  )
  if (faults.length > 0) throw refusal(...faults)
  return {
    scanId: scan.scanId,
    takenAt: new Date(scan.takenAt),
    sources: devices ? [{ entries: devices }] : sources,
  }
}

const refusal = (...errors: FieldError[]) => problem('invalid-request', { errors })

function combine(parsed: Parsed[], routerIp: string | null): ReturnType<ReadScan['seenBy']> {
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
