/**
 * Finds what has no effect in an `.env` file: unknown names, and lines that are not settings. Values are
 * never printed.
 */
import { existsSync, readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'

/** Names that Node, the database driver or docker-compose.yml reads. */
const OTHERS =
  /^(NODE_(OPTIONS|EXTRA_CA_CERTS|DEBUG|COMPILE_CACHE)|PG\w+|TZ|(HTTPS?|NO)_PROXY|(POSTGRES|MIGRATOR|SERVER|AUTH|ADMIN)_PASSWORD)$/
/** A larger distance is not a typing error. */
const MAX_DISTANCE = 2

export function envFileFaults(known: ReadonlySet<string>, path = '.env'): string[] {
  if (!existsSync(path)) return []
  const text = readFileSync(path, 'utf8')
  const unknown = Object.keys(parseEnv(text))
    .filter((name) => !known.has(name) && !OTHERS.test(name))
    .sort()
  return [
    ...unknown.map((name) => {
      const near = nearest(name, known)
      return `${name} is no variable of NetPilot${near ? `: did you mean ${near}?` : ''}`
    }),
    ...linesWithoutName(text).map((line) => `line ${line} has no "=", and so no effect`),
  ]
}

function linesWithoutName(text: string): number[] {
  // A quoted value may span several lines. Its further lines count as comments here.
  const lines = text
    .replaceAll(/=[ \t]*(["'`])[\s\S]*?\1/g, (value) => value.replaceAll('\n', '\n#'))
    .split('\n')
  return lines.flatMap((line, index) => (/^\s*(#|$)/.test(line) || line.includes('=') ? [] : index + 1))
}

function nearest(name: string, known: ReadonlySet<string>): string | undefined {
  const [best] = [...known]
    .map((other) => ({ other, distance: distance(name, other) }))
    .sort((a, b) => a.distance - b.distance)
  return best && best.distance <= MAX_DISTANCE ? best.other : undefined
}

/** The Levenshtein distance: how many letters to insert, delete or replace. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (const [index, letter] of [...a].entries()) {
    const next = [index + 1]
    for (const [column, other] of [...b].entries())
      next.push(
        Math.min(
          (next[column] ?? 0) + 1,
          (row[column + 1] ?? 0) + 1,
          (row[column] ?? 0) + Number(letter !== other),
        ),
      )
    row = next
  }
  return row[b.length] ?? 0
}
