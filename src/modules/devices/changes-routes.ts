import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { orNotFound, PROBLEMS, Problem, type ProblemCode } from '../../http/problem.ts'
import { IdParams, responses } from '../../http/schemas.ts'
import { createValidatorCompiler } from '../../http/validation.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { readCursor } from '../paging/cursor.ts'
import { changeDevices, type DeviceChange } from './changes-repository.ts'
import { listHistory, POSITION, type SightingPosition } from './history-repository.ts'
import { ChangeDevices, DeviceHistory, DeviceOutcomes, HistoryQuery, MAX_CHANGES } from './schema.ts'
import { toDeviceValues } from './values.ts'

/** In bytes: enough for the maximum number of changes in a call. */
const BODY_LIMIT = 524_288

export const deviceChangeRoutes: FastifyPluginAsyncTypebox<{ withTransaction: WithTransaction }> = async (
  app,
  { withTransaction },
) => {
  const documented = { tags: ['devices'], security: [{ person: [] }] }

  await app.register(async (bulk: typeof app) => {
    // One fault is enough for a body of up to half a megabyte.
    bulk.setValidatorCompiler(createValidatorCompiler({ allErrors: false }))
    bulk.patch(
      '',
      {
        bodyLimit: BODY_LIMIT,
        schema: {
          ...documented,
          operationId: 'changeDevices',
          summary: 'Change many devices',
          description: `Changes up to ${MAX_CHANGES} devices in their order. Each change has its own result, and one that fails leaves the others alone. Only a body of the wrong form is refused as a whole.`,
          body: ChangeDevices,
          response: responses({ 200: DeviceOutcomes }),
        },
      },
      async (request) => {
        const changes = request.body.changes.map(readChange)
        const readable = changes.flatMap((change) => change ?? [])
        const changed = await withTransaction(request.identity, async (tx) => {
          const outcomes = await changeDevices(tx, readable)
          const count = outcomes.filter((isChanged) => isChanged).length
          tx.audit({
            detail: { changed: count, failed: changes.length - count },
            changedNothing: count === 0,
          })
          return outcomes
        })
        const isChanged = new Map(readable.map((change, index) => [change, changed[index]]))
        const results = changes.map((change, index) => {
          if (!change) return { index, ...failure('invalid-request') }
          return isChanged.get(change)
            ? { index, status: 200, id: change.id }
            : { index, ...failure('not-found') }
        })
        return { results }
      },
    )
  })

  app.get(
    '/:id/history',
    {
      schema: {
        ...documented,
        operationId: 'listDeviceHistory',
        summary: 'List the history of a device',
        description:
          'Lists when scans first saw the device and its MACs, its merges, and its own blocks and pauses. Earlier names and addresses are not kept. The audit log has what people changed.',
        params: IdParams,
        querystring: HistoryQuery,
        response: responses({ 200: DeviceHistory }),
      },
    },
    async (request) => {
      const { cursor, limit = 50 } = request.query
      const after = readCursor<SightingPosition>(cursor, POSITION)
      return orNotFound(
        await withTransaction(request.identity, (tx) => listHistory(tx, request.params.id, limit, after), {
          readOnly: true,
        }),
      )
    },
  )
}

/** @returns undefined for a change that could not be stored for any device */
function readChange({ id, ...fields }: ChangeDevices['changes'][number]): DeviceChange | undefined {
  try {
    return { id: id.toLowerCase(), values: toDeviceValues(fields) }
  } catch (error) {
    if (error instanceof Problem) return undefined
    throw error
  }
}

const failure = (code: ProblemCode) => ({ status: PROBLEMS[code].status, code })
