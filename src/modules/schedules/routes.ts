import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { fieldsOf, requireVersion } from '../../http/etag.ts'
import { orNotFound, problem } from '../../http/problem.ts'
import { IdParams, pageOf, responses } from '../../http/schemas.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import {
  addSchedule,
  changeSchedule,
  findSchedule,
  listSchedules,
  lockSchedule,
  MAX_SCHEDULES,
  removeSchedule,
} from './repository.ts'
import { AddSchedule, ChangeSchedule, ListSchedules, Schedule } from './schema.ts'

export type ScheduleRoutesOptions = { withTransaction: WithTransaction }

export const scheduleRoutes: FastifyPluginAsyncTypebox<ScheduleRoutesOptions> = async (
  app,
  { withTransaction },
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
        description: 'Lists the schedules of all routers, or those that the filters name.',
        querystring: ListSchedules,
        response: responses({ 200: pageOf(Schedule) }),
      },
    },
    (request) =>
      withTransaction(request.identity, (tx) => listSchedules(tx, request.query), { readOnly: true }),
  )

  app.post(
    '',
    {
      config,
      schema: {
        ...documented,
        operationId: 'addSchedule',
        summary: 'Add a schedule for a device or a group',
        description: `Adds a weekly rule for a device or a group. Each has ${MAX_SCHEDULES} at most (409 \`conflict\`).`,
        body: AddSchedule,
        response: responses({ 201: Schedule }, 'not-found', 'conflict'),
      },
    },
    async (request, reply) => {
      const schedule = await withTransaction(request.identity, async (tx) => {
        const added = orNotFound(await addSchedule(tx, request.body))
        if (added === 'full')
          throw problem('conflict', { detail: `The maximum of ${MAX_SCHEDULES} schedules is reached` })
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
        description: 'Returns one schedule.',
        params: IdParams,
        response: responses({ 200: Schedule }),
      },
    },
    async (request) => {
      return orNotFound(
        await withTransaction(request.identity, (tx) => findSchedule(tx, request.params.id), {
          readOnly: true,
        }),
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
        description: 'Changes the fields that the body names.',
        params: IdParams,
        body: ChangeSchedule,
        response: responses({ 200: Schedule }),
      },
    },
    async (request) => {
      const { id } = request.params
      return withTransaction(request.identity, async (tx) => {
        await requireVersion(request, () => lockSchedule(tx, id))
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
        description: 'Removes one schedule.',
        params: IdParams,
        response: responses({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const { id } = request.params
      await withTransaction(request.identity, async (tx) => {
        await requireVersion(request, () => lockSchedule(tx, id))
        orNotFound(await removeSchedule(tx, id))
      })
      return reply.code(204).send(null)
    },
  )
}
