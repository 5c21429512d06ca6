/** Login sessions: who is signed in, the list of their sessions, and how these end. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { orNotFound, problem } from '../../http/problem.ts'
import { answers, IdParams, pageOf } from '../../http/schemas.ts'
import { findMe } from '../../modules/users/repository.ts'
import { User } from '../../modules/users/schema.ts'
import { asAuth } from '../../rls/identity.ts'
import type { WithSession } from '../../rls/transaction.ts'
import type { ProveOwner } from './owner-proof.ts'
import type { RefreshCookie } from './refresh-cookie.ts'
import {
  endLoginSession,
  endLoginSessionByPublicId,
  endLoginSessions,
  listLoginSessions,
  MAX_LOGIN_SESSIONS,
  renewProof,
} from './repository.ts'
import {
  EndLoginSessions,
  ListLoginSessions,
  LoginSession,
  Reauthenticate,
  Reauthenticated,
} from './schema.ts'

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
