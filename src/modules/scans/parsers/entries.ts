/** Splits a source into entries, and turns each into a sighting or a skip reason. */
import type { Parsed, Sighting, SkipReason } from '../sighting.ts'

/** The result for one entry; undefined for text that is no entry. */
export type ReadEntry = Sighting | SkipReason | undefined

/** A source that cannot be split counts as one malformed entry. */
export const unreadable = (): Parsed => ({ sightings: [], skipped: [{ line: null, reason: 'malformed' }] })

/**
 * Reads a text line by line, LF or CRLF. Lines are passed on without surrounding space; blank ones are
 * ignored.
 */
export function readLines(text: string, read: (line: string) => ReadEntry): Parsed {
  const parsed: Parsed = { sightings: [], skipped: [] }
  text.split('\n').forEach((line, index) => {
    const trimmed = line.trim()
    if (trimmed !== '') keep(parsed, read(trimmed), index + 1)
  })
  return parsed
}

/** Reads the entries of a JSON document. */
export function readEntries<T>(entries: Iterable<T>, read: (entry: T) => ReadEntry): Parsed {
  const parsed: Parsed = { sightings: [], skipped: [] }
  for (const entry of entries) keep(parsed, read(entry), null)
  return parsed
}

function keep({ sightings, skipped }: Parsed, outcome: ReadEntry, line: number | null): void {
  if (typeof outcome === 'string') skipped.push({ line, reason: outcome })
  else if (outcome) sightings.push({ ...outcome, line })
}

/** More columns than any valid line has. It limits the cost of a hostile line. */
const MAX_COLUMNS = 32

/** The columns of a line, separated by spaces or tabs. */
export const columnsOf = (line: string): string[] => line.split(/\s+/, MAX_COLUMNS)

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
