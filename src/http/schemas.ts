/** The schemas that many modules share. Each is validation, TypeScript type and documentation at once. */
import Type from 'typebox'
import { PROBLEMS, type ProblemCode } from './problem.ts'

/** The parts of the API, as its document groups the operations. */
export const TAGS = {
  auth: 'Signing in',
  account: 'Your account, and keys for your own scripts',
  routers: 'Routers and their keys',
  devices: 'What is on the networks',
  lists: 'Whitelist and blacklist of a router',
  blocks: 'Blocks and pauses, active and past',
  groups: 'Devices that are treated alike',
  schedules: 'Recurring windows, and overrides',
  settings: 'What frontends keep for a person or a router',
  policy: 'What is decided for each device, and why',
  admin: 'Accounts, for administrators; 404 for everybody else',
  agent: 'For the software on a router',
  health: 'For operators',
} as const

/**
 * Any text but U+0000, which PostgreSQL cannot hold, and lone surrogates, which would silently become U+FFFD.
 */
const STORABLE = '^[^\\u0000\\ud800-\\udfff]*$'

const VISIBLE = '^\\s*[^\\s\\u0000\\ud800-\\udfff][^\\u0000\\ud800-\\udfff]*$'

/**
 * `x-expects`: what the pattern asks for, in words that can follow "must be".
 */
type TextOptions = {
  min?: number
  max: number
  pattern?: string
  'x-expects'?: string
  description?: string
  examples?: string[]
}

export const Text = ({ min = 1, max, ...rest }: TextOptions) =>
  Type.String({ minLength: min, maxLength: max, pattern: STORABLE, ...rest })

/** Text that people are to see: kept as it is, but never white space alone. */
export const Name = (options: TextOptions) => Text({ pattern: VISIBLE, ...options })

/**
 * `type: [x, 'null']` rather than a union: Ajv's message stays readable, and fast-json-stringify is a third
 * quicker.
 */
export const Nullable = <T extends Type.TSchema & { type?: string; enum?: readonly unknown[] }>(schema: T) =>
  Type.Unsafe<Type.Static<T> | null>({
    ...schema,
    type: [schema.type, 'null'],
    ...(schema.enum && { enum: [...schema.enum, null] }),
  })

/** May be left out by the client and then has its default by the time a handler reads it. */
const WithDefault = <T extends Type.TSchema>(schema: T) => Type.Optional(schema) as unknown as T

/** Where an example is left out, the document has one for the format. */
const told = (description?: string, example?: string | null) => ({
  ...(description && { description }),
  ...(example !== undefined && { examples: [example] }),
})

export const EXAMPLE_ID = '7e5f1c1e-0000-4000-8000-000000000000'

export const Uuid = (description?: string, example?: string | null) =>
  Type.String({ format: 'uuid', ...told(description, example) })

/** RFC 3339 UTC on the wire; a `Date` in code. */
export const Instant = (description?: string, example?: string) =>
  Type.Unsafe<Date>({ type: 'string', format: 'date-time', ...told(description, example) })
export const NullableInstant = (description?: string, example?: string | null) =>
  Type.Unsafe<Date | null>({ type: ['string', 'null'], format: 'date-time', ...told(description, example) })

export const OneOf = <const T extends string>(values: readonly T[], description?: string, example?: T) =>
  Type.Unsafe<T>({ type: 'string' as const, enum: values, ...told(description, example) })

/** A body or a query: what it does not name is refused. */
export const StrictObject = <T extends Type.TProperties>(properties: T, options: Type.TObjectOptions = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options })

/** Page and order of a list. `limit` is 1 to 200; `sort` is a field, with `-` before it descending. */
export const pageQuery = <const T extends string>(sortable: readonly T[]) => ({
  limit: WithDefault(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
  offset: WithDefault(Type.Integer({ minimum: 0, maximum: 1_000_000, default: 0 })),
  sort: Type.Optional(OneOf(sortable.flatMap((field) => [field, `-${field}` as const]))),
})

export const pageOf = <T extends Type.TSchema & { $id?: string }>(item: T) =>
  Type.Object(
    {
      items: Type.Array(item),
      total: Type.Integer({ examples: [1] }),
      limit: Type.Integer({ examples: [50] }),
      offset: Type.Integer({ examples: [0] }),
    },
    { $id: `${item.$id}Page` },
  )

/** What many changes in one call came to, one by one. */
export const bulkAnswer = ($id: string, index: string, id: string) =>
  Type.Object(
    {
      results: Type.Array(
        Type.Object({
          index: Type.Integer({ description: index, examples: [0] }),
          status: Type.Integer({ description: 'What the single call would have answered', examples: [200] }),
          id: Type.Optional(Uuid(id, EXAMPLE_ID)),
          code: Type.Optional(
            OneOf(Object.keys(PROBLEMS) as ProblemCode[], 'Of the problem, where it failed'),
          ),
        }),
      ),
    },
    { $id },
  )

export const IdParams = StrictObject({ id: Uuid() })

/** A code that an operation may answer with, and its status where that is not the code's own. */
export type KnownProblem = ProblemCode | readonly [code: ProblemCode, status: number]

/** The media type of every failure, with the examples of these codes (`openapi.ts` makes them). */
const failure = (status: number, codes: ProblemCode[]) => ({
  content: {
    'application/problem+json': {
      schema: Type.Ref('Problem'),
      examples: Object.fromEntries(
        codes.map((code) => [code, { $ref: `#/components/examples/${status}-${code}` }]),
      ),
    },
  },
})

/** The failures with these codes, by status, in words. */
export function failures(
  known: KnownProblem[],
): Record<string, ReturnType<typeof failure> & { description: string }> {
  const byStatus = Map.groupBy(
    known.map((each) =>
      typeof each === 'string'
        ? { code: each, status: PROBLEMS[each].status }
        : { code: each[0], status: each[1] },
    ),
    ({ status }) => status,
  )
  return Object.fromEntries(
    [...byStatus].map(([status, all]) => {
      const codes = [...new Set(all.map(({ code }) => code))]
      const description = codes.map((code) => `\`${code}\`: ${PROBLEMS[code].title}`).join('. ')
      return [status, { ...failure(status, codes), description }]
    }),
  )
}

/**
 * The answers of a route: its own, and a problem document for each failure. A response always has a schema,
 * so no column can leak.
 * @param known codes that this route in particular may answer with; the document adds those that follow from
 * its form
 */
export const responses = <T extends Record<number, Type.TSchema>>(success: T, ...known: KnownProblem[]) =>
  ({
    ...success,
    ...failures(known),
    '4xx': failure(400, ['invalid-request']),
    '5xx': failure(500, ['internal']),
  }) as unknown as T
