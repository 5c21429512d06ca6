/** Bounds on time and size that a client cannot stretch. Without them Fastify drops slow headers after 91 s and slow bodies never. */
import { randomUUID } from 'node:crypto'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyBaseLogger, FastifyHttpOptions, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '../config.ts'
import { createBoundedServer } from './connections.ts'
import { logController } from './logging.ts'
import { bareProblem, problem, sendProblem } from './problem.ts'

export const serverOptions = (config: Config): FastifyHttpOptions<Server> => ({
  logController,
  bodyLimit: config.http.bodyLimit,
  serverFactory: (handle, { logger }) => createBoundedServer(handle, config, logger as FastifyBaseLogger),
  // Forwarded headers are a client's claim unless a proxy that is named here made them.
  trustProxy: config.trustProxy.length > 0 ? config.trustProxy : false,
  genReqId: () => randomUUID(),
  requestIdHeader: false,
  routerOptions: { maxParamLength: 100, ignoreTrailingSlash: false },
  // What still comes on a connection in use is served: the process leaves when it is done.
  return503OnClosing: false,
  forceCloseConnections: 'idle',
  clientErrorHandler(error, socket) {
    if (error.code === 'ECONNRESET' || !(socket as Socket).writable) return socket.destroy()
    const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
    socket.end(bareProblem(status, randomUUID()))
  },
  // A URL that cannot be decoded meets neither hooks nor the error handler.
  frameworkErrors: (_error, request, reply) => {
    reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff')
    sendProblem(problem('invalid-request', { detail: 'The URL cannot be read' }), request as FastifyRequest, reply as FastifyReply)
  },
})

/** What Node would answer itself, in a form of its own. */
export function answerForNode(app: FastifyInstance): void {
  // RFC 9112, 3.2: exactly one, or else a proxy may have routed by another than is read here.
  app.addHook('onRequest', async ({ raw }) => {
    const hosts = raw.rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === 'host')
    if (raw.httpVersion === '1.1' && hosts.length !== 1) throw problem('invalid-request', { detail: 'A request names its host, once' })
  })
  // RFC 9110, 10.1.1: an expectation that nobody knows may be refused; there is no need to.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
}
