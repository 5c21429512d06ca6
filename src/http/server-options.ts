/**
 * Limits on time and size that a client cannot extend. Without them Fastify drops slow headers after 91 s and
 * slow bodies never.
 */
import { randomUUID } from 'node:crypto'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type {
  FastifyBaseLogger,
  FastifyHttpOptions,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
} from 'fastify'
import type { Config } from '../config/config.ts'
import { createBoundedServer } from './limits/connections.ts'
import { logController } from './logging.ts'
import { BARE_HEADERS, problem, rawSocketProblem, sendProblem } from './problem.ts'

export const serverOptions = (config: Config): FastifyHttpOptions<Server> => ({
  logController,
  bodyLimit: config.http.bodyLimit,
  serverFactory: (handle, { logger }) => createBoundedServer(handle, config, logger as FastifyBaseLogger),
  // Forwarded headers are not trustworthy unless a proxy named here set them.
  trustProxy: config.trustProxy.length > 0 ? config.trustProxy : false,
  genReqId: () => randomUUID(),
  requestIdHeader: false,
  routerOptions: { maxParamLength: 100, ignoreTrailingSlash: false },
  // Requests that still arrive on an open connection are served. The process exits when they are done.
  return503OnClosing: false,
  forceCloseConnections: 'idle',
  clientErrorHandler(error, socket) {
    if (error.code === 'ECONNRESET' || !(socket as Socket).writable) return socket.destroy()
    const status =
      error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
    socket.end(rawSocketProblem(status, randomUUID()))
  },
  // A URL that cannot be decoded reaches neither hooks nor the error handler.
  frameworkErrors: (_error, request, reply) => {
    reply.header('x-request-id', request.id).headers(BARE_HEADERS)
    sendProblem(
      problem('invalid-request', { detail: 'The URL cannot be read' }),
      request as FastifyRequest,
      reply as FastifyReply,
    )
  },
})

/** A name or an address (RFC 3986, 3.2.2), also with a zone (RFC 6874), and a port. */
const HOST = /^(\[[\da-f:.]+(?:%[\w.~%-]+)?\]|[\w.~!$&'()*+,;=%-]+)(:\d{0,5})?$/i

/** Replaces the responses that Node would send itself in its own format. */
export function handleNodeLevelErrors(app: FastifyInstance): void {
  app.addHook('onRequest', async ({ raw }) => {
    const { httpVersion, rawHeaders } = raw
    if (httpVersion !== '1.1' && httpVersion !== '1.0')
      throw problem('invalid-request', { detail: 'The server supports HTTP/1.0 and HTTP/1.1 only' })
    // RFC 9112, 3.2: exactly one Host, because a proxy could otherwise have routed by another than is read
    // here. Only HTTP/1.0 may omit it.
    const hosts = rawHeaders.filter(
      (_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === 'host',
    )
    const isNamed = hosts.length === 1 || (httpVersion === '1.0' && hosts.length === 0)
    if (!isNamed || !hosts.every((host) => HOST.test(host)))
      throw problem('invalid-request', { detail: 'A request must have exactly one valid Host header' })
  })
  // RFC 9110, 10.1.1 allows a server to refuse an unknown expectation. NetPilot ignores it.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
}
