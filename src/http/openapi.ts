/** OpenAPI 3.1 from the schemas that validate, at `/openapi.json`, and a page to try it that needs no network, at `/docs`. */
import { createHash } from 'node:crypto'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import { clientNetwork } from '../network/client-network.ts'
import { answerRate, openBuckets, type RatePolicy } from './rate-limit.ts'

/** Nothing from elsewhere, and no wish for https: on a home network the page is served over plain HTTP. */
const DOCS_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const DESCRIPTION = `NetPilot looks after home and small-business routers: see every device; allow, limit, pause or block it.

Errors are problem documents (RFC 9457) with a stable \`code\`. Times are RFC 3339 UTC, rates kbit/s, MAC addresses lower-case with colons.
Somebody else's row does not exist: it is 404, like an id that nobody has.

Bodies are UTF-8; in JSON no name stands twice in an object. Text is kept as it comes, to the code point, and never trimmed, but for e-mail
addresses (trimmed and lower-cased). It holds no U+0000 and no lone surrogate, and what is there to be seen, such as a name, is not white
space alone. Lengths count code points. Numbers in a query are plain decimal integers.`

/** @param perMinute how many documents one address may fetch */
export async function describeApi(app: FastifyInstance, version: string, perMinute: number): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'NetPilot', version, description: DESCRIPTION },
      components: {
        securitySchemes: {
          person: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'The access token of a signed-in person' },
          admin: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'The access token of an administrator' },
          script: {
            type: 'apiKey',
            in: 'header',
            name: 'X-API-Key',
            description: 'A personal key, with the scope named there; `Authorization: Bearer` works too',
          },
          agent: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: "A router's key; `Authorization: Bearer` works too" },
        },
      },
      tags: [
        { name: 'auth', description: 'Signing in' },
        { name: 'account', description: 'Your account, and keys for your own scripts' },
        { name: 'routers', description: 'Routers and their keys' },
        { name: 'devices', description: 'What is on the networks' },
        { name: 'lists', description: 'Whitelist and blacklist of a router' },
        { name: 'blocks', description: 'Blocks and pauses, active and past' },
        { name: 'groups', description: 'Devices that are treated alike' },
        { name: 'schedules', description: 'Recurring windows, and overrides' },
        { name: 'settings', description: 'What frontends keep for a person or a router' },
        { name: 'policy', description: 'What is decided for each device, and why' },
        { name: 'admin', description: 'Accounts, for administrators; 404 for everybody else' },
        { name: 'agent', description: 'For the software on a router' },
        { name: 'health', description: 'For operators' },
      ],
    },
    refResolver: {
      buildLocalReference: (schema, _base, _fragment, index) => (typeof schema.$id === 'string' ? schema.$id : `schema-${index}`),
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
  const take = openBuckets(policy)
  await app.register(async function documents(scope) {
    // The largest answers that anybody may ask for.
    scope.addHook('onRequest', async (request, reply) => answerRate(reply, policy, take(clientNetwork(request.ip))))
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
function openApiDocument(app: FastifyInstance): Record<'json' | 'yaml', (request: FastifyRequest, reply: FastifyReply) => FastifyReply> {
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
