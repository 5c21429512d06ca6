/**
 * Serves OpenAPI 3.1 at `/openapi.json`, generated from the validation schemas, and at `/docs` a page to try
 * it, which needs no internet access.
 */
import { createHash } from 'node:crypto'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type {
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  onRequestHookHandler,
  RouteOptions,
} from 'fastify'
import { clientNetwork } from '../../network/client-network.ts'
import { answerRate, createTokenBuckets, type RatePolicy } from '../limits/rate-limit.ts'
import { TAGS } from '../schemas.ts'
import { complete, type Described, wrapNamed } from './complete.ts'

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
            description:
              'A personal key with the scope that the operation names; `Authorization: Bearer` works too',
          },
          agent: {
            type: 'apiKey',
            in: 'header',
            name: 'X-API-Key',
            description:
              "A router's key with the scope that the operation names; `Authorization: Bearer` works too",
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
