/** Describes the faults of request fields: messages for people and codes for programs. */
import type { ErrorObject } from 'ajv'
import { isStorableText } from '../database/storable-text.ts'

/**
 * Clients depend on these codes, so they are stable. Those from `predictable` on are password rules (`GET
 * /api/auth/password-requirements`).
 */
export const FIELD_CODES = [
  'missing',
  'unknown-field',
  'exactly-one-of',
  'wrong-type',
  'wrong-format',
  'not-permitted',
  'too-short',
  'too-long',
  'too-small',
  'too-large',
  'too-few',
  'too-many',
  'duplicate',
  'blank',
  'malformed',
  'contradiction',
  'in-the-past',
  'not-found',
  'predictable',
  'context-word',
  'common',
  'inexact-integer',
] as const
type FieldCode = (typeof FIELD_CODES)[number]

/**
 * One fault of one field. `path` is a JSON pointer that begins with the part of the request (`/body/email`).
 */
export type FieldError = { path: string; message: string; code: FieldCode }

/** The subset of JSON Schema that describes requests. `x-expects` says in words what a pattern requires. */
type Schema = {
  type?: string | string[]
  enum?: unknown[]
  anyOf?: Schema[]
  'x-forms'?: string[][]
  properties?: Record<string, Schema>
  required?: string[]
  format?: string
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  minItems?: number
  maxItems?: number
  maxProperties?: number
  'x-expects'?: string
}

const CODES: Record<string, FieldCode> = {
  type: 'wrong-type',
  enum: 'not-permitted',
  format: 'wrong-format',
  pattern: 'wrong-format',
  minLength: 'too-short',
  maxLength: 'too-long',
  minimum: 'too-small',
  maximum: 'too-large',
  minItems: 'too-few',
  maxItems: 'too-many',
  minProperties: 'too-few',
}

const FORMATS: Record<string, string> = {
  uuid: 'a UUID such as 7e5f1c1e-0000-4000-8000-000000000000',
  'date-time': 'a time such as 2026-01-31T20:00:00Z',
  ipv4: 'an IPv4 address',
  ipv6: 'an IPv6 address',
}

/**
 * At most this many faults are examined. The response lists one fault for each field of a body and never
 * more.
 */
const MAX_FAULTS = 200

/**
 * @param all faults of Ajv with `verbose`, so that each contains the value and its schema
 * @param part of the request: body, params, querystring
 * @returns one fault for each field: the type first, because the other faults follow from it
 */
export function fieldErrorsOf(all: ErrorObject[], part: string): FieldError[] {
  const faults = all.slice(0, MAX_FAULTS)
  const choices = faults.filter(({ keyword }) => keyword === 'anyOf')
  const isWithin = ({ schemaPath, instancePath }: ErrorObject, choice: ErrorObject) =>
    schemaPath.startsWith(`${choice.schemaPath}/`) && instancePath.startsWith(choice.instancePath)
  const told = faults
    .filter((fault) => !choices.some((choice) => isWithin(fault, choice)))
    .sort((a, b) => Number(b.keyword === 'type') - Number(a.keyword === 'type'))
  const errors = new Map<string, FieldError>()
  for (const fault of told) {
    const error = fieldErrorOf(
      fault,
      part,
      faults.filter((other) => isWithin(other, fault)),
    )
    if (!errors.has(error.path)) errors.set(error.path, error)
  }
  return [...errors.values()]
}

function fieldErrorOf(
  { keyword, instancePath, params, data, parentSchema }: ErrorObject,
  part: string,
  branches: ErrorObject[],
): FieldError {
  const schema = parentSchema as Schema
  const path = `/${part}${instancePath}`
  const below = (field: string) => `${path}/${field.replaceAll('~', '~0').replaceAll('/', '~1')}`

  if (keyword === 'required')
    return { path: below(params.missingProperty), code: 'missing', message: 'is missing' }
  if (keyword === 'additionalProperties')
    return { path: below(params.additionalProperty), code: 'unknown-field', message: 'is not a known field' }
  if (keyword === 'x-forms') return { path, code: 'exactly-one-of', message: `give ${chosenFrom(schema)}` }
  if (keyword === 'minProperties' || keyword === 'maxProperties') {
    const fields = Object.keys(schema.properties ?? {}).join(', ')
    if (schema.maxProperties === 1)
      return { path, code: 'exactly-one-of', message: `give exactly one of ${fields}` }
    return { path, code: 'too-few', message: `give at least one of ${fields}` }
  }
  if (keyword === 'uniqueItems') return { path, code: 'duplicate', message: 'must not name anything twice' }
  // A missing body is validated as null.
  if (path === '/body' && data === null)
    return { path, code: 'missing', message: `is missing: send ${describe(schema)}` }
  if (part === 'querystring' && Array.isArray(data))
    return { path, code: 'duplicate', message: 'is given more than once' }
  if (keyword === 'pattern' && !schema['x-expects']) {
    const text = String(data)
    if (!isStorableText(text))
      return {
        path,
        code: 'malformed',
        message: 'contains a character that cannot be stored: U+0000 or a lone surrogate',
      }
    if (text.trim() === '') return { path, code: 'blank', message: 'must not be blank' }
  }
  // Of several forms, the client probably meant the one whose type matches the value.
  const meant =
    keyword === 'anyOf' ? (branches.find((branch) => branch.keyword !== 'type')?.keyword ?? 'type') : keyword
  return { path, code: CODES[meant] ?? 'not-permitted', message: `must be ${describe(schema, meant)}` }
}

/**
 * Describes what a value should be, as the end of a sentence. `fault` is the keyword that the value fails.
 */
function describe(schema: Schema, fault?: string): string {
  const forms = schema.anyOf ?? [schema.type ?? 'any'].flat().map((type) => ({ ...schema, type }))
  return orList(forms.map((form) => describeOne(form, fault)))
}

function describeOne(schema: Schema, fault = ''): string {
  const {
    type,
    enum: values,
    format = '',
    minLength,
    maxLength,
    minimum,
    maximum,
    minItems,
    maxItems,
  } = schema
  if (type === 'null') return 'null'
  if (values) return `one of ${values.filter((value) => value !== null).join(', ')}`
  if (type === 'integer' || type === 'number')
    return `a ${type === 'integer' ? 'whole ' : ''}number${range('from', minimum, maximum)}`
  if (type === 'boolean') return 'true or false'
  if (type === 'array') return `a list${range('of', minItems, maxItems, 'entries')}`
  if (type === 'object') return `an object${withFields(schema)}`
  const named = schema['x-expects'] ?? FORMATS[format]
  const length = range('of', minLength, maxLength, 'characters')
  return named ? named + (fault.endsWith('Length') ? length : '') : `a text${length}`
}

function range(word: string, min: number | undefined, max: number | undefined, unit = ''): string {
  const bounds =
    min === undefined
      ? max !== undefined && `of at most ${max}`
      : max === undefined
        ? `of at least ${min}`
        : min === max
          ? `${word} ${min}`
          : `${word} ${min} to ${max}`
  return bounds ? ` ${bounds}${unit && ` ${unit}`}` : ''
}

function withFields({ required = [], 'x-forms': forms, ...schema }: Schema): string {
  const parts = [
    ...(required.length > 0 ? [required.join(', ')] : []),
    ...(forms ? [chosenFrom({ ...schema, 'x-forms': forms })] : []),
  ]
  return parts.length > 0 ? ` with ${parts.join(' and ')}` : ''
}

const chosenFrom = ({ 'x-forms': forms = [] }: Schema) =>
  `exactly one of ${forms.map(([first = '', ...rest]) => (rest.length > 0 ? `${first} with ${rest.join(', ')}` : first)).join(', ')}`

const orList = (words: string[]) =>
  words.length > 1 ? `${words.slice(0, -1).join(', ')} or ${words.at(-1)}` : String(words[0])
