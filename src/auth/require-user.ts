import type { onRequestAsyncHookHandler } from 'fastify'
import { problem } from '../http/problem.ts'
import type { AccessTokens } from './access-tokens.ts'
import { actOf } from './act.ts'
import { bearerOf } from './bearer.ts'

/** The door of the scope `users`: an authentic access token. That its login session is live, the first statement of the session proves. */
export function requireUser(accessTokens: AccessTokens): onRequestAsyncHookHandler {
  return async (request) => {
    const bearer = accessTokens.verify(bearerOf(request) ?? '')
    if (!bearer) throw problem('unauthenticated')
    request.identity = { kind: 'user', ...bearer, act: actOf(request) }
  }
}
