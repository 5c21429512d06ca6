import type { FastifyRequest } from 'fastify'

/** The credential of `Authorization: Bearer …` (RFC 6750, 2.1; the scheme in any case), or undefined. */
export function bearerOf(request: FastifyRequest): string | undefined {
  return /^Bearer ([^\s]+)$/i.exec(request.headers.authorization ?? '')?.[1]
}
