/**
 * Administration of accounts. Only these routes give access to other people's data. Everybody but
 * administrators gets 404.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { orNotFound, problem } from '../../http/problem.ts'
import { IdParams, pageOf, responses } from '../../http/schemas.ts'
import { ownerOf } from '../../rls/own-rows.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import {
  changeAccount,
  endSessionOf,
  endSessionsOf,
  findAccount,
  listAccounts,
  listSessions,
  readStats,
  removeAccount,
} from './repository.ts'
import {
  Account,
  AdminSession,
  ChangeAccount,
  ListAccounts,
  ListSessions,
  SessionParams,
  Stats,
} from './schema.ts'

export const adminRoutes: FastifyPluginAsyncTypebox<{
  withTransaction: WithTransaction
  onlineMinutes: number
}> = async (app, { withTransaction, onlineMinutes }) => {
  const documented = { tags: ['admin'], security: [{ admin: [] }] }
  const none = responses({ 204: Type.Null() })

  app.get(
    '/users',
    {
      schema: {
        ...documented,
        operationId: 'listAccounts',
        summary: 'List accounts',
        description: 'Lists all accounts, or those that the filters name.',
        querystring: ListAccounts,
        response: responses({ 200: pageOf(Account) }),
      },
    },
    (request) =>
      withTransaction(request.identity, (tx) => listAccounts(tx, request.query), { readOnly: true }),
  )

  app.get(
    '/users/:id',
    {
      schema: {
        ...documented,
        operationId: 'getAccount',
        summary: 'Get an account',
        description: 'Returns one account.',
        params: IdParams,
        response: responses({ 200: Account }),
      },
    },
    (request) =>
      withTransaction(request.identity, (tx) => accountOr404(tx, request.params.id), { readOnly: true }),
  )

  app.patch(
    '/users/:id',
    {
      schema: {
        ...documented,
        operationId: 'changeAccount',
        summary: 'Change the role of an account, deactivate or reactivate it',
        description:
          'Changes what the account may do, from the next request on. Deactivating ends every login session. An administrator cannot change their own account here (409 `conflict`).',
        params: IdParams,
        body: ChangeAccount,
        response: responses({ 200: Account }, 'conflict'),
      },
    },
    (request) => {
      const { id } = request.params
      return withTransaction(request.identity, async (tx) => {
        refuseOneself(tx, id)
        orNotFound(await changeAccount(tx, id, request.body))
        return accountOr404(tx, id)
      })
    },
  )

  app.delete(
    '/users/:id',
    {
      schema: {
        ...documented,
        operationId: 'removeAccount',
        summary: 'Delete an account with everything it owns',
        description:
          'Deletes everything that the account owns. The audit log stays for its time, without personal data.',
        params: IdParams,
        response: responses({ 204: Type.Null() }, 'conflict'),
      },
    },
    async (request, reply) => {
      const { id } = request.params
      await withTransaction(request.identity, async (tx) => {
        refuseOneself(tx, id)
        orNotFound(await removeAccount(tx, id))
      })
      return reply.code(204).send(null)
    },
  )

  app.delete(
    '/users/:id/sessions',
    {
      schema: {
        ...documented,
        operationId: 'endSessionsOfAccount',
        summary: 'Sign an account out everywhere',
        description: 'Ends every login session of the account.',
        params: IdParams,
        response: none,
      },
    },
    async (request, reply) => {
      const { id } = request.params
      await withTransaction(request.identity, async (tx) => {
        await accountOr404(tx, id)
        tx.audit({ changedNothing: (await endSessionsOf(tx, id, 'revoked')) === 0 })
      })
      return reply.code(204).send(null)
    },
  )

  app.delete(
    '/users/:id/sessions/:sessionId',
    {
      schema: {
        ...documented,
        operationId: 'endSessionOfAccount',
        summary: 'End one login session of an account',
        description: 'Ends one login session of the account.',
        params: SessionParams,
        response: none,
      },
    },
    async (request, reply) => {
      const { id, sessionId } = request.params
      await withTransaction(request.identity, async (tx) => orNotFound(await endSessionOf(tx, id, sessionId)))
      return reply.code(204).send(null)
    },
  )

  app.get(
    '/sessions',
    {
      schema: {
        ...documented,
        operationId: 'listSessions',
        summary: 'List live login sessions of all accounts',
        description: 'Lists the live login sessions of all accounts, or of one.',
        querystring: ListSessions,
        response: responses({ 200: pageOf(AdminSession) }),
      },
    },
    (request) =>
      withTransaction(request.identity, (tx) => listSessions(tx, request.query), { readOnly: true }),
  )

  app.get(
    '/stats',
    {
      schema: {
        ...documented,
        operationId: 'getStats',
        summary: 'Count accounts, sign-ins, routers and devices',
        description: 'Counts accounts, sign-ins, login sessions, routers and devices.',
        response: responses({ 200: Stats }),
      },
    },
    (request) => withTransaction(request.identity, (tx) => readStats(tx, onlineMinutes), { readOnly: true }),
  )
}

async function accountOr404(tx: Tx, id: string) {
  return orNotFound(await findAccount(tx, id))
}

/** Refuses changes to the caller's own account, so that at least one administrator always remains. */
function refuseOneself(tx: Tx, id: string): void {
  if (id === ownerOf(tx))
    throw problem('conflict', {
      detail: 'You cannot change your own account here: ask another administrator',
    })
}
