import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { notFound, orNotFound, problem } from '../../http/problem.ts'
import { IdParams, responses } from '../../http/schemas.ts'
import { nextChange } from '../../network/windows.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { lockRouterOf } from '../routers/repository.ts'
import { clearOverrides, findOverride, findRecurrences, replaceOverride } from './override-repository.ts'
import { AddOverride, Override } from './schema.ts'

export type OverrideRoutesOptions = { withTransaction: WithTransaction }

/** A schedule repeats within a week; the eighth day is for a clock change. */
const NEXT_CHANGE_DAYS = 8

export const overrideRoutes: FastifyPluginAsyncTypebox<OverrideRoutesOptions> = async (
  app,
  { withTransaction },
) => {
  const documented = { tags: ['schedules'], security: [{ person: [] }] }

  app.post(
    '/:id/override',
    {
      config: { hasLocation: true },
      schema: {
        ...documented,
        operationId: 'overrideSchedules',
        summary: 'Override the schedules of a device for a while',
        description:
          'Allows or blocks a device for a while, whatever its schedules say. It replaces an earlier override.',
        params: IdParams,
        body: AddOverride,
        response: responses({ 201: Override }),
      },
    },
    async (request, reply) => {
      const { id: deviceId } = request.params
      const { decision, until = 'next-change' } = request.body
      const override = await withTransaction(request.identity, async (tx) => {
        const routerId = await lockRouterOf(tx, { deviceId })
        const schedules = await findRecurrences(tx, deviceId)
        if (!routerId || !schedules) throw problem('not-found')
        const { now, recurrences } = schedules
        const end = until === 'next-change' ? nextChange(recurrences, now, NEXT_CHANGE_DAYS) : new Date(until)
        if (!end)
          throw refused(
            `no schedule of the device or its group starts or ends within ${NEXT_CHANGE_DAYS} days: say a time`,
          )
        // Also false for times that JavaScript cannot represent, such as a leap second.
        if (!(end > now)) throw refused('is not a time in the future')
        return orNotFound(await replaceOverride(tx, { routerId, deviceId, decision, until: end }))
      })
      return reply.code(201).header('location', request.url).send(override)
    },
  )

  app.get(
    '/:id/override',
    {
      schema: {
        ...documented,
        operationId: 'getOverride',
        summary: 'Get the override of a device',
        description: 'Returns the override that is in force.',
        params: IdParams,
        response: responses({ 200: Override }),
      },
    },
    async (request) => {
      const override = await withTransaction(request.identity, (tx) => findOverride(tx, request.params.id), {
        readOnly: true,
      })
      if (!override) throw noOverride()
      return override
    },
  )

  app.delete(
    '/:id/override',
    {
      schema: {
        ...documented,
        operationId: 'endOverride',
        summary: 'End the override of a device',
        description: 'Ends the override. The schedules hold again.',
        params: IdParams,
        response: responses({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const { id: deviceId } = request.params
      await withTransaction(request.identity, async (tx) => {
        const routerId = await lockRouterOf(tx, { deviceId })
        if (!routerId || !(await findOverride(tx, deviceId))) throw noOverride()
        await clearOverrides(tx, { routerId, deviceId })
      })
      return reply.code(204).send(null)
    },
  )
}

const noOverride = () => notFound('/params/id', 'names no device of yours that has an override')
const refused = (message: string) =>
  problem('invalid-request', { errors: [{ path: '/body/until', code: 'not-permitted', message }] })
