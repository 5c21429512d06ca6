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
import { FORMATS } from './parsers/formats.ts'
import { combine, digestOf, readSources, type Source, sourcesOf } from './read-scan.ts'
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

/** A clock that is further ahead than this is wrong: the scan counts as taken when it arrived. */
const MAX_AHEAD_MS = 5 * 60_000

export const scanRoutes: FastifyPluginAsyncTypebox<ScanRoutesOptions> = async (
  app,
  { withAgentTransaction, bodyLimit, maxDevices },
) => {
  const documented = { tags: ['agent'], security: [{ agent: [] }] }

  app.get(
    '/verify',
    {
      schema: {
        ...documented,
        operationId: 'verifyKey',
        summary: 'Verify an API key',
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
    // A megabyte of faults is told by its first.
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
      description: `Three forms: devices; sources, each what a router printed; or one such source raw as \`text/plain\`, with \`?format=\`.
Posting the same scan again has no effect and gets the same answer. 4xx: drop the scan. 5xx and 429: keep it and try again. 403 \`router-inactive\`: send the next one in an hour.`,
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
        const scan = scanOf(request.body, request.query as RawQuery)
        const { parsed, entries } = readSources(scan.sources)
        if (entries > maxDevices)
          throw problem('too-large', { detail: `A scan has at most ${maxDevices} devices` })
        const bodySha256 = digestOf(request.body)
        return withAgentTransaction(request.identity, 'scans:write', async (tx, { routerId }) => {
          const router = await touchRouter(tx, routerId)
          if (!router) throw problem('unauthenticated')
          const takenAt =
            scan.takenAt && scan.takenAt.getTime() <= router.now.getTime() + MAX_AHEAD_MS
              ? scan.takenAt
              : router.now
          const { scanId } = scan
          // Without an id nobody can post it again: there is nothing to remember it for.
          const recorded =
            scanId === undefined ? undefined : await addScan(tx, { routerId, scanId, bodySha256, takenAt })
          if (recorded) {
            if (!recorded.bodySha256.equals(bodySha256)) throw problem('scan-conflict')
            return recorded.answer
          }
          const { sightings, errors } = combine(parsed, router.ip)
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

/** Told with each answer, so that an agent knows without asking whether it must fetch. */
const revisionOf = async (tx: Tx, routerId: string) => (await computePolicy(tx, routerId))?.revision ?? ''

/** Fastify types the query of a route only where its body has one schema. */
type RawQuery = Static<typeof RawScanQuery>
type RequestedScan = { scanId: string | undefined; takenAt: Date | undefined; sources: Source[] }

/**
 * The three forms as one. What a router printed need not bring an id or a time: it was then taken when it
 * arrives, and posting it again is another scan.
 */
function scanOf(body: unknown, { format, scanId, takenAt }: RawQuery): RequestedScan {
  if (typeof body === 'string') {
    if (!format)
      throw problem('invalid-request', {
        errors: [
          { path: '/querystring/format', code: 'missing', message: 'is needed with a text/plain body' },
        ],
      })
    return {
      scanId,
      takenAt: takenAt === undefined ? undefined : new Date(takenAt),
      sources: [{ format, content: body }],
    }
  }
  // Without a content type there is no schema to hold the body against, and so no body.
  if (typeof body !== 'object' || body === null)
    throw problem('invalid-request', { detail: 'A scan needs a body' })
  if (format)
    throw problem('invalid-request', {
      errors: [
        { path: '/querystring/format', code: 'contradiction', message: 'goes with a text/plain body' },
      ],
    })
  const scan = body as Scan
  const faults = (scan.sources ?? []).flatMap(({ format: name, content }, index) =>
    typeof content === 'string' || (FORMATS[name].json && typeof content === 'object' && content !== null)
      ? []
      : {
          path: `/body/sources/${index}/content`,
          code: 'wrong-type' as const,
          message: FORMATS[name].json ? 'must be text or JSON' : 'must be text',
        },
  )
  if (faults.length > 0) throw problem('invalid-request', { errors: faults })
  return { scanId: scan.scanId, takenAt: new Date(scan.takenAt), sources: sourcesOf(scan) }
}
