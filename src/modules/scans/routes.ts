import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { textOf } from '../../http/bodies.ts'
import { problem } from '../../http/problem.ts'
import { responses, StrictObject } from '../../http/schemas.ts'
import { createValidatorCompiler } from '../../http/validation.ts'
import type { WithAgentTransaction } from '../../rls/agent-transaction.ts'
import type { Tx } from '../../rls/transaction.ts'
import { computePolicy } from '../policy/compute-policy.ts'
import { notifyPolicyChanged } from '../routers/notify-policy-changed.ts'
import { readScan } from './read-scan.ts'
import { addScan, answerScan, findAgentRouter, recordSightings, touchRouter } from './repository.ts'
import {
  Heartbeat,
  HeartbeatAnswer,
  RawScan,
  RawScanQuery,
  Scan,
  ScanAnswer,
  VerifyAnswer,
} from './schema.ts'

export type ScanRoutesOptions = {
  withAgentTransaction: WithAgentTransaction
  /** Bytes. */
  bodyLimit: number
  maxDevices: number
}

/** A clock further ahead than this is wrong. The time of the scan is then that of its arrival. */
const MAX_AHEAD_MS = 5 * 60_000

export const scanRoutes: FastifyPluginAsyncTypebox<ScanRoutesOptions> = async (
  app,
  { withAgentTransaction, bodyLimit, maxDevices },
) => {
  const documented = { tags: ['agent'], security: [{ agent: ['scans:write'] }] }

  app.get(
    '/verify',
    {
      schema: {
        ...documented,
        // Any agent key may call this, regardless of its scopes.
        security: [{ agent: [] }],
        operationId: 'verifyKey',
        summary: 'Verify an API key',
        description: 'Returns the router and the scopes of the key, so that an agent can check its set-up.',
        querystring: StrictObject({}),
        response: responses({ 200: VerifyAnswer }),
      },
    },
    (request) =>
      withAgentTransaction(
        request.identity,
        null,
        async (tx, { routerId, scopes }) => {
          const router = await findAgentRouter(tx, routerId)
          if (!router) throw problem('unauthenticated')
          return { routerId, routerName: router.name, scopes, serverTime: router.now }
        },
        { readOnly: true },
      ),
  )

  app.post(
    '/heartbeat',
    {
      schema: {
        ...documented,
        operationId: 'heartbeat',
        summary: 'Send a heartbeat',
        description: 'Tells the server that the agent runs, and returns the revision of the current policy.',
        querystring: StrictObject({}),
        body: Heartbeat,
        response: responses({ 200: HeartbeatAnswer }, 'router-inactive'),
      },
    },
    (request) =>
      withAgentTransaction(request.identity, 'scans:write', async (tx, { routerId }) => {
        const router = await touchRouter(tx, routerId)
        if (!router) throw problem('unauthenticated')
        return { serverTime: router.now, policyRevision: await revisionOf(tx, routerId) }
      }),
  )

  await app.register(async (scans) => {
    // One fault is enough for a body of up to a megabyte.
    scans.setValidatorCompiler(createValidatorCompiler({ allErrors: false }))
    scans.addContentTypeParser(
      'text/plain',
      { parseAs: 'buffer', bodyLimit },
      async (request: FastifyRequest, body: Buffer) => textOf(request, body),
    )

    const scanRoute = {
      ...documented,
      operationId: 'postScan',
      summary: 'Post a scan of the network',
      description:
        'Reports what is on the network, in one of three forms. `devices` is a list of devices. `sources` is what programs of the router printed. A `text/plain` body is one such text, with `format` in the query. Posting the same scan again has no effect and gets the same answer. After 4xx, drop the scan; after 5xx and 429, keep it and try again. After 403 `router-inactive`, send the next one in an hour.',
      querystring: RawScanQuery,
      response: responses({ 200: ScanAnswer }, 'scan-conflict', 'router-inactive'),
      consumes: ['application/json', 'text/plain'],
    }
    scans.post(
      '/scans',
      {
        bodyLimit,
        schema: {
          ...scanRoute,
          body: { content: { 'application/json': { schema: Scan }, 'text/plain': { schema: RawScan } } },
        },
      },
      (request) => {
        // Fastify types the query of a route only if its body has a single schema.
        const scan = readScan(request.body, request.query as Static<typeof RawScanQuery>, maxDevices)
        return withAgentTransaction(request.identity, 'scans:write', async (tx, { routerId }) => {
          const router = await touchRouter(tx, routerId)
          if (!router) throw problem('unauthenticated')
          const takenAt =
            scan.takenAt && scan.takenAt.getTime() <= router.now.getTime() + MAX_AHEAD_MS
              ? scan.takenAt
              : router.now
          const { scanId, bodySha256 } = scan
          // A scan without an id cannot be sent again, so it is not stored in the ledger.
          const recorded =
            scanId === undefined ? undefined : await addScan(tx, { routerId, scanId, bodySha256, takenAt })
          if (recorded) {
            if (!recorded.bodySha256.equals(bodySha256)) throw problem('scan-conflict')
            return recorded.answer
          }
          const { sightings, errors } = scan.seenBy(router)
          const counts = await recordSightings(tx, router, sightings, takenAt)
          if (counts.created + counts.updated > 0) await notifyPolicyChanged(tx, routerId)
          const answer = {
            ...counts,
            skipped: errors.length,
            errors,
            policyRevision: await revisionOf(tx, routerId),
          }
          if (scanId !== undefined) await answerScan(tx, routerId, scanId, answer)
          return answer
        })
      },
    )
  })
}

/** Part of each answer, so that an agent knows without a further request whether to fetch the policy. */
const revisionOf = async (tx: Tx, routerId: string) => (await computePolicy(tx, routerId))?.revision ?? ''
