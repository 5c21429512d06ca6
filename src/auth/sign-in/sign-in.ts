/**
 * The last step of every way to sign in, after a person has proven their identity. It creates a login session
 * and its tokens, or, when the account has a second factor, a challenge. `completeSignIn` runs in the
 * transaction that checks or stores the proof. `toResponse` runs after the commit.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { problem } from '../../http/problem.ts'
import { requestOrigin } from '../../http/request-origin.ts'
import type { User } from '../../modules/users/schema.ts'
import type { Tx } from '../../rls/transaction.ts'
import { recordAuditEvent } from '../audit/record-event.ts'
import { addressUnconfirmed } from '../credentials/schema.ts'
import { addToken } from '../one-time-tokens/repository.ts'
import type { ProvenBy } from '../second-factor/second-factor.ts'
import type { AccessTokens } from '../sessions/access-tokens.ts'
import type { RefreshCookie } from '../sessions/refresh-cookie.ts'
import type { RefreshTokens } from '../sessions/refresh-tokens.ts'
import { addLoginSession, type LoginSession, type SessionLifetime } from '../sessions/repository.ts'
import type { Tokens } from '../sessions/schema.ts'

export type SignInOptions = {
  accessTokens: AccessTokens
  refreshTokens: RefreshTokens
  refreshCookie: RefreshCookie
  /** In seconds. */
  accessTokenSeconds: number
  lifetime: SessionLifetime
  /** Whether a person must confirm their address before they can sign in. */
  emailVerification: boolean
}

/**
 * An account whose owner has proven their identity. `hasSecondFactor`: whether a second factor is confirmed.
 */
export type Proven = User & { hasSecondFactor: boolean }
export type SignInResult = { user: User; session: LoginSession } | { challenge: string } | 'unverified'

export type SignIn = {
  /**
   * Creates a login session, or issues a challenge unless the second factor was just proven. `provenBy` names
   * the proof. Records the audit event.
   */
  completeSignIn(
    tx: Tx,
    account: Proven,
    request: FastifyRequest,
    options?: { secondFactor?: ProvenBy },
  ): Promise<SignInResult>
  /**
   * @returns the tokens of the person who signed in
   * @throws Problem `second-factor-required`, with the challenge; `email-unverified`
   */
  toResponse(result: SignInResult, request: FastifyRequest, reply: FastifyReply): Static<typeof Tokens>
}

const CHALLENGE_MINUTES = 5

export function createSignIn({
  accessTokens,
  refreshTokens,
  refreshCookie,
  accessTokenSeconds,
  lifetime,
  emailVerification,
}: SignInOptions): SignIn {
  return {
    async completeSignIn(tx, { hasSecondFactor, ...user }, request, { secondFactor } = {}) {
      if (emailVerification && !user.emailVerified) return 'unverified'
      if (hasSecondFactor && !secondFactor)
        return {
          challenge: await addToken(tx, user.id, { purpose: 'second-factor', minutes: CHALLENGE_MINUTES }),
        }
      const visitor = requestOrigin(request)
      const session = await addLoginSession(tx, user.id, visitor, lifetime)
      await recordAuditEvent(tx, user.id, request, 'success', secondFactor ? { secondFactor } : null)
      return { user, session }
    },
    toResponse(result, request, reply) {
      if (result === 'unverified') throw addressUnconfirmed()
      if ('challenge' in result) throw problem('second-factor-required', { challenge: result.challenge })
      const { user, session } = result
      const accessToken = accessTokens.sign({ userId: user.id, sessionId: session.id })
      const refreshToken = refreshTokens.issue({
        userId: user.id,
        sessionId: session.id,
        counter: session.counter,
      })
      const tokens = { user, accessToken, tokenType: 'Bearer', expiresIn: accessTokenSeconds } as const
      return refreshCookie.isWanted(request)
        ? { ...tokens, csrfToken: refreshCookie.write(reply, refreshToken, session.id) }
        : { ...tokens, refreshToken }
    },
  }
}
