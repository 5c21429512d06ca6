import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { responses } from '../../http/schemas.ts'
import { ownerOf } from '../../rls/own-rows.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { readCursor } from '../paging/cursor.ts'
import { type EventPosition, listActs, POSITION } from './repository.ts'
import { Acts, EverybodysActs, ListActs, ListEverybodysActs } from './schema.ts'

/** The audit log of the caller's own account. */
export const ownAuditRoutes: FastifyPluginAsyncTypebox<{ withTransaction: WithTransaction }> = async (
  app,
  { withTransaction },
) => {
  app.get(
    '/audit-logs',
    {
      schema: {
        tags: ['account'],
        security: [{ person: [] }],
        operationId: 'listMyActs',
        summary: 'List the audit log of your account',
        description: 'Lists what was done to the account and by it, the newest first.',
        querystring: ListActs,
        response: responses({ 200: Acts }),
      },
    },
    async (request) => {
      const { cursor, ...filters } = request.query
      const after = readCursor<EventPosition>(cursor, POSITION)
      return withTransaction(
        request.identity,
        (tx) => listActs(tx, { ...filters, userId: ownerOf(tx) }, after),
        {
          readOnly: true,
        },
      )
    },
  )
}

/** The audit log of all accounts. */
export const auditRoutes: FastifyPluginAsyncTypebox<{ withTransaction: WithTransaction }> = async (
  app,
  { withTransaction },
) => {
  app.get(
    '/audit-logs',
    {
      schema: {
        tags: ['admin'],
        security: [{ admin: [] }],
        operationId: 'listActs',
        summary: 'List the audit log of all accounts',
        description:
          'Lists the audit log of all accounts, or the entries that the filters name, the newest first.',
        querystring: ListEverybodysActs,
        response: responses({ 200: EverybodysActs }),
      },
    },
    async (request) => {
      const { cursor, ...filters } = request.query
      const after = readCursor<EventPosition>(cursor, POSITION)
      return withTransaction(request.identity, (tx) => listActs(tx, filters, after), { readOnly: true })
    },
  )
}
