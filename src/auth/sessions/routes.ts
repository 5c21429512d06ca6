import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { orNotFound, problem } from '../../http/problem.ts'
import { IdParams, pageOf, responses } from '../../http/schemas.ts'
import { findMe } from '../../modules/users/repository.ts'
import { User } from '../../modules/users/schema.ts'
import { asCredentialManager } from '../../rls/identity.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import type { Reauthenticate } from './owner-proof.ts'
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
  ReauthenticateBody,
  Reauthenticated,
} from './schema.ts'

export type LoginSessionRoutesOptions = {
  withTransaction: WithTransaction
  refreshCookie: RefreshCookie
  reauthenticate: Reauthenticate
}

/** Routes for signed-in users: who they are, the list of their login sessions, and how to end them. */
export const loginSessionRoutes: FastifyPluginAsyncTypebox<LoginSessionRoutesOptions> = async (
  app,
  { withTransaction, refreshCookie, reauthenticate },
) => {
  const documented = { tags: ['auth'], security: [{ person: [] }] }

  app.get(
    '/me',
    {
      config: { withoutSecondFactor: true },
      schema: {
        ...documented,
        operationId: 'getMe',
        summary: 'Get the signed-in user',
        description: 'Returns the person whose access token the request carries.',
        response: responses({ 200: User }),
      },
    },
    async (request) => {
      const me = await withTransaction(request.identity, findMe, { readOnly: true })
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
          'Proves again that the owner of the account asks. Some operations need a proof of the last 15 minutes, and answer 403 `proof-required` without one. A sign-in is a proof, and so is one in the body of another operation.',
        body: ReauthenticateBody,
        response: responses(
          { 200: Reauthenticated },
          'wrong-password',
          'wrong-code',
          'locked-out',
          'conflict',
        ),
      },
    },
    async (request) => {
      await reauthenticate(request, request.body)
      const identity = asCredentialManager(request.identity)
      return withTransaction(identity, async (tx) => ({
        provenUntil: await renewProof(tx, identity.userId, identity.sessionId),
      }))
    },
  )

  app.post(
    '/logout',
    {
      config: { withoutSecondFactor: true, setsCookie: true },
      schema: {
        ...documented,
        operationId: 'logout',
        summary: 'Sign out',
        description:
          'Ends the login session of the request, and clears the refresh cookie that came with it.',
        response: responses({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const identity = asCredentialManager(request.identity)
      await withTransaction(identity, (tx) =>
        endLoginSession(tx, identity.userId, identity.sessionId, 'logout'),
      )
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
        description: `Lists the live login sessions. An account has ${MAX_LOGIN_SESSIONS} at most. One more sign-in ends the session that nobody has used for longest.`,
        querystring: ListLoginSessions,
        response: responses({ 200: pageOf(LoginSession) }),
      },
    },
    async (request) => {
      const identity = asCredentialManager(request.identity)
      return withTransaction(identity, (tx) => listLoginSessions(tx, identity, request.query), {
        readOnly: true,
      })
    },
  )

  app.delete(
    '/sessions/all',
    {
      config: { setsCookie: true },
      schema: {
        ...documented,
        operationId: 'endLoginSessions',
        summary: 'Sign out everywhere',
        description:
          'Ends every login session of the account. With `keepCurrent` the session of the request goes on.',
        querystring: EndLoginSessions,
        response: responses({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const identity = asCredentialManager(request.identity)
      const { keepCurrent = false } = request.query
      await withTransaction(identity, async (tx) => {
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
        description: 'Ends one login session. Its access tokens stop at the next request.',
        params: IdParams,
        response: responses({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const identity = asCredentialManager(request.identity)
      await withTransaction(identity, async (tx) =>
        orNotFound(await endLoginSessionByPublicId(tx, identity.userId, request.params.id)),
      )
      return reply.code(204).send(null)
    },
  )
}
