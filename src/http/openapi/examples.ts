/**
 * Builds examples of bodies from the examples of their fields. No example is invented: a test reports a field
 * without one.
 */
import { createHash } from 'node:crypto'
import { PROBLEMS, type ProblemCode, ProblemDocument } from '../problem.ts'

/** The subset of JSON Schema that describes bodies. */
export type JsonSchema = {
  $ref?: string
  allOf?: [JsonSchema]
  type?: string | string[]
  format?: string
  enum?: unknown[]
  examples?: unknown[]
  properties?: Record<string, JsonSchema>
  required?: string[]
  items?: JsonSchema
  oneOf?: JsonSchema[]
  'x-forms'?: string[][]
  description?: string
  minItems?: number
}

const TIME = '2026-01-31T20:00:00.000Z'

/**
 * One example id for each kind of resource: the `id` of a device equals the `deviceId` in resources that
 * refer to it.
 */
const idOf = (kind: string) =>
  createHash('sha256')
    .update(kind)
    .digest('hex')
    .replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/, '$1-$2-4$3-a$4-$5')

/**
 * @param named schemas that others refer to
 * @param name of the field or the schema that needs an example
 * @returns undefined when no example is known; an optional field is then left out
 */
export function exampleOf(schema: JsonSchema, named: Record<string, JsonSchema>, name = ''): unknown {
  const { $ref, oneOf, type, format, enum: values, examples, properties, items, minItems = 1 } = schema
  if ($ref !== undefined) {
    const referred = $ref.slice($ref.lastIndexOf('/') + 1)
    return exampleOf(named[referred] ?? {}, named, referred)
  }
  if (oneOf?.[0]) return exampleOf(oneOf[0], named, name)
  if (examples) return examples[0]
  if (values) return values[0]
  if (properties) {
    const fields = Object.entries(properties).filter(
      ([field, { examples }]) => schema.required?.includes(field) || examples,
    )
    const told = fields.map(([field, inner]) => [
      field,
      exampleOf(inner, named, field === 'id' ? name : field),
    ])
    return Object.fromEntries(told.filter(([, example]) => example !== undefined))
  }
  if (items) return Array.from({ length: minItems }, () => exampleOf(items, named, name))
  if (format === 'uuid') return idOf(name.toLowerCase().replace(/ids?$/, ''))
  if (format === 'date-time') return TIME
  return type === 'boolean' ? false : undefined
}

/** The fields of a failure beyond the common ones. */
const TOLD_WITH: Partial<Record<ProblemCode, keyof typeof ProblemDocument.properties>> = {
  'invalid-request': 'errors',
  'second-factor-required': 'challenge',
  'on-other-list': 'entryId',
}

export function problemExample(code: ProblemCode, status: number) {
  const properties: Record<string, JsonSchema> = ProblemDocument.properties
  const told = (['requestId', TOLD_WITH[code]] as const).flatMap((field) => field ?? [])
  return {
    type: `urn:netpilot:problem:${code}`,
    title: PROBLEMS[code].title,
    status,
    code,
    ...Object.fromEntries(told.map((field) => [field, exampleOf(properties[field] ?? {}, {}, field)])),
  }
}
