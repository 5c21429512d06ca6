import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { fieldsOf, requireVersion } from '../../http/etag.ts'
import { orNotFound } from '../../http/problem.ts'
import { IdParams, pageOf, responses } from '../../http/schemas.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import { computePolicies, computePolicy } from '../policy/compute-policy.ts'
import { notifyPolicyChanged } from './notify-policy-changed.ts'
import { addRouter, changeRouter, findRouter, listRouters, lockRouter, removeRouter } from './repository.ts'
import { AddRouter, ChangeRouter, ListRouters, Router } from './schema.ts'
import { requireLimitRate, toRouterValues } from './values.ts'

export type RouterRoutesOptions = { withTransaction: WithTransaction; onlineMinutes: number }

export const routerRoutes: FastifyPluginAsyncTypebox<RouterRoutesOptions> = async (
  app,
  { withTransaction, onlineMinutes },
) => {
  const config = { versionOf: fieldsOf(...Object.keys(ChangeRouter.properties)) }
  const hold = async (tx: Tx, id: string) =>
    (await lockRouter(tx, id)) ? findRouter(tx, id, onlineMinutes) : undefined
  const documented = { tags: ['routers'], security: [{ person: [] }] }

  app.get(
    '',
    {
      schema: {
        ...documented,
        operationId: 'listRouters',
        summary: 'List routers',
        description: 'Lists the routers of the account.',
        querystring: ListRouters,
        response: responses({ 200: pageOf(Router) }),
      },
    },
    (request) =>
      withTransaction(
        request.identity,
        async (tx) => {
          const page = await listRouters(tx, request.query, onlineMinutes)
          return { ...page, items: await withRevisions(tx, page.items) }
        },
        { readOnly: true },
      ),
  )

  app.post(
    '',
    {
      config,
      schema: {
        ...documented,
        operationId: 'addRouter',
        summary: 'Register a router',
        description: 'Registers a router. Its agent needs a key of its own (`addRouterKey`).',
        body: AddRouter,
        response: responses({ 201: Router }),
      },
    },
    async (request, reply) => {
      const values = { ...toRouterValues(request.body), name: request.body.name }
      const router = await withTransaction(request.identity, async (tx) => {
        const added = requireLimitRate(await addRouter(tx, values, onlineMinutes))
        tx.audit({ targetId: added.id })
        return withRevision(tx, added)
      })
      return reply.code(201).send(router)
    },
  )

  app.get(
    '/:id',
    {
      config,
      schema: {
        ...documented,
        operationId: 'getRouter',
        summary: 'Get a router',
        description: 'Returns a router and the state of its agent.',
        params: IdParams,
        response: responses({ 200: Router }),
      },
    },
    async (request) => {
      return withTransaction(
        request.identity,
        async (tx) => withRevision(tx, orNotFound(await findRouter(tx, request.params.id, onlineMinutes))),
        { readOnly: true },
      )
    },
  )

  app.patch(
    '/:id',
    {
      config,
      schema: {
        ...documented,
        operationId: 'changeRouter',
        summary: 'Change a router',
        description: 'Changes the fields that the body names.',
        params: IdParams,
        body: ChangeRouter,
        response: responses({ 200: Router }),
      },
    },
    async (request) => {
      const values = toRouterValues(request.body)
      return withTransaction(request.identity, async (tx) => {
        await requireVersion(request, () => hold(tx, request.params.id))
        const changed = orNotFound(await changeRouter(tx, request.params.id, values, onlineMinutes))
        await notifyPolicyChanged(tx, changed.id)
        return withRevision(tx, requireLimitRate(changed))
      })
    },
  )

  app.delete(
    '/:id',
    {
      config,
      schema: {
        ...documented,
        operationId: 'removeRouter',
        summary: 'Remove a router and everything it has',
        description:
          'Removes the router with its keys, devices, lists, blocks, groups, schedules and settings.',
        params: IdParams,
        response: responses({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const { id } = request.params
      await withTransaction(request.identity, async (tx) => {
        await requireVersion(request, () => hold(tx, id))
        orNotFound(await removeRouter(tx, id))
      })
      return reply.code(204).send(null)
    },
  )
}

type Applied = { id: string; appliedRevision: string | null }

/** Adds the revisions that routers should enforce to those that their agents report. */
async function withRevisions<T extends Applied>(tx: Tx, routers: T[]) {
  const policies = await computePolicies(
    tx,
    routers.map(({ id }) => id),
  )
  return routers.map((router) => revised(router, policies.get(router.id)?.revision ?? ''))
}
const withRevision = async <T extends Applied>(tx: Tx, router: T) =>
  revised(router, (await computePolicy(tx, router.id))?.revision ?? '')
const revised = <T extends Applied>(router: T, desiredRevision: string) => ({
  ...router,
  desiredRevision,
  drift: router.appliedRevision !== desiredRevision,
})
