import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { fieldsOf, requireVersion } from '../../http/etag.ts'
import { orNotFound, problem } from '../../http/problem.ts'
import { answers, IdParams, pageOf } from '../../http/schemas.ts'
import type { WithSession } from '../../rls/transaction.ts'
import {
  addSchedule,
  changeSchedule,
  findSchedule,
  holdSchedule,
  listSchedules,
  MAX_SCHEDULES,
  removeSchedule,
} from './repository.ts'
import { AddSchedule, ChangeSchedule, ListSchedules, Schedule } from './schema.ts'

export type ScheduleRoutesOptions = { withSession: WithSession }

export const scheduleRoutes: FastifyPluginAsyncTypebox<ScheduleRoutesOptions> = async (
  app,
  { withSession },
) => {
  const config = { versionOf: fieldsOf(...Object.keys(ChangeSchedule.properties)) }
  const documented = { tags: ['schedules'], security: [{ person: [] }] }

  app.get(
    '',
    {
      schema: {
        ...documented,
        operationId: 'listSchedules',
        summary: 'List schedules',
        querystring: ListSchedules,
        response: answers({ 200: pageOf(Schedule) }),
      },
    },
    (request) => withSession(request.identity, (tx) => listSchedules(tx, request.query), { readOnly: true }),
  )

  app.post(
    '',
    {
      config,
      schema: {
        ...documented,
        operationId: 'addSchedule',
        summary: 'Add a schedule for a device or a group',
        description: `A device or a group has ${MAX_SCHEDULES} at most (409 \`conflict\`).`,
        body: AddSchedule,
        response: answers({ 201: Schedule }, 'not-found', 'conflict'),
      },
    },
    async (request, reply) => {
      const schedule = await withSession(request.identity, async (tx) => {
        const added = orNotFound(await addSchedule(tx, request.body))
        if (added === 'full')
          throw problem('conflict', { detail: `There are ${MAX_SCHEDULES} schedules already` })
        tx.audit({ targetId: added.id })
        return added
      })
      return reply.code(201).send(schedule)
    },
  )

  app.get(
    '/:id',
    {
      config,
      schema: {
        ...documented,
        operationId: 'getSchedule',
        summary: 'Get a schedule',
        params: IdParams,
        response: answers({ 200: Schedule }),
      },
    },
    async (request) => {
      return orNotFound(
        await withSession(request.identity, (tx) => findSchedule(tx, request.params.id), { readOnly: true }),
      )
    },
  )

  app.patch(
    '/:id',
    {
      config,
      schema: {
        ...documented,
        operationId: 'changeSchedule',
        summary: 'Change a schedule',
        params: IdParams,
        body: ChangeSchedule,
        response: answers({ 200: Schedule }),
      },
    },
    async (request) => {
      const { id } = request.params
      return withSession(request.identity, async (tx) => {
        await requireVersion(request, () => holdSchedule(tx, id))
        return orNotFound(await changeSchedule(tx, id, request.body))
      })
    },
  )

  app.delete(
    '/:id',
    {
      config,
      schema: {
        ...documented,
        operationId: 'removeSchedule',
        summary: 'Remove a schedule',
        params: IdParams,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const { id } = request.params
      await withSession(request.identity, async (tx) => {
        await requireVersion(request, () => holdSchedule(tx, id))
        orNotFound(await removeSchedule(tx, id))
      })
      return reply.code(204).send(null)
    },
  )
}
