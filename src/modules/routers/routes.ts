import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { type FieldError, problem } from '../../http/problem.ts'
import { answers, IdParams, pageOf } from '../../http/schemas.ts'
import type { WithSession } from '../../rls/session.ts'
import { canonicalIp } from '../devices/ip.ts'
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
    (request) => withSession(request.identity, (tx) => listRouters(tx, request.query, onlineMinutes), { readOnly: true }),
  )

  app.post(
    '/',
    { schema: { ...documented, summary: 'Register a router', body: AddRouter, response: answers({ 201: Router }) } },
    async (request, reply) => {
      const values = { ...storable(request.body), name: request.body.name }
      return reply.code(201).send(await withSession(request.identity, (tx) => addRouter(tx, values, onlineMinutes)))
    },
  )

  app.get(
    '/:id',
    { schema: { ...documented, summary: 'Get a router', params: IdParams, response: answers({ 200: Router }) } },
    async (request) => {
      const router = await withSession(request.identity, (tx) => findRouter(tx, request.params.id, onlineMinutes), { readOnly: true })
      if (!router) throw problem('not-found')
      return router
    },
  )

  app.patch(
    '/:id',
    { schema: { ...documented, summary: 'Change a router', params: IdParams, body: ChangeRouter, response: answers({ 200: Router }) } },
    async (request) => {
      const router = await withSession(request.identity, (tx) => changeRouter(tx, request.params.id, storable(request.body), onlineMinutes))
      if (!router) throw problem('not-found')
      return router
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
