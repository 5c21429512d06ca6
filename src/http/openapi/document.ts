/**
 * OpenAPI 3.1 from the schemas that validate, at `/openapi.json`, and a page to try it that needs no network,
 * at `/docs`.
 */
import { createHash } from 'node:crypto'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type {
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  FastifySchema,
  onRequestHookHandler,
} from 'fastify'
import { clientNetwork } from '../../network/client-network.ts'
import { answerRate, createTokenBuckets, type RatePolicy } from '../limits/rate-limit.ts'
import { PROBLEMS, type ProblemCode } from '../problem.ts'
import { failures, type KnownProblem, TAGS } from '../schemas.ts'
import { exampleOf, type JsonSchema, problemExample } from './examples.ts'

/** Nothing from elsewhere, and no wish for https: on a home network the page is served over plain HTTP. */
const DOCS_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const DESCRIPTION = `NetPilot looks after home and small-business routers: see every device; allow, limit, pause or block it.

Errors are problem documents (RFC 9457) with a stable \`code\`. Times are RFC 3339 UTC, rates kbit/s, MAC addresses lower-case with colons.
Somebody else's row does not exist: it is 404, like an id that nobody has.

Bodies are UTF-8; in JSON no name stands twice in an object. Text is kept as it comes, to the code point, and never trimmed, but for e-mail
addresses (trimmed and lower-cased). It holds no U+0000 and no lone surrogate, and what is there to be seen, such as a name, is not white
space alone. Lengths count code points. Numbers in a query are plain decimal integers.

Every answer has an \`X-Request-Id\`, which the server's log names too; where requests are limited, \`RateLimit\` says what is left.

A filter narrows a list: by an id that names nothing of yours it is empty, where a path with that id is 404.`

/**
 * `url`: where the API is reached; `perMinute`: how many documents one address may fetch.
 */
export type DescriptionOptions = { version: string; url: string; perMinute: number }

export async function describeApi(
  app: FastifyInstance,
  { version, url, perMinute }: DescriptionOptions,
): Promise<void> {
  /** Operations about a resource that has versions (`etag.ts`). */
  const versioned = new Set<string>()
  app.addHook('onRoute', ({ schema, config }) => {
    if (schema?.operationId !== undefined && config?.versionOf) versioned.add(schema.operationId)
  })
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'NetPilot', version, description: DESCRIPTION },
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
            description: 'A personal key, with the scope named there; `Authorization: Bearer` works too',
          },
          agent: {
            type: 'apiKey',
            in: 'header',
            name: 'X-API-Key',
            description: "A router's key; `Authorization: Bearer` works too",
          },
        },
      },
      tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    },
    transform: ({ schema = {}, url }) => ({ schema: wrapNamed(schema), url }),
    transformObject(documents) {
      const { openapiObject } = documents as { openapiObject: Described }
      complete(openapiObject, versioned)
      return openapiObject as never
    },
    refResolver: {
      buildLocalReference: (schema, _base, _fragment, index) =>
        typeof schema.$id === 'string' ? schema.$id : `schema-${index}`,
    },
  })
  const document = openApiDocument(app)
  // The page would make its own copies of the document anew for each request.
  const sendDocument: onRequestHookHandler = (request, reply, done) => {
    const { url } = request.routeOptions
    if (url === '/docs/json') return void document.json(request, reply)
    if (url === '/docs/yaml') return void document.yaml(request, reply)
    done()
  }
  const policy: RatePolicy = { name: 'documents', quota: perMinute, window: 60 }
  const take = createTokenBuckets(policy)
  await app.register(async function documents(scope) {
    // The largest answers that anybody may ask for.
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

/** The document in both forms, each serialised once and sent with its ETag. */
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

type Header = { description: string; schema: { type: 'string' | 'integer' } }
type Media = { schema: JsonSchema; example?: unknown; examples?: Record<string, unknown> }
type Content = Record<string, Media>
type Response = { description: string; headers?: Record<string, Header>; content?: Content }
type Operation = {
  operationId?: string
  tags?: string[]
  security?: Record<string, string[]>[]
  parameters?: { in: string; name: string; required?: boolean; description?: string; schema: object }[]
  requestBody?: { content: Content }
  responses: Record<string, Response>
}
type Components = { schemas: Record<string, JsonSchema>; examples: Record<string, unknown> }
type Described = { paths: Record<string, Record<string, Operation>>; components: Components }

const SUCCESSES: Record<string, string> = {
  200: 'Done: the answer',
  201: 'Made',
  202: 'Accepted: the rest comes by mail',
  204: 'Done: there is no body',
  302: 'Go on at the address in `Location`',
  304: 'As it was: the version that you named is the newest',
  503: 'Not now: what is down stands in the answer',
  '4XX': 'Refused: see `code`',
  '5XX': 'The server failed, or is too busy: what may be repeated should be, later',
}
const PROBLEM = 'application/problem+json'
const textHeader = (description: string): Header => ({ description, schema: { type: 'string' } })
const HEADERS = {
  etag: textHeader('The version of what people edit of it: scans do not move it. Send it back as `If-Match`'),
  location: textHeader('Where the new one is'),
  retryAfter: { description: 'Seconds', schema: { type: 'integer' } },
  challenge: textHeader('`error="invalid_token"` when a token was shown and is not, or no longer, good'),
} as const

/**
 * The plugin refers to a schema with a name only where it is part of another, and copies it elsewhere. So it
 * is made part of one here, which
 * `complete` takes off again.
 */
function wrapNamed({ body, response, ...schema }: FastifySchema): FastifySchema {
  const wrap = (each: unknown) => ((each as { $id?: string }).$id === undefined ? each : { allOf: [each] })
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
 * What follows from the form of an operation, and so stands at no route: common failures, headers, examples,
 * and that anybody may enter.
 */
function complete({ paths, components }: Described, versioned: Set<string>): void {
  for (const [path, methods] of Object.entries(paths))
    for (const [method, operation] of Object.entries(methods)) {
      const { operationId = '', responses } = operation
      operation.security ??= []
      completeBodies(operation, components)
      const hasVersions = versioned.has(operationId)
      const isChange = ['put', 'patch', 'delete'].includes(method)
      if (!operation.tags?.includes('health'))
        completeFailures(responses, commonProblems(path, operation, hasVersions && isChange), components)
      for (const [status, response] of Object.entries(responses)) {
        if (response.description === 'Default Response')
          response.description = SUCCESSES[status] ?? 'The answer'
        response.headers = {
          ...response.headers,
          ...(status.startsWith('2') && status !== '204' && hasVersions && { ETag: HEADERS.etag }),
          ...(status === '201' && paths[`${path}/{id}`]?.get && { Location: HEADERS.location }),
          ...(status === '401' && { 'WWW-Authenticate': HEADERS.challenge }),
          ...((status === '429' || status === '503') && { 'Retry-After': HEADERS.retryAfter }),
        }
        if (Object.keys(response.headers).length === 0) delete response.headers
      }
      if (hasVersions && isChange)
        operation.parameters = [
          ...(operation.parameters ?? []),
          {
            in: 'header',
            name: 'If-Match',
            description:
              'The `ETag` that you saw: when it is not the newest any more, nothing is changed (412). Without it, the last writer wins',
            schema: { type: 'string' },
          },
        ]
    }
}

/** Bodies are unwrapped, and each gets its example; that of a failure has one for each code. */
function completeBodies({ requestBody, responses }: Operation, { schemas }: Components): void {
  for (const { content = {} } of [{ content: requestBody?.content }, ...Object.values(responses)])
    for (const media of Object.values(content)) {
      media.schema = media.schema.allOf?.[0] ?? media.schema
      if (!media.examples) media.example ??= exampleOf(media.schema, schemas)
    }
}

/**
 * The failures of the route and those that are common, by status; the example of each code stands among the
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
  { security = [], requestBody }: Operation,
  isConditional: boolean,
): KnownProblem[] {
  const doors = security.flatMap((way) => Object.keys(way))
  return [
    'invalid-request',
    ...(doors.length > 0 ? (['unauthenticated', 'rate-limited'] as const) : []),
    ...(doors.includes('script') || doors.includes('agent') ? (['insufficient-scope'] as const) : []),
    ...(path.includes('{id}') || doors.includes('admin') ? (['not-found'] as const) : []),
    ...(isConditional ? (['precondition-failed'] as const) : []),
    ...(requestBody ? (['too-large', 'unsupported-media-type'] as const) : []),
    'unavailable',
  ]
}
