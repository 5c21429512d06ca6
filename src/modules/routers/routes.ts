import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { type FieldError, problem } from '../../http/problem.ts'
import { answers, IdParams, pageOf } from '../../http/schemas.ts'
import type { Tx, WithSession } from '../../rls/session.ts'
import { canonicalIp } from '../devices/ip.ts'
import { findPolicy } from '../policy/find-policy.ts'
import { wakeRouter } from '../policy/wake.ts'
import { parseRate } from './rate.ts'
import { addRouter, changeRouter, findRouter, listRouters, type RouterValues, removeRouter } from './repository.ts'
import { AddRouter, ChangeRouter, ListRouters, Router, type RouterFields } from './schema.ts'
import { isTimeZone } from './time-zone.ts'

export type RouterRoutesOptions = { withSession: WithSession; onlineMinutes: number }

export const routerRoutes: FastifyPluginAsyncTypebox<RouterRoutesOptions> = async (app, { withSession, onlineMinutes }) => {
  const documented = { tags: ['routers'], security: [{ person: [] }] }

  app.get(
    '/',
    { schema: { ...documented, summary: 'List routers', querystring: ListRouters, response: answers({ 200: pageOf(Router) }) } },
    (request) =>
      withSession(
        request.identity,
        async (tx) => {
          const page = await listRouters(tx, request.query, onlineMinutes)
          return { ...page, items: await Promise.all(page.items.map((router) => withRevision(tx, router))) }
        },
        { readOnly: true },
      ),
  )

  app.post(
    '/',
    { schema: { ...documented, summary: 'Register a router', body: AddRouter, response: answers({ 201: Router }) } },
    async (request, reply) => {
      const values = { ...storable(request.body), name: request.body.name }
      const router = await withSession(request.identity, async (tx) =>
        withRevision(tx, limitable(await addRouter(tx, values, onlineMinutes))),
      )
      return reply.code(201).send(router)
    },
  )

  app.get(
    '/:id',
    { schema: { ...documented, summary: 'Get a router', params: IdParams, response: answers({ 200: Router }) } },
    async (request) => {
      const router = await withSession(
        request.identity,
        async (tx) => {
          const found = await findRouter(tx, request.params.id, onlineMinutes)
          return found && withRevision(tx, found)
        },
        { readOnly: true },
      )
      if (!router) throw problem('not-found')
      return router
    },
  )

  app.patch(
    '/:id',
    { schema: { ...documented, summary: 'Change a router', params: IdParams, body: ChangeRouter, response: answers({ 200: Router }) } },
    async (request) => {
      const values = storable(request.body)
      return withSession(request.identity, async (tx) => {
        const changed = await changeRouter(tx, request.params.id, values, onlineMinutes)
        if (!changed) throw problem('not-found')
        await wakeRouter(tx, changed.id)
        return withRevision(tx, limitable(changed))
      })
    },
  )

  app.delete(
    '/:id',
    {
      schema: {
        ...documented,
        summary: 'Remove a router and everything it has',
        params: IdParams,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      if (!(await withSession(request.identity, (tx) => removeRouter(tx, request.params.id)))) throw problem('not-found')
      return reply.code(204).send(null)
    },
  )
}

/** What the router should enforce, beside what its agent says it does. */
async function withRevision<T extends { id: string; appliedRevision: string | null }>(tx: Tx, router: T) {
  const desiredRevision = (await findPolicy(tx, router.id))?.revision ?? ''
  return { ...router, desiredRevision, drift: router.appliedRevision !== desiredRevision }
}

/** Limiting takes a rate. @throws Problem, which takes the change back */
export function limitable<T extends { action: string; limitRate: number | null }>(router: T): T {
  if (router.action === 'limit' && router.limitRate === null) {
    throw problem('invalid-request', { errors: [{ path: '/body/limitRate', message: 'is needed for the action "limit"' }] })
  }
  return router
}

/** What JSON Schema cannot say: time zones that exist, addresses in their one spelling, and rates within bounds whatever their unit. */
function storable({ limitRate, fullRate, ip, ...fields }: RouterFields): RouterValues {
  const errors: FieldError[] = []
  const values: RouterValues = { ...fields }
  /** Null clears a field; what `read` cannot make sense of is a fault. */
  const convert = <T, V>(name: string, given: T | null, read: (given: T) => V | undefined, kind: string): V | null => {
    const value = given === null ? null : read(given)
    if (value === undefined) errors.push({ path: `/body/${name}`, message: `is not ${kind}` })
    return value ?? null
  }
  if (fields.timeZone !== undefined && !isTimeZone(fields.timeZone))
    errors.push({ path: '/body/timeZone', message: 'is not an IANA time zone' })
  if (ip !== undefined) values.ip = convert('ip', ip, canonicalIp, 'an address')
  if (limitRate !== undefined) values.limitRate = convert('limitRate', limitRate, parseRate, 'a rate')
  if (fullRate !== undefined) values.fullRate = convert('fullRate', fullRate, parseRate, 'a rate')
  if (errors.length > 0) throw problem('invalid-request', { errors })
  return values
}
