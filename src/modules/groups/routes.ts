import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { fieldsOf, requireVersion } from '../../http/etag.ts'
import { notFound, orNotFound, problem } from '../../http/problem.ts'
import { IdParams, pageOf, responses } from '../../http/schemas.ts'
import { parseRate } from '../../network/rate.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import {
  addGroup,
  changeGroup,
  findGroup,
  type GroupValues,
  listGroups,
  lockGroup,
  moveDevices,
  removeGroup,
} from './repository.ts'
import { AddGroup, ChangeGroup, Group, type GroupFields, ListGroups, MoveDevices, Moved } from './schema.ts'

export type GroupRoutesOptions = { withTransaction: WithTransaction }

export const groupRoutes: FastifyPluginAsyncTypebox<GroupRoutesOptions> = async (
  app,
  { withTransaction },
) => {
  const config = { versionOf: fieldsOf(...Object.keys(ChangeGroup.properties)) }
  const hold = async (tx: Tx, id: string) => ((await lockGroup(tx, id)) ? findGroup(tx, id) : undefined)
  const documented = { tags: ['groups'], security: [{ person: [] }] }

  app.get(
    '',
    {
      schema: {
        ...documented,
        operationId: 'listGroups',
        summary: 'List groups of devices',
        description: 'Lists the groups of all routers, or of one.',
        querystring: ListGroups,
        response: responses({ 200: pageOf(Group) }),
      },
    },
    (request) => withTransaction(request.identity, (tx) => listGroups(tx, request.query), { readOnly: true }),
  )

  app.post(
    '',
    {
      config,
      schema: {
        ...documented,
        operationId: 'addGroup',
        summary: 'Create a group',
        description: 'Creates a group of devices on a router. It has no devices yet (`moveGroupDevices`).',
        body: AddGroup,
        response: responses({ 201: Group }, 'not-found', 'conflict'),
      },
    },
    async (request, reply) => {
      const { routerId, name } = request.body
      const values = { ...toGroupValues(request.body), routerId, name }
      const group = await withTransaction(request.identity, async (tx) => {
        const added = orNotFound(await addGroup(tx, values))
        tx.audit({ targetId: added.id })
        return added
      })
      return reply.code(201).send(group)
    },
  )

  app.get(
    '/:id',
    {
      config,
      schema: {
        ...documented,
        operationId: 'getGroup',
        summary: 'Get a group',
        description: 'Returns one group.',
        params: IdParams,
        response: responses({ 200: Group }),
      },
    },
    async (request) => {
      return orNotFound(
        await withTransaction(request.identity, (tx) => findGroup(tx, request.params.id), { readOnly: true }),
      )
    },
  )

  app.patch(
    '/:id',
    {
      config,
      schema: {
        ...documented,
        operationId: 'changeGroup',
        summary: 'Change a group',
        description: 'Changes the fields that the body names.',
        params: IdParams,
        body: ChangeGroup,
        response: responses({ 200: Group }, 'conflict'),
      },
    },
    async (request) => {
      const values = toGroupValues(request.body)
      const { id } = request.params
      return withTransaction(request.identity, async (tx) => {
        await requireVersion(request, () => hold(tx, id))
        return orNotFound(await changeGroup(tx, id, values))
      })
    },
  )

  app.delete(
    '/:id',
    {
      config,
      schema: {
        ...documented,
        operationId: 'removeGroup',
        summary: 'Remove a group',
        description: 'Removes a group with its schedules and pauses. Its devices are in no group then.',
        params: IdParams,
        response: responses({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const { id } = request.params
      await withTransaction(request.identity, async (tx) => {
        await requireVersion(request, () => hold(tx, id))
        orNotFound(await removeGroup(tx, id))
      })
      return reply.code(204).send(null)
    },
  )

  app.post(
    '/:id/devices',
    {
      schema: {
        ...documented,
        operationId: 'moveGroupDevices',
        summary: 'Move devices into a group and out of it',
        description:
          'Moves all named devices or none. A device that is not on the router of the group is 404. A device is in one group at most.',
        params: IdParams,
        body: MoveDevices,
        response: responses({ 200: Moved }),
      },
    },
    async (request) => {
      const { add = [], remove = [] } = request.body
      const added = new Set(add.map((id) => id.toLowerCase()))
      if (remove.some((id) => added.has(id.toLowerCase())))
        throw problem('invalid-request', {
          errors: [
            {
              path: '/body/remove',
              code: 'contradiction',
              message: 'names a device that is also to be added',
            },
          ],
        })
      return withTransaction(request.identity, async (tx) => {
        const outcome = await moveDevices(tx, request.params.id, { add, remove })
        if (!outcome) throw notFound('/params/id')
        if ('stranger' in outcome) throw notFound(added.has(outcome.stranger) ? '/body/add' : '/body/remove')
        tx.audit({ detail: { ...outcome }, changedNothing: outcome.added + outcome.removed === 0 })
        return outcome
      })
    },
  )
}

/** Checks what JSON Schema cannot: rates have the same bounds in every unit. */
function toGroupValues({ name, rate }: GroupFields): GroupValues {
  const kbit = rate === undefined || rate === null ? rate : parseRate(rate)
  if (rate && kbit === undefined)
    throw problem('invalid-request', {
      errors: [{ path: '/body/rate', code: 'wrong-format', message: 'is not a rate' }],
    })
  return { ...(name !== undefined && { name }), ...(kbit !== undefined && { rate: kbit }) }
}
