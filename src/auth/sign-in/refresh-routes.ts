import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { problem } from '../../http/problem.ts'
import { Nullable, responses } from '../../http/schemas.ts'
import { ANONYMOUS } from '../../rls/identity.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import { recordAuditEvent } from '../audit/record-event.ts'
import { findActiveUser } from '../credentials/repository.ts'
import type { RefreshCookie } from '../sessions/refresh-cookie.ts'
import type { RefreshClaim, RefreshTokens } from '../sessions/refresh-tokens.ts'
import {
  endLoginSession,
  findLiveSession,
  rotateLoginSession,
  type SessionLifetime,
} from '../sessions/repository.ts'
import { Refresh, RefreshHeaders, Tokens } from '../sessions/schema.ts'
import type { SignIn, SignInResult } from './sign-in.ts'

export type RefreshRoutesOptions = {
  withTransaction: WithTransaction
  signIn: SignIn
  refreshTokens: RefreshTokens
  refreshCookie: RefreshCookie
  lifetime: SessionLifetime & {
    /**
     * For this many seconds a refresh token that was just used returns the same successor again. This covers
     * a lost response or a second tab.
     */
    refreshGraceSeconds: number
  }
}

/** Routes that exchange a refresh token for new tokens. */
export const refreshRoutes: FastifyPluginAsyncTypebox<RefreshRoutesOptions> = async (
  app,
  { withTransaction, signIn, refreshTokens, refreshCookie, lifetime },
) => {
  const documented = { tags: ['auth'] }

  app.post(
    '/refresh',
    {
      // This check runs before the body is parsed, so that the server does not parse a forged cross-site
      // request.
      onRequest: async (request) => void refreshCookie.read(request),
      schema: {
        ...documented,
        operationId: 'refresh',
        summary: 'Exchange a refresh token for new tokens',
        description: `Returns new tokens. A refresh token works once. Within ${lifetime.refreshGraceSeconds} s, after a lost reply or in a second tab, it gets the same successor again. Later it ends the login session, because somebody else may have used it. Without a body, the token is that of the cookie, and the request needs \`X-CSRF-Token\`.`,
        body: Nullable(Refresh),
        headers: RefreshHeaders,
        security: [{}, { refreshCookie: [] }],
        response: responses({ 200: Tokens }, 'unauthenticated', 'cross-site'),
      },
    },
    async (request, reply) => {
      const token = request.body?.refreshToken ?? refreshCookie.read(request)
      if (token === undefined)
        throw problem('invalid-request', {
          errors: [{ path: '/body/refreshToken', code: 'missing', message: 'is missing' }],
        })
      const claim = refreshTokens.read(token)
      if (!claim) throw problem('unauthenticated')
      const refreshed = await withTransaction(ANONYMOUS, (tx) => refresh(tx, claim, request, lifetime))
      if (!refreshed) throw problem('unauthenticated')
      return signIn.toResponse(refreshed, request, reply)
    },
  )
}

/**
 * Issues the next tokens of a login session. A token that is neither the newest nor recently replaced ends
 * the login session.
 * @returns undefined when the token ended the login session
 */
async function refresh(
  tx: Tx,
  { userId, sessionId, counter }: RefreshClaim,
  request: FastifyRequest,
  lifetime: RefreshRoutesOptions['lifetime'],
): Promise<SignInResult | undefined> {
  const user = await findActiveUser(tx, userId)
  if (!user) return undefined
  const rotated = await rotateLoginSession(tx, userId, sessionId, counter, lifetime.idleDays)
  if (rotated) return { user, session: rotated }
  const live = await findLiveSession(tx, userId, sessionId)
  if (!live) return undefined
  if (live.counter === counter + 1 && live.secondsSinceRotation <= lifetime.refreshGraceSeconds)
    return { user, session: live }
  await endLoginSession(tx, userId, sessionId, 'reuse')
  await recordAuditEvent(tx, userId, request, 'failure', { reason: 'reuse' })
  return undefined
}
