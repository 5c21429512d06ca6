/** Builds the HTTP server without its routes: everything that applies to every request and every response. */
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
  /** Aborted when the process begins to stop. Each connection is then closed with its next response. */
  closing: AbortSignal
  /** Receives the log lines. Default: standard output. */
  logStream?: { write(line: string): void } | undefined
}

/** @returns the server, and a function that adds the 405 routes once all other routes exist */
export async function createServer({ config, version, closing, logStream }: ServerOptions) {
  const logger = { ...loggerOptions(config.logLevel), ...(logStream && { stream: logStream }) }
  const app = Fastify({ ...serverOptions(config), logger }).withTypeProvider<TypeBoxTypeProvider>()
  app.addSchema(ProblemDocument)
  app.setValidatorCompiler(createValidatorCompiler())
  handleErrors(app)
  // First, so that every refusal has these headers.
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
    // A response may contain tokens or personal data. A route whose response may be cached sets its own
    // header.
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
    // A keep-alive connection would keep the process from exiting.
    if (closing.aborted) reply.header('connection', 'close')
  })
  await app.register(cookie)
  await app.register(cors, {
    origin: config.corsOrigins,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    // Allows the optional refresh cookie, for exact origins only.
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
    // The plugin would refuse an OPTIONS request that is no preflight in its own format.
    strictPreflight: false,
  })
  shedOverload(app, config.maxEventLoopDelayMs)
  frontPage(app)
  if (config.apiDocs)
    await describeApi(app, { version, url: config.publicUrl ?? '/', perMinute: config.rateLimits.documents })
  return { app, refuseOtherMethods }
}
