/** How requests are checked against their schemas: nothing is coerced in bodies, unknown fields are refused, every fault is reported. */
import { Ajv, type Options } from 'ajv'
import addFormats from 'ajv-formats'
import type { FastifyInstance, FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import { problem } from './problem.ts'

const MAX_JSON_DEPTH = 32

// `allErrors` is for people who fill in forms; a scan of a megabyte stops at its first fault (`stopAtFirstFault`).
const options: Options = {
  allErrors: true,
  useDefaults: true,
  removeAdditional: false,
  allowUnionTypes: true,
  strict: true,
  strictRequired: false,
}
const compilerOf = (extra: Options) => addFormats.default(new Ajv({ ...options, ...extra })).addFormat('date-time', isInstant)

const RFC_3339 = addFormats.default.get('date-time')
/** RFC 3339 allows the 60th second of a leap, which no `Date` can hold. */
function isInstant(text: string): boolean {
  const { validate } = RFC_3339 as { validate: (text: string) => boolean }
  return validate(text) && !Number.isNaN(Date.parse(text))
}

/** Bodies as they are; query strings and parameters are text on the wire and are converted to their type. */
export function createValidatorCompiler(extra: Options = {}): FastifySchemaCompiler<TSchema> {
  const bodies = compilerOf({ ...extra, coerceTypes: false })
  const texts = compilerOf({ ...extra, coerceTypes: true })
  return ({ schema, httpPart }) => (httpPart === 'body' ? bodies : texts).compile(schema)
}

/** JSON without prototype keys and no deeper than 32 levels; a body that is announced as JSON and empty counts as absent. */
export function parseJsonBodies(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') return done(null, undefined)
    void parse(request, body as string, (error, value) => {
      if (error) return done(problem('invalid-request', { detail: 'The body is not valid JSON' }))
      if (isDeeperThan(MAX_JSON_DEPTH, value))
        return done(problem('invalid-request', { detail: `The body is nested deeper than ${MAX_JSON_DEPTH} levels` }))
      done(null, value)
    })
  })
  // What no route has a use for is 415, also `text/plain`, which a browser sends across origins without asking first.
  app.removeContentTypeParser('text/plain')
}

function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((inner) => isDeeperThan(levels - 1, inner))
}
