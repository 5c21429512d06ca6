import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { problem } from '../../http/problem.ts'
import { answers, IdParams, pageOf } from '../../http/schemas.ts'
import type { WithSession } from '../../rls/session.ts'
import { parseMac } from './mac.ts'
import { changeDevice, clearDevices, findDevice, listDevices, listDevicesByMac, removeDevice } from './repository.ts'
import { ChangeDevice, ClearQuery, Device, ListDevices, MacParams, MacQuery, Removed } from './schema.ts'

export type DeviceRoutesOptions = { withSession: WithSession; onlineMinutes: number }

export const deviceRoutes: FastifyPluginAsyncTypebox<DeviceRoutesOptions> = async (app, { withSession, onlineMinutes }) => {
  const documented = { tags: ['devices'], security: [{ person: [] }] }

  app.get(
    '/',
    { schema: { ...documented, summary: 'List devices', querystring: ListDevices, response: answers({ 200: pageOf(Device) }) } },
    (request) => withSession(request.identity, (tx) => listDevices(tx, request.query, onlineMinutes), { readOnly: true }),
  )

  app.get(
    '/:id',
    { schema: { ...documented, summary: 'Get a device', params: IdParams, response: answers({ 200: Device }) } },
    async (request) => {
      const device = await withSession(request.identity, (tx) => findDevice(tx, request.params.id, onlineMinutes), { readOnly: true })
      if (!device) throw problem('not-found')
      return device
    },
  )

  app.get(
    '/by-mac/:mac',
    {
      schema: {
        ...documented,
        summary: 'Get a device by MAC',
        description: 'The same MAC on two of your routers needs `routerId` (409 `ambiguous` without).',
        params: MacParams,
        querystring: MacQuery,
        response: answers({ 200: Device }),
      },
    },
    async (request) => {
      const mac = parseMac(request.params.mac)
      if (!mac.ok) throw problem('invalid-request', { errors: [{ path: '/params/mac', message: 'is not the MAC address of a device' }] })
      const { routerId } = request.query
      const found = await withSession(request.identity, (tx) => listDevicesByMac(tx, mac.mac, routerId, onlineMinutes), { readOnly: true })
      if (found.length > 1) throw problem('ambiguous', { detail: 'The MAC is known on more than one router: name the router' })
      const [device] = found
      if (!device) throw problem('not-found')
      return device
    },
  )

  app.patch(
    '/:id',
    { schema: { ...documented, summary: 'Change a device', params: IdParams, body: ChangeDevice, response: answers({ 200: Device }) } },
    async (request) => {
      const { id } = request.params
      const device = await withSession(request.identity, async (tx) =>
        (await changeDevice(tx, id, request.body)) ? findDevice(tx, id, onlineMinutes) : undefined,
      )
      if (!device) throw problem('not-found')
      return device
    },
  )

  app.delete(
    '/:id',
    { schema: { ...documented, summary: 'Forget a device', params: IdParams, response: answers({ 204: Type.Null() }) } },
    async (request, reply) => {
      if (!(await withSession(request.identity, (tx) => removeDevice(tx, request.params.id)))) throw problem('not-found')
      return reply.code(204).send(null)
    },
  )

  app.delete(
    '/',
    { schema: { ...documented, summary: 'Forget every device of a router', querystring: ClearQuery, response: answers({ 200: Removed }) } },
    async (request) => {
      const removed = await withSession(request.identity, (tx) => clearDevices(tx, request.query.routerId))
      if (removed === undefined) throw problem('not-found')
      return { removed }
    },
  )
}
