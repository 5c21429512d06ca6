/**
 * Completes the document that the plugin generates from the routes: the names of schemas, descriptions,
 * headers, examples, and the failures that operations have in common.
 */
import { isDeepStrictEqual } from 'node:util'
import type { FastifySchema, RouteOptions } from 'fastify'
import { PROBLEMS, type ProblemCode } from '../problem.ts'
import { failures, type KnownProblem } from '../schemas.ts'
import { exampleOf, type JsonSchema, problemExample } from './examples.ts'
import { GLOSSARY } from './glossary.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Set on each route that may set or clear a cookie, except those that answer with tokens. */
    setsCookie?: boolean
    /** Set on each route with a `Location` other than its own path plus `/{id}`. */
    hasLocation?: boolean
    /** Set on each route without authentication that has a rate limit (`auth/guards/ip-rate-limit.ts`). */
    isLimited?: boolean
  }
}

type Header = { description: string; required?: boolean; schema: { type: 'string' | 'integer' } }
type Reference = { $ref: string }
type Media = { schema: JsonSchema; example?: unknown; examples?: Record<string, unknown> }
type Content = Record<string, Media>
type Response = { description: string; headers?: Record<string, Reference>; content?: Content }
type Operation = {
  operationId?: string
  tags?: string[]
  security?: Record<string, string[]>[]
  parameters?: (Reference | { in: string; name: string; description?: string; schema: object })[]
  requestBody?: { content: Content }
  responses: Record<string, Response>
}
type Components = {
  schemas: Record<string, JsonSchema>
  examples: Record<string, unknown>
  headers: Record<string, Header>
  parameters: Record<string, object>
}
export type Described = { paths: Record<string, Record<string, Operation>>; components: Components }

const DESCRIPTIONS: Record<string, string> = {
  204: 'The server has done it. The answer has no body.',
  302: 'The browser goes on at the address in `Location`.',
  304: 'The version in `If-None-Match` is the newest.',
  '4XX': 'The server refuses the request. The `code` says why.',
  '5XX': 'The server fails, or is too busy. Repeat later what may be repeated.',
}
const PROBLEM = 'application/problem+json'

/** The codes of the problems that a response can be. */
const codesOf = ({ content }: Response) => Object.keys(content?.[PROBLEM]?.examples ?? {}) as ProblemCode[]

const text = (description: string): Header => ({ description, schema: { type: 'string' } })
const always = (header: Header): Header => ({ ...header, required: true })
const HEADERS = {
  'X-Request-Id': always(text('The id of the request, which the server logs')),
  ETag: always(
    text('The version of what people can edit. Scans do not change it. Send it back as `If-Match`.'),
  ),
  Location: always(text('The address of the new resource, or of the next page')),
  'WWW-Authenticate': always(
    text(
      'The `Bearer` challenge, with `error="invalid_token"` when the request had a token that is not valid',
    ),
  ),
  // Of the problems that are 403, one alone has it.
  'Retry-After': {
    description: 'Seconds until a retry makes sense. 429, 503 and `router-inactive` have it.',
    schema: { type: 'integer' },
  },
  'RateLimit-Policy': text('The quota and its window in seconds: `"person";q=1200;w=60`'),
  RateLimit: text(
    'What is left of the quota, and the seconds until it is whole again: `"person";r=1199;t=1`',
  ),
  'Set-Cookie': text('The refresh token for a browser, or the end of an old cookie'),
  Allow: text('The methods that the resource has (405)'),
} satisfies Record<string, Header>

const IF_MATCH = {
  in: 'header',
  name: 'If-Match',
  description:
    'The `ETag` that you saw. When it is not the newest any more, the server changes nothing (412). Without it, the last writer wins.',
  schema: { type: 'string' },
  example: '"0wtfWHc4QMiLm1ZcrBWDsk"',
}

/**
 * The plugin refers to a named schema only inside another schema, and copies it elsewhere. This wraps each
 * named schema in another one, which `complete` removes again. Of several media types only JSON is passed to
 * the plugin.
 */
export function wrapNamed({ body, response, ...schema }: FastifySchema): FastifySchema {
  const wrap = (each: unknown): unknown => {
    const { $id, content } = each as { $id?: string; content?: Partial<Content> }
    const json = content?.['application/json']
    return json ? wrap(json.schema) : $id === undefined ? each : { allOf: [each] }
  }
  return {
    ...schema,
    ...(body !== undefined && { body: wrap(body) }),
    ...(response !== undefined && {
      response: Object.fromEntries(
        Object.entries(response as object).map(([status, each]) => [status, wrap(each)]),
      ),
    }),
  }
}

/**
 * Adds what follows from the form of an operation and is therefore not written in its route: common failures,
 * headers, examples, and the absence of authentication.
 */
export function complete({ paths, components }: Described, routes: Map<string, RouteOptions>): void {
  components.headers = HEADERS
  components.parameters = { 'If-Match': IF_MATCH }
  for (const [name, schema] of Object.entries(components.schemas)) {
    describeFields(schema)
    splitForms(name, schema, components.schemas)
  }
  for (const [path, methods] of Object.entries(paths))
    for (const [method, operation] of Object.entries(methods)) {
      const { operationId = '', responses } = operation
      const { schema = {}, config = {} } = routes.get(operationId) ?? {}
      const { versionOf, setsCookie = false, isLimited = false, withoutSecondFactor = false } = config
      const isConditional = versionOf !== undefined && ['put', 'patch', 'delete'].includes(method)
      operation.security ??= []
      completeMedia(operation, schema)
      describeParts(operation)
      completeBodies(operation, components)
      completeFailures(
        responses,
        commonProblems(path, operation, {
          isConditional,
          isLimited,
          isFormOfBrowsers: isLimited && method === 'post',
          takesSecondFactor: !withoutSecondFactor,
        }),
        components,
      )
      for (const [status, response] of Object.entries(responses)) {
        const isDone = /^[23]/.test(status)
        const answer = response.content?.['application/json']?.schema.$ref?.replace(/.*\//, '') ?? ''
        if (response.description === 'Default Response')
          response.description = components.schemas[answer]?.description ?? DESCRIPTIONS[status] ?? ''
        const headers: Record<keyof typeof HEADERS, boolean> = {
          'X-Request-Id': true,
          ETag: isDone && status !== '204' && (versionOf !== undefined || '304' in responses),
          Location:
            status === '302' ||
            (status === '201' && (config.hasLocation || paths[`${path}/{id}`]?.get !== undefined)),
          'WWW-Authenticate': status === '401',
          'Retry-After':
            status === '429' || status === '503' || codesOf(response).includes('router-inactive'),
          'RateLimit-Policy': '429' in responses,
          RateLimit: '429' in responses,
          'Set-Cookie': '302' in responses || (isDone && (setsCookie || answer === 'Tokens')),
          Allow: status === '4XX',
        }
        response.headers = Object.fromEntries(
          Object.entries(headers).flatMap(([name, isSent]) =>
            isSent ? [[name, { $ref: `#/components/headers/${name}` }]] : [],
          ),
        )
      }
      if (isConditional)
        operation.parameters = [...(operation.parameters ?? []), { $ref: '#/components/parameters/If-Match' }]
    }
}

/** Adds the glossary description to each field that has none. */
function describeFields({ properties = {}, items, allOf }: JsonSchema): void {
  for (const [name, field] of Object.entries(properties)) {
    const words = GLOSSARY[name]
    if (words !== undefined && field.$ref === undefined) field.description ??= words
    describeFields(field)
  }
  for (const part of [items, ...(allOf ?? [])]) if (part) describeFields(part)
}

/**
 * Does the same for parameters and request bodies. Response schemas all have names, so they are among the
 * components.
 */
function describeParts({ parameters = [], requestBody }: Operation): void {
  for (const { schema } of Object.values(requestBody?.content ?? {})) describeFields(schema)
  for (const parameter of parameters)
    if ('name' in parameter) parameter.description ??= GLOSSARY[parameter.name] as string
}

/** Turns a body with several forms (`Forms`) into a choice of objects, one for each form. */
function splitForms(name: string, schema: JsonSchema, schemas: Components['schemas']): void {
  const { 'x-forms': forms, properties = {}, required = [], description, ...rest } = schema
  if (!forms) return
  const choices = forms.map((form) => {
    const mark = form.at(-1) ?? ''
    const chosen = `${name}By${mark.replace(/^./, (letter) => letter.toUpperCase())}`
    const others = forms.flatMap((other) => (other === form ? [] : (other.at(-1) ?? '')))
    const choice = {
      ...rest,
      properties: Object.fromEntries(Object.entries(properties).filter(([field]) => !others.includes(field))),
      required: [...required, ...form],
    }
    const [known] = Object.entries(schemas).find(([, other]) => isDeepStrictEqual(other, choice)) ?? []
    schemas[known ?? chosen] = choice
    return { $ref: `#/components/schemas/${known ?? chosen}` }
  })
  schemas[name] = { ...(description !== undefined && { description }), oneOf: choices }
}

/** Adds the media types other than JSON from the route. */
function completeMedia({ requestBody, responses }: Operation, { body, response = {} }: FastifySchema): void {
  const add = (to: { content?: Content } | undefined, from: unknown) => {
    const { content = {} } = (from ?? {}) as { content?: Content }
    if (to?.content && 'application/json' in content)
      for (const [type, { schema }] of Object.entries(content)) to.content[type] ??= { schema }
  }
  add(requestBody, body)
  for (const [status, each] of Object.entries(response as object)) add(responses[status], each)
}

/** Unwraps the bodies and gives each its example. The body of a failure has an example for each code. */
function completeBodies({ requestBody, responses }: Operation, { schemas }: Components): void {
  for (const { content = {} } of [{ content: requestBody?.content }, ...Object.values(responses)])
    for (const media of Object.values(content)) {
      media.schema = media.schema.allOf?.[0] ?? media.schema
      if (!media.examples) media.example ??= exampleOf(media.schema, schemas)
    }
}

/**
 * Adds the failures of the route and the common ones, by status. The example of each code is among the
 * components once.
 */
function completeFailures(
  responses: Operation['responses'],
  common: KnownProblem[],
  { examples }: Components,
): void {
  const own = Object.entries(responses).flatMap(([status, response]) =>
    status.endsWith('XX') ? [] : codesOf(response).map((code) => [code, Number(status)] as const),
  )
  Object.assign(responses, failures([...own, ...common]))
  for (const [status, response] of Object.entries(responses)) {
    const media = response.content?.[PROBLEM]
    if (!media) continue
    media.schema = { $ref: '#/components/schemas/Problem' }
    const number = Number(status.replace('XX', '00'))
    for (const code of codesOf(response))
      examples[`${number}-${code}`] ??= { summary: PROBLEMS[code].title, value: problemExample(code, number) }
  }
}

function commonProblems(
  path: string,
  { security = [], requestBody, tags }: Operation,
  traits: Record<'isConditional' | 'isLimited' | 'isFormOfBrowsers' | 'takesSecondFactor', boolean>,
): KnownProblem[] {
  if (tags?.includes('health')) return ['invalid-request']
  const guards = security.flatMap((way) => Object.keys(way))
  const isPublic = guards.length === 0 || security.some((way) => Object.keys(way).length === 0)
  return [
    'invalid-request',
    ...(isPublic ? [] : (['unauthenticated'] as const)),
    ...(isPublic && !traits.isLimited ? [] : (['rate-limited'] as const)),
    ...(security.some((way) => Object.values(way).some((scopes) => scopes.length > 0))
      ? (['insufficient-scope'] as const)
      : []),
    ...(path.includes('{id}') || guards.includes('admin') ? (['not-found'] as const) : []),
    ...(traits.isConditional ? (['precondition-failed'] as const) : []),
    ...(requestBody ? (['too-large', 'unsupported-media-type'] as const) : []),
    ...(traits.isFormOfBrowsers ? (['cross-site'] as const) : []),
    ...(traits.takesSecondFactor && (guards.includes('person') || guards.includes('admin'))
      ? (['second-factor-required-setup'] as const)
      : []),
    'unavailable',
  ]
}
