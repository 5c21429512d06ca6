import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { answers } from '../../http/schemas.ts'
import { ownerOf } from '../../rls/own-rows.ts'
import type { WithSession } from '../../rls/transaction.ts'
import { readCursor } from '../paging/cursor.ts'
import { listActs, POSITION, type Position } from './repository.ts'
import { Acts, EverybodysActs, ListActs, ListEverybodysActs } from './schema.ts'

/** What happened to one's own account. */
export const ownAuditRoutes: FastifyPluginAsyncTypebox<{ withSession: WithSession }> = async (
  app,
  { withSession },
) => {
  app.get(
    '/audit-logs',
    {
      schema: {
        tags: ['account'],
        security: [{ person: [] }],
        operationId: 'listMyActs',
        summary: 'List the audit log of your account',
        querystring: ListActs,
        response: answers({ 200: Acts }),
      },
    },
    async (request) => {
      const { cursor, ...filters } = request.query
      const after = readCursor<Position>(cursor, POSITION)
      return withSession(request.identity, (tx) => listActs(tx, { ...filters, userId: ownerOf(tx) }, after), {
        readOnly: true,
      })
    },
  )
}

/** What happened to any account. */
export const auditRoutes: FastifyPluginAsyncTypebox<{ withSession: WithSession }> = async (
  app,
  { withSession },
) => {
  app.get(
    '/audit-logs',
    {
      schema: {
        tags: ['admin'],
        security: [{ admin: [] }],
        operationId: 'listActs',
        summary: 'List the audit log of all accounts',
        querystring: ListEverybodysActs,
        response: answers({ 200: EverybodysActs }),
      },
    },
    async (request) => {
      const { cursor, ...filters } = request.query
      const after = readCursor<Position>(cursor, POSITION)
      return withSession(request.identity, (tx) => listActs(tx, filters, after), { readOnly: true })
    },
  )
}
