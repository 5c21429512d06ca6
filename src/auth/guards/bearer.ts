import type { FastifyRequest } from 'fastify'
import { problem } from '../../http/problem.ts'
import { type ApiKeyClaim, readApiKey } from '../api-keys/format.ts'

/** The credential of `Authorization: Bearer …` (RFC 6750, 2.1; the scheme in any case), or undefined. */
export function bearerOf(request: FastifyRequest): string | undefined {
  return /^Bearer ([^\s]+)$/i.exec(request.headers.authorization ?? '')?.[1]
}

const KEY_NAME = /^(x-api-key|api[-_]?key|key|token|access_token)$/i
const KEY_FORM = /np[ap]_/

/**
 * The API key of `X-API-Key` or else of `Authorization`, if it has the form of one. @throws Problem when a
 * query holds what may be a key
 */
export function apiKeyOf(request: FastifyRequest): ApiKeyClaim | undefined {
  // What stands in a URL stands in logs and histories: nothing that could be a key is looked at there.
  const query = Object.entries(request.query as Record<string, unknown>)
  if (query.some(([name, value]) => KEY_NAME.test(name) || KEY_FORM.test(String(value)))) {
    throw problem('invalid-request', {
      detail: 'A key belongs in the X-API-Key header, never in a URL. If this one is real, revoke it.',
    })
  }
  const header = request.headers['x-api-key']
  return readApiKey((typeof header === 'string' ? header : undefined) ?? bearerOf(request) ?? '')
}
