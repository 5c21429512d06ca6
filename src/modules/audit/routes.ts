import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { problem } from '../../http/problem.ts'
import { answers } from '../../http/schemas.ts'
import { ownerOf } from '../../rls/mine.ts'
import type { WithSession } from '../../rls/session.ts'
import { listActs, readCursor } from './repository.ts'
import { Acts, EverybodysActs, ListActs, ListEverybodysActs } from './schema.ts'

/** @throws Problem `invalid-request` */
function positionOf(cursor: string | undefined) {
  const position = cursor === undefined ? undefined : readCursor(cursor)
  if (cursor !== undefined && !position)
    throw problem('invalid-request', {
      errors: [{ path: '/querystring/cursor', code: 'wrong-format', message: 'is no cursor of this list' }],
    })
  return position
}

/** What happened to one's own account. */
export const ownAuditRoutes: FastifyPluginAsyncTypebox<{ withSession: WithSession }> = async (app, { withSession }) => {
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
      const after = positionOf(cursor)
      return withSession(request.identity, (tx) => listActs(tx, { ...filters, userId: ownerOf(tx) }, after), { readOnly: true })
    },
  )
}

/** What happened to any account. */
export const auditRoutes: FastifyPluginAsyncTypebox<{ withSession: WithSession }> = async (app, { withSession }) => {
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
      const after = positionOf(cursor)
      return withSession(request.identity, (tx) => listActs(tx, filters, after), { readOnly: true })
    },
  )
}
