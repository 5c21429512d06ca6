/**
 * Examples of bodies, made of those of their fields. None is invented for a field that has none: a test asks
 * for the missing one.
 */
import { createHash } from 'node:crypto'
import { PROBLEMS, type ProblemCode, ProblemDocument } from '../problem.ts'

/** The part of JSON Schema that bodies are described in. */
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

/** One for each kind of thing: the `id` of a device is the `deviceId` of what refers to it. */
const idOf = (kind: string) =>
  createHash('sha256')
    .update(kind)
    .digest('hex')
    .replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/, '$1-$2-4$3-a$4-$5')

/**
 * @param named schemas that others refer to
 * @param name of the field or the schema that an example is asked for
 * @returns undefined where nothing can be told; a field that may be left out is, unless it has an example
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

/** What a failure says beside what they all say. */
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
