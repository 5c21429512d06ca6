/** The schemas that many modules share. Each is validation, TypeScript type and documentation at once. */
import Type from 'typebox'
import { PROBLEMS, type ProblemCode } from './problem.ts'

/** The parts of the API, by which its document groups the operations. */
export const TAGS = {
  auth: 'Signing in',
  account: 'Your account, and keys for your own scripts',
  routers: 'Routers and their keys',
  devices: 'Devices on the networks of the routers',
  lists: 'Whitelist and blacklist of a router',
  blocks: 'Blocks and pauses, active and past',
  groups: 'Groups of devices with the same rules',
  schedules: 'Weekly rules, and overrides of them',
  settings: 'Settings that frontends keep for a person or a router',
  policy: 'The decision for each device, and why',
  admin: 'Accounts, for administrators. Everybody else gets 404.',
  agent: 'Operations for the software on a router',
  health: 'The state of the server, for operators',
} as const

/**
 * Any text except U+0000, which PostgreSQL cannot store, and lone surrogates, which would silently become
 * U+FFFD.
 */
const STORABLE = '^[^\\u0000\\ud800-\\udfff]*$'

const VISIBLE = '^\\s*[^\\s\\u0000\\ud800-\\udfff][^\\u0000\\ud800-\\udfff]*$'

/** `x-expects`: what the pattern requires, in words that can follow "must be". */
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

/** Text for people: stored unchanged, but never only white space. */
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

/** Optional for the client. Handlers always receive the value or its default. */
const WithDefault = <T extends Type.TSchema>(schema: T) => Type.Optional(schema) as unknown as T

/** Without an example, the document uses the one of the format. */
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

/** A body or a query in which unknown fields are refused. */
export const StrictObject = <T extends Type.TProperties>(properties: T, options: Type.TObjectOptions = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options })

/**
 * A body with several forms, of which a request uses exactly one. A form is the list of fields that it
 * accepts. Its last field identifies it, so no other form may have that field. The document describes each
 * form as an object of its own.
 */
export const Forms = <T extends Type.TProperties>(
  named: { $id: string; description: string },
  properties: T,
  forms: readonly (readonly (keyof T & string)[])[],
) => StrictObject(properties, { ...named, 'x-forms': forms })

/**
 * Page and order of a list. `limit` is 1 to 200; `sort` is a field, with `-` in front for descending order.
 */
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
    { $id: `${item.$id}Page`, description: `One page of \`${item.$id}\` entries` },
  )

/** The result of each change of a bulk call. */
export const bulkAnswer = ($id: string, index: string, id: string) =>
  Type.Object(
    {
      results: Type.Array(
        Type.Object({
          index: Type.Integer({ description: index, examples: [0] }),
          status: Type.Integer({
            description: 'The status that the single call would have',
            examples: [200],
          }),
          id: Type.Optional(Uuid(id, EXAMPLE_ID)),
          code: Type.Optional(
            OneOf(Object.keys(PROBLEMS) as ProblemCode[], 'The code of the problem, when the change failed'),
          ),
        }),
      ),
    },
    { $id, description: 'What became of each change' },
  )

export const IdParams = StrictObject({ id: Uuid() })

/** A code that an operation may answer with, and its status if it differs from the code's own. */
export type KnownProblem = ProblemCode | readonly [code: ProblemCode, status: number]

/** The media type of every failure, with the examples of these codes (`openapi.ts` builds them). */
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

/** The failures with these codes, by status, with descriptions. */
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
 * The responses of a route: its own, and a problem document for each failure. Every response has a schema, so
 * that no column can leak.
 * @param known codes that are specific to this route; the document adds those that follow from its form
 */
export const responses = <T extends Record<number, Type.TSchema | { content: object }>>(
  success: T,
  ...known: KnownProblem[]
) =>
  ({
    ...success,
    ...failures(known),
    '4xx': failure(400, ['invalid-request']),
    '5xx': failure(500, ['internal']),
  }) as unknown as T
