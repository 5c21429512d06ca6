import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { fieldsOf, requireVersion } from '../../http/etag.ts'
import { notFound, orNotFound, problem } from '../../http/problem.ts'
import { IdParams, pageOf, responses } from '../../http/schemas.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { notifyPolicyChanged } from '../routers/notify-policy-changed.ts'
import {
  changeDevice,
  clearDevices,
  EDITED_FIELDS,
  findDevice,
  listDevices,
  listDevicesByMac,
  lockDevice,
  removeDevice,
} from './repository.ts'
import { ChangeDevice, ClearQuery, Device, ListDevices, MacParams, MacQuery, Removed } from './schema.ts'
import { readMac, toDeviceValues } from './values.ts'

export type DeviceRoutesOptions = { withTransaction: WithTransaction; onlineMinutes: number }

export const deviceRoutes: FastifyPluginAsyncTypebox<DeviceRoutesOptions> = async (
  app,
  { withTransaction, onlineMinutes },
) => {
  const config = { versionOf: fieldsOf(...EDITED_FIELDS) }
  const documented = { tags: ['devices'], security: [{ person: [] }] }

  app.get(
    '',
    {
      schema: {
        ...documented,
        operationId: 'listDevices',
        summary: 'List devices',
        description: 'Lists the devices of all routers, or those that the filters name.',
        querystring: ListDevices,
        response: responses({ 200: pageOf(Device) }),
      },
    },
    (request) =>
      withTransaction(request.identity, (tx) => listDevices(tx, request.query, onlineMinutes), {
        readOnly: true,
      }),
  )

  app.get(
    '/:id',
    {
      config,
      schema: {
        ...documented,
        operationId: 'getDevice',
        summary: 'Get a device',
        description: 'Returns one device.',
        params: IdParams,
        response: responses({ 200: Device }),
      },
    },
    async (request) => {
      return orNotFound(
        await withTransaction(request.identity, (tx) => findDevice(tx, request.params.id, onlineMinutes), {
          readOnly: true,
        }),
      )
    },
  )

  app.get(
    '/by-mac/:mac',
    {
      config,
      schema: {
        ...documented,
        operationId: 'getDeviceByMac',
        summary: 'Get a device by MAC',
        description:
          'Returns the device with a MAC. When two of your routers have that MAC, the answer without `routerId` is 409 `ambiguous`.',
        params: MacParams,
        querystring: MacQuery,
        response: responses({ 200: Device }, 'ambiguous', 'not-found'),
      },
    },
    async (request) => {
      const mac = readMac(request.params.mac, '/params/mac')
      const { routerId } = request.query
      const found = await withTransaction(
        request.identity,
        (tx) => listDevicesByMac(tx, mac, routerId, onlineMinutes),
        { readOnly: true },
      )
      if (found.length > 1)
        throw problem('ambiguous', { detail: 'The MAC is known on more than one router: name the router' })
      const [device] = found
      if (!device) throw notFound('/params/mac')
      return device
    },
  )

  app.patch(
    '/:id',
    {
      config,
      schema: {
        ...documented,
        operationId: 'changeDevice',
        summary: 'Change a device',
        description: 'Changes the fields that the body names.',
        params: IdParams,
        body: ChangeDevice,
        response: responses({ 200: Device }),
      },
    },
    async (request) => {
      const { id } = request.params
      const values = toDeviceValues(request.body)
      return withTransaction(request.identity, async (tx) => {
        await requireVersion(request, () => lockDevice(tx, id, onlineMinutes))
        const routerId = await changeDevice(tx, id, values)
        if (!routerId) throw notFound('/params/id')
        await notifyPolicyChanged(tx, routerId)
        return orNotFound(await findDevice(tx, id, onlineMinutes))
      })
    },
  )

  app.delete(
    '/:id',
    {
      config,
      schema: {
        ...documented,
        operationId: 'removeDevice',
        summary: 'Delete a device',
        description: 'Deletes a device. The next scan that sees it finds it as a new one.',
        params: IdParams,
        response: responses({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      await withTransaction(request.identity, async (tx) => {
        await requireVersion(request, () => lockDevice(tx, request.params.id, onlineMinutes))
        await notifyPolicyChanged(tx, orNotFound(await removeDevice(tx, request.params.id)))
      })
      return reply.code(204).send(null)
    },
  )

  app.delete(
    '',
    {
      schema: {
        ...documented,
        operationId: 'clearDevices',
        summary: 'Delete all devices of a router',
        description:
          'Deletes every device of a router. The next scan finds those that are still there, as new ones.',
        querystring: ClearQuery,
        response: responses({ 200: Removed }, 'not-found'),
      },
    },
    async (request) => {
      const { routerId } = request.query
      return withTransaction(request.identity, async (tx) => {
        const removed = orNotFound(await clearDevices(tx, routerId))
        tx.audit({ targetId: routerId, detail: { removed }, changedNothing: removed === 0 })
        await notifyPolicyChanged(tx, routerId)
        return { removed }
      })
    },
  )
}
