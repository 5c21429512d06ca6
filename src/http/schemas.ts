/** The schemas that many modules share. Each is validation, TypeScript type and documentation at once. */
import Type from 'typebox'
import { PROBLEMS, type ProblemCode } from './problem.ts'

/** Any text but U+0000, which PostgreSQL cannot hold, and lone surrogates, which would silently become U+FFFD. */
const STORABLE = '^[^\\u0000\\ud800-\\udfff]*$'

const VISIBLE = '^\\s*[^\\s\\u0000\\ud800-\\udfff][^\\u0000\\ud800-\\udfff]*$'

/** `x-expects`: what the pattern asks for, in words that can follow "must be". */
type TextOptions = { min?: number; max: number; pattern?: string; 'x-expects'?: string; description?: string; examples?: string[] }

export const Text = ({ min = 1, max, ...rest }: TextOptions) => Type.String({ minLength: min, maxLength: max, pattern: STORABLE, ...rest })

/** Text that people are to see: kept as it is, but never white space alone. */
export const Name = (options: TextOptions) => Text({ pattern: VISIBLE, ...options })

/** `type: [x, 'null']` rather than a union: Ajv's message stays readable, and fast-json-stringify is a third quicker. */
export const Nullable = <T extends Type.TSchema & { type?: string; enum?: readonly unknown[] }>(schema: T) =>
  Type.Unsafe<Type.Static<T> | null>({ ...schema, type: [schema.type, 'null'], ...(schema.enum && { enum: [...schema.enum, null] }) })

/** May be left out by the client and then has its default by the time a handler reads it. */
const Defaulted = <T extends Type.TSchema>(schema: T) => Type.Optional(schema) as unknown as T

export const Uuid = (description?: string) => Type.String({ format: 'uuid', ...(description && { description }) })

/** RFC 3339 UTC on the wire; a `Date` in code. */
export const Instant = (description?: string) =>
  Type.Unsafe<Date>({ type: 'string', format: 'date-time', ...(description && { description }) })
export const NullableInstant = (description?: string) =>
  Type.Unsafe<Date | null>({ type: ['string', 'null'], format: 'date-time', ...(description && { description }) })

export const OneOf = <const T extends string>(values: readonly T[], description?: string) =>
  Type.Unsafe<T>({ type: 'string' as const, enum: values, ...(description && { description }) })

/** A body or a query: what it does not name is refused. */
export const Strict = <T extends Type.TProperties>(properties: T, options: Type.TObjectOptions = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options })

/** Page and order of a list. `limit` is 1 to 200; `sort` is a field, with `-` before it descending. */
export const pageQuery = <const T extends string>(sortable: readonly T[]) => ({
  limit: Defaulted(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
  offset: Defaulted(Type.Integer({ minimum: 0, maximum: 1_000_000, default: 0 })),
  sort: Type.Optional(OneOf(sortable.flatMap((field) => [field, `-${field}` as const]))),
})

export const pageOf = <T extends Type.TSchema>(item: T) =>
  Type.Object({ items: Type.Array(item), total: Type.Integer(), limit: Type.Integer(), offset: Type.Integer() })

export const IdParams = Strict({ id: Uuid() })

const FAILURE = { content: { 'application/problem+json': { schema: Type.Ref('Problem') } } }

/** A code that an operation may answer with, and its status where that is not the code's own. */
export type KnownProblem = ProblemCode | readonly [code: ProblemCode, status: number]

/** The failures with these codes, by status, in words. */
export function failures(known: KnownProblem[]): Record<string, typeof FAILURE & { description: string }> {
  const byStatus = Map.groupBy(
    known.map((each) => (typeof each === 'string' ? { code: each, status: PROBLEMS[each].status } : { code: each[0], status: each[1] })),
    ({ status }) => status,
  )
  const describe = (codes: ProblemCode[]) => [...new Set(codes)].map((code) => `\`${code}\`: ${PROBLEMS[code].title}`).join('. ')
  return Object.fromEntries(
    [...byStatus].map(([status, all]) => [status, { ...FAILURE, description: describe(all.map(({ code }) => code)) }]),
  )
}

/**
 * The answers of a route: its own, and a problem document for each failure. A response always has a schema, so no column can leak.
 * @param known codes that this route in particular may answer with; the document adds those that follow from its form
 */
export const answers = <T extends Record<number, Type.TSchema>>(success: T, ...known: KnownProblem[]) =>
  ({ ...success, ...failures(known), '4xx': FAILURE, '5xx': FAILURE }) as unknown as T
