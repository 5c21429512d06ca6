/** The HTTP server without its routes: what holds for every request and every answer. */
import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import type { Config } from '../config/config.ts'
import { parseJsonBodies } from './bodies.ts'
import { tagVersions } from './etag.ts'
import { frontPage } from './front-page.ts'
import { liftIdleTimeout } from './limits/connections.ts'
import { shedOverload } from './limits/overload.ts'
import { loggerOptions, logRequests } from './logging.ts'
import { followRoutes } from './methods.ts'
import { describeApi } from './openapi/document.ts'
import { handleErrors, ProblemDocument } from './problem.ts'
import { secureHeaders } from './secure-headers.ts'
import { handleNodeLevelErrors, serverOptions } from './server-options.ts'
import { createValidatorCompiler, refuseUnknownQueries } from './validation.ts'

export type ServerOptions = {
  config: Config
  version: string
  /** Aborted when the process means to stop: connections are closed with their next answer. */
  closing: AbortSignal
  /** Where log lines go; standard output when left out. */
  logStream?: { write(line: string): void } | undefined
}

/**
 * @returns the server, and what adds a refusal of the other methods to each path, once all routes are there
 */
export async function createServer({ config, version, closing, logStream }: ServerOptions) {
  const logger = { ...loggerOptions(config.logLevel), ...(logStream && { stream: logStream }) }
  const app = Fastify({ ...serverOptions(config), logger }).withTypeProvider<TypeBoxTypeProvider>()
  app.addSchema(ProblemDocument)
  app.setValidatorCompiler(createValidatorCompiler())
  handleErrors(app)
  // First, so that every refusal has them.
  await secureHeaders(app)
  handleNodeLevelErrors(app)
  logRequests(app)
  parseJsonBodies(app)
  refuseUnknownQueries(app)
  tagVersions(app)
  const refuseOtherMethods = followRoutes(app)
  liftIdleTimeout(app)
  app.addHook('onSend', async (request, reply) => {
    reply.header('x-request-id', request.id)
    // An answer may hold tokens or personal data. A route that may be cached says so itself.
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
    // A connection kept alive would keep the process from leaving.
    if (closing.aborted) reply.header('connection', 'close')
  })
  await app.register(cookie)
  await app.register(cors, {
    origin: config.corsOrigins,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    // The refresh cookie of apps that want one; to exact origins only.
    credentials: config.corsOrigins.length > 0,
    exposedHeaders: [
      'x-request-id',
      'retry-after',
      'ratelimit',
      'ratelimit-policy',
      'location',
      'etag',
      'allow',
    ],
    maxAge: 600,
    // OPTIONS that is no preflight would be refused in a form of the plugin's own.
    strictPreflight: false,
  })
  shedOverload(app, config.maxEventLoopDelayMs)
  frontPage(app)
  if (config.apiDocs)
    await describeApi(app, { version, url: config.publicUrl ?? '/', perMinute: config.rateLimits.documents })
  return { app, refuseOtherMethods }
}
