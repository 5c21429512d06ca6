import type { FastifyRequest } from 'fastify'
import { problem } from '../../http/problem.ts'
import { type ApiKeyClaim, readApiKey } from '../api-keys/format.ts'

/**
 * @returns the credential of `Authorization: Bearer …` (RFC 6750, 2.1; the scheme in any case), or undefined
 */
export function bearerOf(request: FastifyRequest): string | undefined {
  return /^Bearer ([^\s]+)$/i.exec(request.headers.authorization ?? '')?.[1]
}

const KEY_NAME = /^(x-api-key|api[-_]?key|key|token|access_token)$/i
const KEY_FORM = /np[ap]_/

/**
 * Reads the API key from `X-API-Key` or else from `Authorization`, if it has the form of one.
 * @throws Problem when a query parameter may contain a key
 */
export function apiKeyOf(request: FastifyRequest): ApiKeyClaim | undefined {
  // A URL appears in logs and histories, so the server refuses a key in the query without checking it.
  const query = Object.entries(request.query as Record<string, unknown>)
  if (query.some(([name, value]) => KEY_NAME.test(name) || KEY_FORM.test(String(value)))) {
    throw problem('invalid-request', {
      detail: 'A key belongs in the X-API-Key header, never in a URL. If this one is real, revoke it.',
    })
  }
  const header = request.headers['x-api-key']
  return readApiKey((typeof header === 'string' ? header : undefined) ?? bearerOf(request) ?? '')
}
