import type { FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import { problem, sendProblem, toProblem } from '../http/problem.ts'
import type { WithSession } from '../rls/session.ts'
import { readApiKey } from './api-keys.ts'
import { bearerOf } from './bearer.ts'

const KEY_NAME = /^(x-api-key|api[-_]?key|key|token|access_token)$/i
const KEY_FORM = /np[ap]_/

/** The door of the scope `agents`: form and checksum of a router's key; the proof rides on the first statement of the session. */
export const requireAgent: onRequestAsyncHookHandler = async (request) => {
  // What stands in a URL stands in logs and histories: nothing that could be a key is looked at there.
  const query = Object.entries(request.query as Record<string, unknown>)
  if (query.some(([name, value]) => KEY_NAME.test(name) || KEY_FORM.test(String(value)))) {
    throw problem('invalid-request', { detail: 'A key belongs in the X-API-Key header, never in a URL. If this one is real, revoke it.' })
  }
  const header = request.headers['x-api-key']
  const key = readApiKey((typeof header === 'string' ? header : undefined) ?? bearerOf(request) ?? '')
  if (key?.kind !== 'agent') throw problem('unauthenticated')
  const { userId, keyId, sha256 } = key
  request.identity = { kind: 'agent', userId, keyId, sha256 }
}

/**
 * The error handler of the scope `agents`. What is wrong with a request is for the holder of a live key to learn: a revoked key is 401 even
 * with a body that could never be accepted.
 */
export function answerProvenAgents(withSession: WithSession) {
  return async (error: unknown, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const isAboutRequest = ['invalid-request', 'too-large', 'unsupported-media-type'].includes(toProblem(error).code)
    if (!request.identity || !isAboutRequest) return sendProblem(error, request, reply)
    const unproven = await withSession(request.identity, (tx) => tx.opened(), { readOnly: true }).then(
      () => undefined,
      (refusal: unknown) => refusal,
    )
    return sendProblem(unproven ?? error, request, reply)
  }
}
