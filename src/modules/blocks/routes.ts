import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { type FieldError, orNotFound, problem } from '../../http/problem.ts'
import { IdParams, pageOf, responses } from '../../http/schemas.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import { lockRouterOf } from '../routers/repository.ts'
import {
  addBlock,
  type End,
  endBlock,
  endBlocks,
  extendPause,
  findBlock,
  findProtection,
  listBlocks,
  lockBlock,
} from './repository.ts'
import { AddBlock, Block, Ended, ExtendPause, ListBlocks, ResetBlocks } from './schema.ts'

export type BlockRoutesOptions = { withTransaction: WithTransaction }

export const blockRoutes: FastifyPluginAsyncTypebox<BlockRoutesOptions> = async (
  app,
  { withTransaction },
) => {
  const documented = { tags: ['blocks'], security: [{ person: [] }] }

  app.get(
    '',
    {
      schema: {
        ...documented,
        operationId: 'listBlocks',
        summary: 'List blocks, active and past',
        description: 'Lists the blocks and pauses of all routers, or those that the filters name.',
        querystring: ListBlocks,
        response: responses({ 200: pageOf(Block) }),
      },
    },
    (request) => withTransaction(request.identity, (tx) => listBlocks(tx, request.query), { readOnly: true }),
  )

  app.post(
    '',
    {
      schema: {
        ...documented,
        operationId: 'addBlock',
        summary: 'Block or pause a device, a group or a whole router',
        description:
          'Blocks a device, a group or a whole router. With `minutes` or `until` it is a pause, which ends by itself. A target has one active block of each type (409 `conflict`). A router and its infrastructure cannot be blocked (409 `protected`); a block of a group or a router spares them.',
        body: AddBlock,
        response: responses({ 201: Block }, 'not-found', 'conflict', 'protected', 'own-device'),
      },
    },
    async (request, reply) => {
      const { deviceId, groupId, reason, force = false } = request.body
      const end = readEnd(request.body)
      const type = readType(request.body)
      const block = await withTransaction(request.identity, async (tx) => {
        const routerId = await lockRouterOf(tx, request.body)
        if (!routerId) throw problem('not-found')
        if (deviceId) await refuseProtected(tx, deviceId, force)
        const added = await addBlock(tx, { routerId, deviceId, groupId, type, reason, end })
        if (!added) throw problem('conflict')
        tx.audit({ targetId: added.id })
        return orRefusePast(added)
      })
      return reply.code(201).send(block)
    },
  )

  app.get(
    '/:id',
    {
      schema: {
        ...documented,
        operationId: 'getBlock',
        summary: 'Get a block',
        description: 'Returns one block or pause.',
        params: IdParams,
        response: responses({ 200: Block }),
      },
    },
    async (request) => {
      return orNotFound(
        await withTransaction(request.identity, (tx) => findBlock(tx, request.params.id), { readOnly: true }),
      )
    },
  )

  app.patch(
    '/:id',
    {
      schema: {
        ...documented,
        operationId: 'changeBlock',
        summary: 'Extend or shorten a pause',
        description:
          'Moves the end of a pause. `minutes` count from now. Only a pause that is active has an end to move (409 `conflict`).',
        params: IdParams,
        body: ExtendPause,
        response: responses({ 200: Block }, 'conflict'),
      },
    },
    async (request) => {
      const { id } = request.params
      const end = readEnd(request.body)
      return withTransaction(request.identity, async (tx) => {
        orNotFound(await lockBlock(tx, id))
        const pause = await extendPause(tx, id, end)
        if (!pause) throw problem('conflict', { detail: 'Only a pause that is still active can be extended' })
        return orRefusePast(pause)
      })
    },
  )

  app.delete(
    '/:id',
    {
      schema: {
        ...documented,
        operationId: 'endBlock',
        summary: 'End a block',
        description:
          'Ends a block or a pause, which stays in the history. Ending one that has ended changes nothing, and is 204 too.',
        params: IdParams,
        response: responses({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const { id } = request.params
      await withTransaction(request.identity, async (tx) => {
        orNotFound(await lockBlock(tx, id))
        tx.audit({ changedNothing: !(await endBlock(tx, id)) })
      })
      return reply.code(204).send(null)
    },
  )

  app.post(
    '/reset',
    {
      schema: {
        ...documented,
        operationId: 'resetBlocks',
        summary: 'End every active block of a router',
        description: 'Ends every active block and pause of a router.',
        body: ResetBlocks,
        response: responses({ 200: Ended }, 'not-found'),
      },
    },
    async (request) => {
      const { routerId } = request.body
      return withTransaction(request.identity, async (tx) => {
        const ended = orNotFound(await endBlocks(tx, routerId))
        tx.audit({ targetId: routerId, detail: { ended }, changedNothing: ended === 0 })
        return { ended }
      })
    },
  )
}

async function refuseProtected(tx: Tx, deviceId: string, force: boolean): Promise<void> {
  const protection = await findProtection(tx, deviceId)
  if (!protection) throw problem('not-found')
  if (protection.isProtected) throw problem('protected')
  if (protection.isOwn && !force) throw problem('own-device')
}

/** Thrown inside the transaction, so that a block whose end is already past is not stored. */
function orRefusePast<T extends { isActive: boolean }>(block: T): T {
  if (!block.isActive) throw refusal({ path: '/body/until', code: 'in-the-past', message: 'is in the past' })
  return block
}

/** The schema's date-time accepts leap seconds, which `Date` cannot represent. */
function readEnd({ minutes, until }: ExtendPause): End {
  if (until === undefined) return { minutes }
  if (minutes !== undefined)
    throw refusal({ path: '/body/until', code: 'contradiction', message: 'cannot be combined with minutes' })
  const moment = new Date(until)
  if (Number.isNaN(moment.getTime()))
    throw refusal({ path: '/body/until', code: 'wrong-format', message: 'is not a time' })
  return { until: moment }
}

function readType({ type, minutes, until }: AddBlock): 'manual' | 'pause' {
  const meant = minutes === undefined && until === undefined ? 'manual' : 'pause'
  if (type === undefined || type === meant) return meant
  const message =
    type === 'pause' ? 'is a pause, which needs minutes or until' : 'is a manual block, which has no end'
  throw refusal({ path: '/body/type', code: 'contradiction', message })
}

const refusal = (fault: FieldError) => problem('invalid-request', { errors: [fault] })
