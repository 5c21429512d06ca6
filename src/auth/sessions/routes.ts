/** Login sessions: their next tokens, their list, and their end. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { orNotFound, problem } from '../../http/problem.ts'
import { answers, IdParams, Nullable, pageOf } from '../../http/schemas.ts'
import { findMe } from '../../modules/users/repository.ts'
import { User } from '../../modules/users/schema.ts'
import { asAuth, SIGN_IN } from '../../rls/identity.ts'
import type { Tx, WithSession } from '../../rls/transaction.ts'
import { recordAct } from '../audit/record-event.ts'
import {
  endLoginSession,
  findActiveUser,
  findLiveSession,
  MAX_LOGIN_SESSIONS,
  rotateLoginSession,
  type SessionLifetime,
} from '../credentials/repository.ts'
import {
  EndLoginSessions,
  ListLoginSessions,
  LoginSession,
  Reauthenticate,
  Reauthenticated,
  Refresh,
  RefreshHeaders,
  Tokens,
} from '../credentials/schema.ts'
import type { ProveOwner } from '../sign-in/reauthenticate.ts'
import type { Admitted, SignIn } from '../sign-in/sign-in.ts'
import type { RefreshCookie } from './refresh-cookie.ts'
import type { RefreshClaim, RefreshTokens } from './refresh-tokens.ts'
import { endLoginSessionByPublicId, endLoginSessions, listLoginSessions, renewProof } from './repository.ts'

export type RefreshRoutesOptions = {
  withSession: WithSession
  signIn: SignIn
  refreshTokens: RefreshTokens
  refreshCookie: RefreshCookie
  lifetime: SessionLifetime & {
    /**
     * For so long a refresh token that was just used answers with the same successor again: a lost reply, or
     * a second tab. Seconds.
     */
    refreshGraceSeconds: number
  }
}

/** For whoever holds a refresh token. */
export const refreshRoutes: FastifyPluginAsyncTypebox<RefreshRoutesOptions> = async (
  app,
  { withSession, signIn, refreshTokens, refreshCookie, lifetime },
) => {
  const documented = { tags: ['auth'] }

  app.post(
    '/refresh',
    {
      // Before the body is looked at: what a page elsewhere makes a browser send is not worth reading.
      onRequest: async (request) => void refreshCookie.read(request),
      schema: {
        ...documented,
        operationId: 'refresh',
        summary: 'Exchange a refresh token for new tokens',
        description: `Each refresh token is used once. Using it again within ${lifetime.refreshGraceSeconds} s (a lost reply, a second tab) answers with the same successor; later it ends the login session, because somebody else may have used it. Without a body it is the token of the cookie that is used (of this transport: see \`login\`), with \`X-CSRF-Token\` beside it.`,
        body: Nullable(Refresh),
        headers: RefreshHeaders,
        response: answers({ 200: Tokens }, 'unauthenticated', 'cross-site'),
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
      const refreshed = await withSession(SIGN_IN, (tx) => refresh(tx, claim, request, lifetime))
      if (!refreshed) throw problem('unauthenticated')
      return signIn.answer(refreshed, request, reply)
    },
  )
}

export type LoginSessionRoutesOptions = {
  withSession: WithSession
  refreshCookie: RefreshCookie
  proveOwner: ProveOwner
}

/** For the signed-in: who they are, and where else they are signed in. */
export const loginSessionRoutes: FastifyPluginAsyncTypebox<LoginSessionRoutesOptions> = async (
  app,
  { withSession, refreshCookie, proveOwner },
) => {
  const documented = { tags: ['auth'], security: [{ person: [] }] }

  app.get(
    '/me',
    {
      schema: {
        ...documented,
        operationId: 'getMe',
        summary: 'Get the signed-in user',
        response: answers({ 200: User }),
      },
    },
    async (request) => {
      const me = await withSession(request.identity, findMe, { readOnly: true })
      if (!me) throw problem('unauthenticated')
      return me
    },
  )

  app.post(
    '/reauthenticate',
    {
      schema: {
        ...documented,
        operationId: 'reauthenticate',
        summary: 'Re-authenticate',
        description:
          'What a login session alone is not enough for takes a recent proof, at most 15 minutes old: 403 `proof-required`. Signing in is one, and so is any proof in the body of another operation.',
        body: Reauthenticate,
        response: answers({ 200: Reauthenticated }, 'wrong-password', 'wrong-code', 'locked-out', 'conflict'),
      },
    },
    async (request) => {
      await proveOwner(request, request.body)
      const identity = asAuth(request.identity)
      return withSession(identity, async (tx) => ({
        provenUntil: await renewProof(tx, identity.userId, identity.sessionId),
      }))
    },
  )

  app.post(
    '/logout',
    {
      schema: {
        ...documented,
        operationId: 'logout',
        summary: 'Sign out',
        description: 'Clears the refresh cookie that comes with the request.',
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const identity = asAuth(request.identity)
      await withSession(identity, (tx) => endLoginSession(tx, identity.userId, identity.sessionId, 'logout'))
      if (refreshCookie.isWanted(request)) refreshCookie.clear(reply)
      return reply.code(204).send(null)
    },
  )

  app.get(
    '/sessions',
    {
      schema: {
        ...documented,
        operationId: 'listLoginSessions',
        summary: 'List your login sessions',
        description: `At most ${MAX_LOGIN_SESSIONS} places: one more sign-in ends the session that was used least lately.`,
        querystring: ListLoginSessions,
        response: answers({ 200: pageOf(LoginSession) }),
      },
    },
    async (request) => {
      const identity = asAuth(request.identity)
      const { limit, offset } = request.query
      const items = await withSession(
        identity,
        (tx) => listLoginSessions(tx, identity.userId, identity.sessionId),
        { readOnly: true },
      )
      return { items: items.slice(offset, offset + limit), total: items.length, limit, offset }
    },
  )

  app.delete(
    '/sessions/all',
    {
      schema: {
        ...documented,
        operationId: 'endLoginSessions',
        summary: 'Sign out everywhere',
        querystring: EndLoginSessions,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const identity = asAuth(request.identity)
      const { keepCurrent = false } = request.query
      await withSession(identity, async (tx) => {
        const ended = await endLoginSessions(
          tx,
          identity.userId,
          'revoked',
          keepCurrent ? identity.sessionId : null,
        )
        tx.audit({ detail: { ended }, changedNothing: ended === 0 })
      })
      if (!keepCurrent && refreshCookie.isWanted(request)) refreshCookie.clear(reply)
      return reply.code(204).send(null)
    },
  )

  app.delete(
    '/sessions/:id',
    {
      schema: {
        ...documented,
        operationId: 'endLoginSession',
        summary: 'End one of your login sessions',
        params: IdParams,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const identity = asAuth(request.identity)
      await withSession(identity, async (tx) =>
        orNotFound(await endLoginSessionByPublicId(tx, identity.userId, request.params.id)),
      )
      return reply.code(204).send(null)
    },
  )
}

/**
 * The next tokens of a session. A token that is neither the newest nor just replaced ends the session, and
 * the answer is undefined.
 */
async function refresh(
  tx: Tx,
  { userId, sessionId, counter }: RefreshClaim,
  request: FastifyRequest,
  lifetime: RefreshRoutesOptions['lifetime'],
): Promise<Admitted | undefined> {
  const user = await findActiveUser(tx, userId)
  if (!user) return undefined
  const rotated = await rotateLoginSession(tx, userId, sessionId, counter, lifetime.idleDays)
  if (rotated) return { user, session: rotated }
  const live = await findLiveSession(tx, userId, sessionId)
  if (!live) return undefined
  if (live.counter === counter + 1 && live.secondsSinceRotation <= lifetime.refreshGraceSeconds)
    return { user, session: live }
  await endLoginSession(tx, userId, sessionId, 'reuse')
  await recordAct(tx, userId, request, 'failure', { reason: 'reuse' })
  return undefined
}
