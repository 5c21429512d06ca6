/** Delivers the policy to agents as JSON, as an nft script or as plain lines, at once or when it changes. */
import { setTimeout } from 'node:timers/promises'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { createConcurrencyLimiter } from '../../http/limits/concurrency-limit.ts'
import { problem, toProblem } from '../../http/problem.ts'
import { pageOf, responses } from '../../http/schemas.ts'
import { routerInactive, type WithAgentTransaction } from '../../rls/agent-transaction.ts'
import { listEntries } from '../access-lists/repository.ts'
import { entrySchemas } from '../access-lists/schema.ts'
import { listDevices } from '../devices/repository.ts'
import { Device } from '../devices/schema.ts'
import { computePolicy } from '../policy/compute-policy.ts'
import type { PolicyDocument } from '../policy/document.ts'
import { toNftScript } from '../policy/nft.ts'
import { noteApplied } from '../policy/repository.ts'
import { toTextLines } from '../policy/text.ts'
import { findWakeDigest } from '../routers/notify-policy-changed.ts'
import type { PolicyChanges } from './policy-changes.ts'
import { AgentPolicy, Applied, KnownRevision, MAX_WAIT_SECONDS, PartQuery, WaitQuery } from './schema.ts'

export type PolicyAgentRoutesOptions = {
  withAgentTransaction: WithAgentTransaction
  policyChanges: PolicyChanges
  closing: AbortSignal
  onlineMinutes: number
  /**
   * How many waiting requests may read the policy at once. When all wake together, the remaining connections
   * stay free for other requests.
   */
  looksAtOnce: number
}

/**
 * How long a waiting request sleeps when no connection was available, milliseconds. The value is random
 * between the two, so that retries do not coincide.
 */
const REST_MS = { least: 50, most: 500 }

const FORMS = {
  'application/json': undefined,
  'text/x-nftables': (policy: PolicyDocument) => toNftScript(policy, policy.generatedAt),
  'text/plain': toTextLines,
} as const
type Form = keyof typeof FORMS
/** `policy` is undefined when the router is inactive. */
type Seen = { policy: PolicyDocument | undefined; wakeDigest: string }

export const policyAgentRoutes: FastifyPluginAsyncTypebox<PolicyAgentRoutesOptions> = async (
  app,
  { withAgentTransaction, policyChanges, closing, onlineMinutes, looksAtOnce },
) => {
  const documented = { tags: ['agent'], security: [{ agent: ['policy:read'] }] }
  // Each waiting request has at most one read in the queue, and only for as long as the request waits.
  const inTurn = createConcurrencyLimiter({
    concurrency: looksAtOnce,
    queue: Number.POSITIVE_INFINITY,
    waitMs: MAX_WAIT_SECONDS * 1_000,
  })

  const look = (request: FastifyRequest): Promise<Seen> =>
    withAgentTransaction(
      request.identity,
      'policy:read',
      async (tx, { routerId, isActive }) => {
        // Both statements are sent in one round trip.
        const [policy, wakeDigest] = await Promise.all([
          isActive ? computePolicy(tx, routerId) : undefined,
          findWakeDigest(tx),
        ])
        if (isActive && !policy) throw problem('unauthenticated')
        return { policy, wakeDigest }
      },
      { readOnly: true, inactiveToo: true },
    )

  app.get(
    '/policy',
    {
      schema: {
        ...documented,
        operationId: 'fetchAgentPolicy',
        summary: 'Fetch the policy to enforce',
        description:
          'Returns the policy as JSON, as an nft script (`Accept: text/x-nftables`), or with one line for each MAC (`Accept: text/plain`). With the last `ETag` in `If-None-Match`, an unchanged policy is 304. With `wait` the server holds the answer back until the policy changes, by a person or by time. While the router is inactive, the answer is 403 `router-inactive`: keep the last policy, and ask again after `Retry-After`, an hour. A waiting agent is told at once when its router is deactivated, and when it is activated again.',
        querystring: WaitQuery,
        headers: KnownRevision,
        response: responses({ 200: AgentPolicy, 304: Type.Null() }, 'router-inactive'),
      },
    },
    async (request, reply) => {
      const deadline = Date.now() + (request.query.wait ?? 0) * 1_000
      const policy = await changedPolicy(request, deadline)
      reply
        .header('etag', `"${policy.revision}"`)
        .header('vary', 'Accept')
        .header('cache-control', 'no-cache')
      if (isKnown(request, policy)) return reply.code(304).send(null)
      return answerAs(formOf(request), policy, reply)
    },
  )

  /**
   * Returns the first policy that the agent does not have. It returns the one the agent has when `deadline`
   * passes, when the server shuts down, or when the router becomes active again. @throws Problem
   * `router-inactive`
   */
  async function changedPolicy(request: FastifyRequest, deadline: number): Promise<PolicyDocument> {
    if (deadline <= Date.now()) return orRouterInactive((await look(request)).policy)
    const gone = new AbortController()
    request.raw.on('close', () => gone.abort())
    const over = AbortSignal.any([gone.signal, closing])
    const first = await lookPatiently(request, deadline, over)
    const isNews = ({ policy }: Seen) =>
      policy ? !first.policy || !isKnown(request, policy) : first.policy !== undefined
    if (isNews(first)) return orRouterInactive(first.policy)
    let seen = first
    const watching = policyChanges.subscribe(seen.wakeDigest, gone.signal)
    try {
      while (Date.now() < deadline && !over.aborted) {
        // Reads again also the first time, because the policy may have changed before the subscription began.
        seen = await lookPatiently(request, deadline, over, seen)
        if (isNews(seen)) break
        await watching.next(Math.min(deadline, seen.policy ? nextChangeAt(seen.policy) : deadline))
      }
      return orRouterInactive(seen.policy)
    } finally {
      watching.stop()
    }
  }

  /**
   * Reads the policy when its turn comes. Without a free connection it retries until `deadline`, and then
   * returns the previous policy or throws the failure.
   */
  async function lookPatiently(
    request: FastifyRequest,
    deadline: number,
    over: AbortSignal,
    seen?: Seen,
  ): Promise<Seen> {
    for (;;) {
      try {
        return await inTurn(async () => (over.aborted && seen ? seen : look(request)))
      } catch (error) {
        if (toProblem(error).code !== 'unavailable') throw error
        const rest = REST_MS.least + Math.random() * (REST_MS.most - REST_MS.least)
        if (Date.now() + rest < deadline && !over.aborted)
          await setTimeout(rest, undefined, { signal: over }).catch(() => {})
        else if (seen) return seen
        else throw error
      }
    }
  }

  // The parts of the policy, for agents that build their own rules from them.
  app.get(
    '/devices',
    {
      schema: {
        ...documented,
        operationId: 'listAgentDevices',
        summary: 'List the devices of the router',
        description: 'Lists the devices of the router, for agents that make a policy of their own.',
        querystring: PartQuery,
        response: responses({ 200: pageOf(Device) }, 'router-inactive'),
      },
    },
    (request) =>
      withAgentTransaction(
        request.identity,
        'policy:read',
        (tx) => listDevices(tx, request.query, onlineMinutes),
        {
          readOnly: true,
        },
      ),
  )
  for (const list of ['whitelist', 'blacklist'] as const) {
    app.get(
      `/${list}`,
      {
        schema: {
          ...documented,
          operationId: `listAgent${list === 'whitelist' ? 'Whitelist' : 'Blacklist'}`,
          summary: `List the ${list} of the router`,
          description: `Lists the ${list} of the router, for agents that make a policy of their own.`,
          querystring: PartQuery,
          response: responses({ 200: pageOf(entrySchemas(list).Entry) }, 'router-inactive'),
        },
      },
      (request) =>
        withAgentTransaction(request.identity, 'policy:read', (tx) => listEntries(tx, list, request.query), {
          readOnly: true,
        }),
    )
  }

  app.post(
    '/policy/applied',
    {
      schema: {
        ...documented,
        operationId: 'reportAppliedPolicy',
        summary: 'Report the applied policy',
        description: 'Tells the server which policy the agent enforces, or why it could not.',
        body: Applied,
        response: responses({ 204: Type.Null() }, 'router-inactive'),
      },
    },
    async (request, reply) => {
      const { revision, error = null } = request.body
      await withAgentTransaction(request.identity, 'policy:read', (tx, { routerId }) =>
        noteApplied(tx, routerId, revision, error),
      )
      return reply.code(204).send(null)
    },
  )
}

function orRouterInactive(policy: PolicyDocument | undefined): PolicyDocument {
  if (!policy) throw routerInactive()
  return policy
}

/**
 * When time alone next changes an outcome, by this process's clock. The times in the policy are by the
 * database's clock.
 */
function nextChangeAt({ devices, generatedAt }: PolicyDocument): number {
  const turns = devices.flatMap(({ until }) => (until ? until.getTime() - generatedAt.getTime() : []))
  return Date.now() + turns.reduce((soonest, turn) => Math.min(soonest, turn), Number.POSITIVE_INFINITY)
}

/** Whether `If-None-Match` contains the revision: quoted or not, weak or strong, one of several, or `*`. */
function isKnown(request: FastifyRequest, { revision }: PolicyDocument): boolean {
  const known = (request.headers['if-none-match'] ?? '')
    .split(',')
    .map((tag) => tag.trim().replace(/^W\//, '').replaceAll('"', ''))
  return known.includes(revision) || known.includes('*')
}

/** The first form in `Accept`; JSON when it has none. */
function formOf(request: FastifyRequest): Form {
  const accepted = (request.headers.accept ?? '')
    .split(',')
    .map((range) => range.split(';', 1)[0]?.trim().toLowerCase())
  return (
    accepted.find((range): range is Form => range !== undefined && Object.hasOwn(FORMS, range)) ??
    'application/json'
  )
}

function answerAs(form: Form, policy: PolicyDocument, reply: FastifyReply) {
  const write = FORMS[form]
  if (!write) return reply.send(policy)
  // Text is not serialised by the JSON schema of the response.
  return reply.type(`${form}; charset=utf-8`).serializer(String).send(write(policy))
}
