/** One line a request, and no secret in any line. */
import { type FastifyInstance, LogController } from 'fastify'
import type { LoggerOptions } from 'pino'
import { problemCodeOf } from './problem.ts'

const REDACTED = [
  'authorization',
  'cookie',
  '["x-api-key"]',
  'password',
  'newPassword',
  'currentPassword',
  'refreshToken',
  'accessToken',
  'key',
  'idToken',
  'googleIdToken',
  'providerCode',
  'challenge',
  'recoveryCodes',
]

/**
 * A driver's error carries the row it failed on (`detail`, `where`) and a Problem its cause; the log keeps
 * what helps and holds no data.
 */
function errorForLog(
  error: Error & { code?: string; severity?: string; constraint?: string },
): Record<string, unknown> {
  const { name, message, code, constraint, stack } = error
  const isDriverError = error.severity !== undefined
  return {
    type: name,
    message: isDriverError ? message.replaceAll(/"[^"]*"/g, '"…"') : message,
    code,
    constraint,
    stack: isDriverError ? undefined : stack,
  }
}

export function loggerOptions(level: string): LoggerOptions {
  return {
    level,
    redact: {
      paths: REDACTED.flatMap((path) => [path, path.startsWith('[') ? `*${path}` : `*.${path}`]),
      censor: '[redacted]',
    },
    // Fastify's own lines about a request: its path without the query, which may hold what was typed by
    // mistake.
    serializers: {
      req: (request: { method: string; url: string }) => ({
        method: request.method,
        path: request.url.split('?', 1)[0],
      }),
      err: errorForLog as never,
    },
    formatters: { level: (label) => ({ level: label }) },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
  }
}

/** Fastify's own two lines a request are off (`logController`); this is the one. */
export function logRequests(app: FastifyInstance): void {
  app.addHook('onResponse', async (request, reply) => {
    const { method, routeOptions, ip, identity } = request
    const [route, status, ms] = [
      routeOptions.url ?? '(none)',
      reply.statusCode,
      Math.round(reply.elapsedTime),
    ]
    // As the token or key claims: where the answer is 401, nothing proved it.
    const line = { method, route, status, code: problemCodeOf(request), ms, ip, account: identity?.userId }
    request.log[
      reply.statusCode >= 500 ? 'warn' : routeOptions.url?.startsWith('/health') ? 'debug' : 'info'
    ](line, 'request')
  })
}

/** The request id is the `id` of the one line and of each error. */
export const logController = new LogController({ disableRequestLogging: true, requestIdLogLabel: 'id' })
