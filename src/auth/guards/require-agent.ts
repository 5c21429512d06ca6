import type { FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import { problem, sendProblem, toProblem } from '../../http/problem.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { apiKeyOf } from './bearer.ts'

/**
 * The door of the scope `agents`: form and checksum of a router's key; the proof rides on the first statement
 * of the session.
 */
export const requireAgent: onRequestAsyncHookHandler = async (request) => {
  const key = apiKeyOf(request)
  if (key?.kind !== 'agent') throw problem('unauthenticated')
  const { userId, keyId, sha256 } = key
  request.identity = { kind: 'agent', userId, keyId, sha256 }
}

/**
 * The error handler of doors that only the database can hold: for keys, and for administrators. What is wrong
 * with a request is for those to learn who may enter: a revoked key is 401, and administration is 404, even
 * with a body that could never be accepted.
 */
export function authenticateBeforeValidationError(withTransaction: WithTransaction) {
  return async (error: unknown, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const isAboutRequest = [
      'invalid-request',
      'too-large',
      'unsupported-media-type',
      'method-not-allowed',
    ].includes(toProblem(error).code)
    if (!request.identity || request.identity.kind === 'user' || !isAboutRequest)
      return sendProblem(error, request, reply)
    const unproven = await withTransaction(request.identity, (tx) => tx.agentGrant(), {
      readOnly: true,
    }).then(
      () => undefined,
      (refusal: unknown) => refusal,
    )
    return sendProblem(unproven ?? error, request, reply)
  }
}
