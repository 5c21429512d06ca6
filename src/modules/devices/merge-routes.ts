import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { notFound, orNotFound, problem } from '../../http/problem.ts'
import { IdParams, responses } from '../../http/schemas.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import { gatherDevices } from '../policy/build-facts.ts'
import { findPolicyRows } from '../policy/repository.ts'
import { notifyPolicyChanged } from '../routers/notify-policy-changed.ts'
import { lockRouter, lockRouterOf } from '../routers/repository.ts'
import {
  findMergeRouter,
  listDeviceIds,
  listMerges,
  listSuggestions,
  mergeDevice,
  splitDevice,
  undoMerge,
} from './merge-repository.ts'
import { findDevice } from './repository.ts'
import { Device, itemsOf, Merge, MergedDevice, MergeRecord, OfRouter, Split, Suggestion } from './schema.ts'
import { readMac } from './values.ts'

export type MergeRoutesOptions = { withTransaction: WithTransaction; onlineMinutes: number }

export const mergeRoutes: FastifyPluginAsyncTypebox<MergeRoutesOptions> = async (
  app,
  { withTransaction, onlineMinutes },
) => {
  const documented = { tags: ['devices'], security: [{ person: [] }] }
  const findOr404 = async (tx: Tx, id: string) => {
    return orNotFound(await findDevice(tx, id, onlineMinutes))
  }

  app.post(
    '/:id/merge',
    {
      schema: {
        ...documented,
        operationId: 'mergeDevices',
        summary: 'Merge devices',
        description:
          'Makes several devices one. MACs, addresses, list entries, blocks and schedules follow. So does what the owner said of them, such as a name, where nothing is said of the device that goes on. `undoMerge` undoes each merge.',
        params: IdParams,
        body: Merge,
        response: responses({ 200: MergedDevice }, 'on-other-list'),
      },
    },
    (request) => {
      const id = request.params.id.toLowerCase()
      const from = request.body.from.map((each) => each.toLowerCase())
      if (from.includes(id))
        throw problem('invalid-request', {
          errors: [{ path: '/body/from', code: 'contradiction', message: 'names the device itself' }],
        })
      return withTransaction(request.identity, async (tx) => {
        const routerId = orNotFound(await lockRouterOf(tx, { deviceId: id }))
        const found = await listDeviceIds(tx, routerId, from)
        if (found.size < from.length) throw notFound('/body/from')
        const mergeIds: string[] = []
        for (const part of from) mergeIds.push(await mergeDevice(tx, routerId, id, part))
        await refuseBothLists(tx, routerId, id)
        await notifyPolicyChanged(tx, routerId)
        return { ...(await findOr404(tx, id)), mergeIds }
      })
    },
  )

  app.post(
    '/:id/split',
    {
      config: { hasLocation: true },
      schema: {
        ...documented,
        operationId: 'splitDevice',
        summary: 'Split MAC addresses off into a device of their own',
        description: 'Makes a new device of some MAC addresses of a device.',
        params: IdParams,
        body: Split,
        response: responses({ 201: Device }, 'conflict'),
      },
    },
    async (request, reply) => {
      const { id } = request.params
      const macs = request.body.macs.map((text, index) => readMac(text, `/body/macs/${index}`))
      const device = await withTransaction(request.identity, async (tx) => {
        const routerId = orNotFound(await lockRouterOf(tx, { deviceId: id }))
        const made = await splitDevice(tx, routerId, id, [...new Set(macs)])
        if (!made)
          throw problem('conflict', { detail: 'The device must have these MACs, and keep at least one' })
        await notifyPolicyChanged(tx, routerId)
        return findOr404(tx, made)
      })
      return reply.code(201).header('location', `/api/devices/${device.id}`).send(device)
    },
  )

  app.get(
    '/suggestions',
    {
      schema: {
        ...documented,
        operationId: 'listMergeSuggestions',
        summary: 'List merge suggestions',
        description:
          'Lists pairs of devices that may be one: they have the same host name, and one vanished as the other appeared. The server never merges by itself.',
        querystring: OfRouter,
        response: responses({ 200: itemsOf(Suggestion) }),
      },
    },
    (request) =>
      withTransaction(
        request.identity,
        async (tx) => counted(await listSuggestions(tx, request.query.routerId)),
        { readOnly: true },
      ),
  )

  app.get(
    '/merges',
    {
      schema: {
        ...documented,
        operationId: 'listMerges',
        summary: 'List merges of a router',
        description: 'Lists the merges of a router, those that were undone too.',
        querystring: OfRouter,
        response: responses({ 200: itemsOf(MergeRecord) }),
      },
    },
    (request) =>
      withTransaction(request.identity, async (tx) => counted(await listMerges(tx, request.query.routerId)), {
        readOnly: true,
      }),
  )

  app.post(
    '/merges/:id/undo',
    {
      schema: {
        ...documented,
        operationId: 'undoMerge',
        summary: 'Undo a merge',
        description: 'Makes two devices of a merged one again.',
        params: IdParams,
        response: responses({ 200: Device }, 'conflict'),
      },
    },
    (request) =>
      withTransaction(request.identity, async (tx) => {
        const routerId = orNotFound(await findMergeRouter(tx, request.params.id))
        orNotFound(await lockRouter(tx, routerId))
        const part = await undoMerge(tx, request.params.id)
        if (!part) throw problem('conflict', { detail: 'The merge was already undone' })
        await notifyPolicyChanged(tx, routerId)
        return findOr404(tx, part)
      }),
  )
}

const counted = <T>(items: T[]) => ({ items, total: items.length })

/**
 * Two devices on opposite lists cannot be merged, because the result would be on both. @throws Problem, which
 * rolls the merge back
 */
async function refuseBothLists(tx: Tx, routerId: string, id: string): Promise<void> {
  const rows = (await findPolicyRows(tx, [routerId])).get(routerId)
  const merged = rows && gatherDevices(rows, rows.router.now).find((device) => device.id === id)
  const [entryId] = merged?.blacklistEntries ?? []
  if (entryId && merged?.whitelistEntries.length)
    throw problem('on-other-list', { entryId, detail: 'The devices are on opposite lists' })
}
