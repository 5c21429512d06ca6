import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { orNotFound, problem } from '../../http/problem.ts'
import { IdParams, responses } from '../../http/schemas.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { findRouterOf } from '../devices/repository.ts'
import { computePolicy } from '../policy/compute-policy.ts'
import { toRouterValues } from '../routers/values.ts'
import { previewChange } from './preview.ts'
import { Entry, Policy, PolicyQuery, PreviewAnswer, PreviewRequest } from './schema.ts'

export type PolicyRoutesOptions = { withTransaction: WithTransaction }

/** The policy can be computed for a moment at most this far ahead. */
const MAX_AHEAD_MS = 366 * 86_400_000
/** Tolerance for a client whose clock is slow and who therefore asks about the past. */
const MAX_BEHIND_MS = 5 * 60_000

/** Tells the owner what is enforced, and why. */
export const policyRoutes: FastifyPluginAsyncTypebox<PolicyRoutesOptions> = async (
  app,
  { withTransaction },
) => {
  const documented = { tags: ['policy'], security: [{ person: [] }] }

  app.get(
    '/routers/:id/policy',
    {
      schema: {
        ...documented,
        operationId: 'getRouterPolicy',
        summary: 'Get the policy of a router, with reasons',
        description:
          'Returns the decision for every device. With `at` it is the decision at another moment: would the tablet have internet on Friday at half past nine?',
        params: IdParams,
        querystring: PolicyQuery,
        response: responses({ 200: Policy }),
      },
    },
    async (request) => {
      const moment = momentOf(request.query.at)
      return orNotFound(
        await withTransaction(request.identity, (tx) => computePolicy(tx, request.params.id, moment), {
          readOnly: true,
        }),
      )
    },
  )

  app.post(
    '/routers/:id/policy/preview',
    {
      schema: {
        ...documented,
        operationId: 'previewPolicy',
        summary: 'Preview the effect of a change',
        description: 'Tries a change and says which decisions it would alter. It stores nothing.',
        params: IdParams,
        body: PreviewRequest,
        response: responses({ 200: PreviewAnswer }),
      },
    },
    (request) => {
      const { router, ...change } = request.body.change
      return previewChange(withTransaction, request.identity, request.params.id, {
        ...change,
        ...(router && { router: toRouterValues(router) }),
      })
    },
  )

  app.get(
    '/devices/:id/policy',
    {
      schema: {
        ...documented,
        operationId: 'getDevicePolicy',
        summary: 'Get the decision for a device, with reasons',
        description: 'Returns the decision for one device, and the rules that led to it.',
        params: IdParams,
        querystring: PolicyQuery,
        response: responses({ 200: Entry }),
      },
    },
    async (request) => {
      const moment = momentOf(request.query.at)
      const { id } = request.params
      return withTransaction(
        request.identity,
        async (tx) => {
          const policy = await computePolicy(tx, orNotFound(await findRouterOf(tx, id)), moment)
          return orNotFound(policy?.devices.find(({ deviceId }) => deviceId === id))
        },
        { readOnly: true },
      )
    },
  )
}

function momentOf(at: string | undefined): Date | undefined {
  if (at === undefined) return undefined
  const moment = new Date(at)
  const ahead = moment.getTime() - Date.now()
  if (ahead > MAX_AHEAD_MS || ahead < -MAX_BEHIND_MS) {
    throw problem('invalid-request', {
      errors: [
        {
          path: '/querystring/at',
          code: 'not-permitted',
          message: 'must be between now and a year from now',
        },
      ],
    })
  }
  return moment
}
