/**
 * Validates requests against their schemas: bodies are not coerced, unknown fields are refused, every fault
 * is reported.
 */
import { Ajv, type Options } from 'ajv'
import addFormats from 'ajv-formats'
import type { FastifyInstance, FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import { StrictObject } from './schemas.ts'

// `allErrors` helps people who fill in forms. Validation of a scan of a megabyte stops at its first fault
// (`stopAtFirstFault`).
const options: Options = {
  allErrors: true,
  useDefaults: true,
  removeAdditional: false,
  allowUnionTypes: true,
  strict: true,
  strictRequired: false,
  // The message of a fault is built from the schema that it violates.
  verbose: true,
}
const compilerOf = (extra: Options) =>
  addFormats
    .default(new Ajv({ ...options, ...extra }))
    .addFormat('date-time', isInstant)
    .addVocabulary(['x-expects'])
    .addKeyword({
      keyword: 'x-forms',
      type: 'object',
      schemaType: 'array',
      validate: hasOneForm,
      errors: false,
    })

/**
 * Whether a body has the identifying field of exactly one form (`Forms`), and otherwise only fields of that
 * form.
 */
function hasOneForm(forms: string[][], body: object): boolean {
  const [form, ...others] = forms.filter((fields) => Object.hasOwn(body, fields.at(-1) ?? ''))
  return form !== undefined && others.length === 0 && form.every((field) => Object.hasOwn(body, field))
}

const RFC_3339 = addFormats.default.get('date-time')
/** RFC 3339 allows the leap second 60, which no `Date` can represent. */
function isInstant(text: string): boolean {
  const { validate } = RFC_3339 as { validate: (text: string) => boolean }
  return validate(text) && !Number.isNaN(Date.parse(text))
}

/** The one spelling of each value in a URL. Other spellings remain text and fail the type check. */
const INTEGER = /^(0|-?[1-9][0-9]{0,14})$/
const READ: Record<string, (text: string) => unknown> = {
  integer: (text) => (INTEGER.test(text) ? Number(text) : text),
  boolean: (text) => (text === 'true' ? true : text === 'false' ? false : text),
}

/**
 * Bodies are validated unchanged. Query strings and parameters are text on the wire and are first converted
 * to their types.
 */
export function createValidatorCompiler(extra: Options = {}): FastifySchemaCompiler<TSchema> {
  const ajv = compilerOf(extra)
  return ({ schema, httpPart }) => {
    const validate = ajv.compile(schema)
    if (httpPart === 'body') return validate
    const { properties = {} } = schema as { properties?: Record<string, { type?: string }> }
    const readers = Object.entries(properties).flatMap(([name, { type = '' }]) => {
      const read = READ[type]
      return read ? [{ name, read }] : []
    })
    return (values: Record<string, unknown>) => {
      for (const { name, read } of readers) {
        const value = values[name]
        if (typeof value === 'string') values[name] = read(value)
      }
      return validate(values) ? { value: values } : { error: (validate.errors ?? []) as never }
    }
  }
}

/**
 * An operation without query parameters refuses any, because unknown input is refused everywhere. Health is
 * exempt, so that every monitoring tool gets an answer.
 */
export function refuseUnknownQueries(app: FastifyInstance): void {
  app.addHook('onRoute', ({ schema }) => {
    if (schema?.operationId !== undefined && !schema.tags?.includes('health'))
      schema.querystring ??= StrictObject({})
  })
}
