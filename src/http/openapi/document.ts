/**
 * Serves OpenAPI 3.1 at `/openapi.json`, generated from the validation schemas, and at `/docs` a page to try
 * it, which needs no internet access.
 */
import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type {
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  FastifySchema,
  onRequestHookHandler,
  RouteOptions,
} from 'fastify'
import { clientNetwork } from '../../network/client-network.ts'
import { GLOSSARY } from '../glossary.ts'
import { answerRate, createTokenBuckets, type RatePolicy } from '../limits/rate-limit.ts'
import { PROBLEMS, type ProblemCode } from '../problem.ts'
import { failures, type KnownProblem, TAGS } from '../schemas.ts'
import { exampleOf, type JsonSchema, problemExample } from './examples.ts'

/**
 * Allows no foreign sources and does not require https, because on a home network the page is served over
 * plain HTTP.
 */
const DOCS_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const DESCRIPTION = `NetPilot looks after home and small-business routers: see every device; allow, limit, pause or block it.

**Errors** are problem documents (RFC 9457) with a stable \`code\`. A row of somebody else does not exist: it is 404, like an id that nobody has.

**Values.** Times are RFC 3339 in UTC, rates are kbit/s, MAC addresses are lower-case with colons. Numbers in a query are plain decimal integers.

**Text** is UTF-8 and stays as it comes; only e-mail addresses are trimmed and lower-cased. It has no U+0000 and no lone surrogate. A text that
people see, such as a name, is not white space alone. Lengths count code points. No name stands twice in a JSON object.

**Lists.** A filter narrows a list. By an id that names nothing of yours the list is empty; a path with that id is 404.

**Headers.** Every answer has an \`X-Request-Id\`, which the server logs. Where requests are limited, \`RateLimit\` says what is left.`

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

export type DescriptionOptions = {
  version: string
  /** The base URL of the API. */
  url: string
  /** How many documents per minute one address may fetch. */
  perMinute: number
}

export async function describeApi(
  app: FastifyInstance,
  { version, url, perMinute }: DescriptionOptions,
): Promise<void> {
  const routes = new Map<string, RouteOptions>()
  app.addHook('onRoute', (route) => {
    if (route.schema?.operationId !== undefined) routes.set(route.schema.operationId, route)
  })
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'NetPilot',
        version,
        description: DESCRIPTION,
        license: { name: 'UNLICENSED', identifier: 'LicenseRef-UNLICENSED' },
      },
      servers: [{ url }],
      components: {
        examples: {},
        securitySchemes: {
          person: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: 'The access token of a signed-in person',
          },
          admin: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: 'The access token of an administrator',
          },
          script: {
            type: 'apiKey',
            in: 'header',
            name: 'X-API-Key',
            description: 'A personal key with the scope that stands there; `Authorization: Bearer` works too',
          },
          agent: {
            type: 'apiKey',
            in: 'header',
            name: 'X-API-Key',
            description: "A router's key with the scope that stands there; `Authorization: Bearer` works too",
          },
          refreshCookie: {
            type: 'apiKey',
            in: 'cookie',
            name: '__Host-netpilot-refresh',
            description:
              'The refresh token in a cookie, with `X-CSRF-Token` beside it. Over plain HTTP its name is `netpilot-refresh`.',
          },
        },
      },
      tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    },
    transform: ({ schema = {}, url }) => ({ schema: wrapNamed(schema), url }),
    transformObject(documents) {
      const { openapiObject } = documents as { openapiObject: Described }
      complete(openapiObject, routes)
      return openapiObject as never
    },
    refResolver: {
      buildLocalReference: (schema, _base, _fragment, index) =>
        typeof schema.$id === 'string' ? schema.$id : `schema-${index}`,
    },
  })
  const document = openApiDocument(app)
  // Without this hook the page would build its own copies of the document for each request.
  const sendDocument: onRequestHookHandler = (request, reply, done) => {
    const { url } = request.routeOptions
    if (url === '/docs/json') return void document.json(request, reply)
    if (url === '/docs/yaml') return void document.yaml(request, reply)
    done()
  }
  const policy: RatePolicy = { name: 'documents', quota: perMinute, window: 60 }
  const take = createTokenBuckets(policy)
  await app.register(async function documents(scope) {
    // Limited because these are the largest responses without authentication.
    scope.addHook('onRequest', async (request, reply) =>
      answerRate(reply, policy, take(clientNetwork(request.ip))),
    )
    await scope.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: DOCS_CSP,
      uiConfig: { validatorUrl: null } as never,
      uiHooks: { onRequest: sendDocument },
    })
    scope.get('/openapi.json', { schema: { hide: true } }, document.json)
  })
}

/** Both forms of the document, each serialised once and sent with its ETag. */
function openApiDocument(
  app: FastifyInstance,
): Record<'json' | 'yaml', (request: FastifyRequest, reply: FastifyReply) => FastifyReply> {
  const once = (type: string, write: () => string) => {
    let written: { body: Buffer; etag: string } | undefined
    return (request: FastifyRequest, reply: FastifyReply) => {
      if (!written) {
        const body = Buffer.from(write())
        written = { body, etag: `"${createHash('sha256').update(body).digest('base64url')}"` }
      }
      reply.header('etag', written.etag).header('cache-control', 'no-cache')
      if (request.headers['if-none-match'] === written.etag) return reply.code(304).send()
      return reply.type(type).send(written.body)
    }
  }
  return {
    json: once('application/json; charset=utf-8', () => JSON.stringify(app.swagger())),
    yaml: once('application/x-yaml', () => app.swagger({ yaml: true })),
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
type Described = { paths: Record<string, Record<string, Operation>>; components: Components }

const DESCRIPTIONS: Record<string, string> = {
  204: 'The server has done it. The answer has no body.',
  302: 'The browser goes on at the address in `Location`.',
  304: 'The version in `If-None-Match` is the newest.',
  '4XX': 'The server refuses the request. The `code` says why.',
  '5XX': 'The server fails, or is too busy. Repeat later what may be repeated.',
}
const PROBLEM = 'application/problem+json'

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
function wrapNamed({ body, response, ...schema }: FastifySchema): FastifySchema {
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
function complete({ paths, components }: Described, routes: Map<string, RouteOptions>): void {
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
            status === '429' || status === '503' || response.description.includes('`router-inactive`'),
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
  const codesOf = ({ content }: Response) => Object.keys(content?.[PROBLEM]?.examples ?? {}) as ProblemCode[]
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
