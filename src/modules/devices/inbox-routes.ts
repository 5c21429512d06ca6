/** New devices that wait for a decision, on routers with `newDevices: "hold"`. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { orNotFound, problem } from '../../http/problem.ts'
import { IdParams, pageOf, responses } from '../../http/schemas.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { notifyPolicyChanged } from '../routers/notify-policy-changed.ts'
import { findRouter } from '../routers/repository.ts'
import { changeDevice, findDevice, listDevices } from './repository.ts'
import { Device, ListInbox } from './schema.ts'

export type InboxRoutesOptions = { withTransaction: WithTransaction; onlineMinutes: number }

export const inboxRoutes: FastifyPluginAsyncTypebox<InboxRoutesOptions> = async (
  app,
  { withTransaction, onlineMinutes },
) => {
  const documented = { tags: ['devices'], security: [{ person: [] }] }

  app.get(
    '/routers/:id/inbox',
    {
      schema: {
        ...documented,
        operationId: 'listInbox',
        summary: 'List new devices that await approval',
        description: 'Lists the new devices that nobody has approved or dismissed yet.',
        params: IdParams,
        querystring: ListInbox,
        response: responses({ 200: pageOf(Device) }),
      },
    },
    (request) =>
      withTransaction(
        request.identity,
        async (tx) => {
          const { id } = request.params
          if (!(await findRouter(tx, id, onlineMinutes))) throw problem('not-found')
          return listDevices(
            tx,
            { sort: '-firstSeen', ...request.query, routerId: id, approval: 'held' },
            onlineMinutes,
          )
        },
        { readOnly: true },
      ),
  )

  for (const [verb, approval, summary, description] of [
    [
      'approve',
      'approved',
      'Approve a new device',
      'Approves a new device. From then on the lists and the mode of the router decide about it.',
    ],
    [
      'dismiss',
      'dismissed',
      'Dismiss a new device',
      'Takes a new device out of the inbox without approving it.',
    ],
  ] as const) {
    app.post(
      `/devices/:id/${verb}`,
      {
        schema: {
          ...documented,
          operationId: `${verb}Device`,
          summary,
          description,
          params: IdParams,
          response: responses({ 200: Device }),
        },
      },
      (request) =>
        withTransaction(request.identity, async (tx) => {
          const { id } = request.params
          const routerId = await changeDevice(tx, id, { approval })
          if (routerId) await notifyPolicyChanged(tx, routerId)
          return orNotFound(await findDevice(tx, id, onlineMinutes))
        }),
    )
  }
}
