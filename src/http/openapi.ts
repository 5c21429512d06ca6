/** OpenAPI 3.1 from the schemas that validate, at `/openapi.json`, and a page to try it that needs no network, at `/docs`. */
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'

/** Nothing from elsewhere, and no wish for https: on a home network the page is served over plain HTTP. */
const DOCS_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"

const DESCRIPTION = `NetPilot looks after home and small-business routers: see every device; allow, limit, pause or block it.

Errors are problem documents (RFC 9457) with a stable \`code\`. Times are RFC 3339 UTC, rates kbit/s, MAC addresses lower-case with colons.
Somebody else's row does not exist: it is 404, like an id that nobody has.

Bodies are UTF-8; in JSON no name stands twice in an object. Text is kept as it comes, to the code point, and never trimmed, but for e-mail
addresses (trimmed and lower-cased). It holds no U+0000 and no lone surrogate, and what is there to be seen, such as a name, is not white
space alone. Lengths count code points. Numbers in a query are plain decimal integers.`

export async function describeApi(app: FastifyInstance, version: string): Promise<void> {
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
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: DOCS_CSP, uiConfig: { validatorUrl: null } as never })
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
}
