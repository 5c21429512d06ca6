/** Parses bodies. Input that two parsers could read differently (RFC 7493) is refused, never repaired. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { problem } from './problem.ts'

const MAX_JSON_DEPTH = 32
const UTF_8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Decodes the body as text without a leading byte order mark. @throws Problem `unsupported-media-type` or
 * `invalid-request` when it is not UTF-8
 */
export function textOf({ headers }: FastifyRequest, body: Buffer): string {
  const [, charset = 'utf-8'] = /;\s*charset\s*=\s*"?([^\s";]*)/i.exec(headers['content-type'] ?? '') ?? []
  if (!/^(utf-?8|us-ascii)$/i.test(charset))
    throw problem('unsupported-media-type', { detail: 'The charset must be UTF-8' })
  try {
    return UTF_8.decode(body)
  } catch {
    // Without this check each invalid byte would be stored as U+FFFD.
    throw problem('invalid-request', { detail: 'The body is not UTF-8' })
  }
}

/**
 * Accepts JSON without prototype keys and duplicate names, at most 32 levels deep. An empty body with a JSON
 * content type counts as absent.
 */
export function parseJsonBodies(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) => {
      const text = textOf(request, body)
      if (text === '') return undefined
      const value = await new Promise((resolve, reject) => {
        const done = (error: Error | null, parsed?: unknown) =>
          error
            ? reject(problem('invalid-request', { detail: 'The body is not valid JSON' }))
            : resolve(parsed)
        void parse(request, text, done)
      })
      if (hasInexactInteger(text)) throw problem('invalid-request', { errors: [INEXACT] })
      if (countMembers(value) !== countColons(text))
        throw problem('invalid-request', { detail: 'An object in the body has a name twice' })
      return value
    },
  )
  // Media types that no route uses give 415. This includes `text/plain`, which a browser sends across origins
  // without a preflight.
  app.removeContentTypeParser('text/plain')
}

const INEXACT = {
  path: '/body',
  code: 'inexact-integer',
  message: 'contains an integer beyond 2^53 - 1, which would lose digits: send it as text',
} as const

/** Expects valid JSON. Sixteen digits in a row are rare, so few bodies are parsed twice. */
function hasInexactInteger(json: string): boolean {
  if (!/\d{16}/.test(json)) return false
  let isFound = false
  // Only the reviver receives the source text of a number (ECMA-262, JSON.parse).
  const look = (_name: string, value: unknown, { source = '' }: { source?: string }) => {
    isFound ||= typeof value === 'number' && /^-?\d+$/.test(source) && !Number.isSafeInteger(value)
    return value
  }
  JSON.parse(json, look as never)
  return isFound
}

/** Counts the members of all objects in a value. @throws Problem when it is nested too deep */
function countMembers(value: unknown, levels = MAX_JSON_DEPTH): number {
  if (typeof value !== 'object' || value === null) return 0
  if (levels === 0)
    throw problem('invalid-request', { detail: `The body is nested deeper than ${MAX_JSON_DEPTH} levels` })
  let count = Array.isArray(value) ? 0 : Object.keys(value).length
  for (const inner of Object.values(value)) count += countMembers(inner, levels - 1)
  return count
}

const [QUOTE, BACKSLASH, COLON] = [0x22, 0x5c, 0x3a]

/**
 * Counts the colons outside strings in valid JSON. Each member has one colon, and JSON.parse keeps only the
 * last of several members with the same name.
 */
function countColons(json: string): number {
  let count = 0
  let isInString = false
  for (let at = 0; at < json.length; at += 1) {
    const unit = json.charCodeAt(at)
    if (unit === QUOTE) isInString = !isInString
    else if (unit === BACKSLASH) at += 1
    else if (unit === COLON && !isInString) count += 1
  }
  return count
}
