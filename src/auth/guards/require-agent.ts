import type { FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import { problem, sendProblem, toProblem } from '../../http/problem.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { apiKeyOf } from './bearer.ts'

/**
 * The guard for agents. It checks form and checksum of a router's key. The first statement of the transaction
 * proves the key.
 */
export const requireAgent: onRequestAsyncHookHandler = async (request) => {
  const key = apiKeyOf(request)
  if (key?.kind !== 'agent') throw problem('unauthenticated')
  const { userId, keyId, sha256 } = key
  request.identity = { kind: 'agent', userId, keyId, sha256 }
}

/**
 * The error handler of scopes whose callers only the database can authenticate: keys and administrators. It
 * authenticates before it reports what is wrong with a request. So a revoked key gets 401, and a person who
 * is no administrator gets 404, also with an invalid body.
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
