import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import type { DatabaseState } from '../../database/readiness.ts'
import { OneOf } from '../../http/schemas.ts'

export type HealthRoutesOptions = {
  version: string /** Whether strangers may know the version and the latency. */
  details: boolean
  checkDatabase: () => Promise<DatabaseState>
  isClosing: () => boolean
}

const healthOf = <const Status extends string>(
  status: Status,
  database: ('up' | 'down')[],
  latencyMs: number | null,
) =>
  Type.Object({
    status: OneOf([status]),
    version: Type.Optional(Type.String({ examples: ['0.1.0'] })),
    database: Type.Object({
      status: OneOf(database),
      latencyMs: Type.Optional(
        Type.Unsafe<number | null>({ type: ['number', 'null'], examples: [latencyMs] }),
      ),
    }),
  })
const Health = { ...healthOf('ok', ['up'], 0.8), $id: 'Health' }
const Degraded = { ...healthOf('degraded', ['down', 'up'], null), $id: 'Degraded' }
const Live = Type.Object({ status: OneOf(['ok']) }, { $id: 'Live' })
const Ready = Type.Object({ status: OneOf(['ready']) }, { $id: 'Ready' })
const NotReady = Type.Object(
  {
    status: OneOf(['not-ready']),
    reason: OneOf(
      ['unreachable', 'read-only', 'migrations-missing', 'migrations-edited', 'closing'],
      '`migrations-missing`: run `npm run migrate`. `migrations-edited`: another build migrated the database; `npm run migrate` says what to do',
    ),
  },
  { $id: 'NotReady' },
)

export const healthRoutes: FastifyPluginAsyncTypebox<HealthRoutesOptions> = async (
  app,
  { version, details, checkDatabase, isClosing },
) => {
  const documented = { tags: ['health'] }

  app.get(
    '',
    {
      schema: {
        ...documented,
        operationId: 'getHealth',
        summary: 'Get the health of the server and its database',
        response: { 200: Health, 503: Degraded },
      },
    },
    async (_, reply) => {
      const { up, latencyMs, fault } = await checkDatabase()
      const isWell = up && !fault
      if (!isWell) reply.header('retry-after', 1)
      return reply.code(isWell ? 200 : 503).send({
        status: isWell ? 'ok' : 'degraded',
        ...(details && { version }),
        database: { status: up ? 'up' : 'down', ...(details && { latencyMs }) },
      })
    },
  )

  app.get(
    '/live',
    {
      schema: {
        ...documented,
        operationId: 'getLiveness',
        summary: 'Check liveness',
        response: { 200: Live },
      },
    },
    async () => ({
      status: 'ok' as const,
    }),
  )

  app.get(
    '/ready',
    {
      schema: {
        ...documented,
        operationId: 'getReadiness',
        summary: 'Check readiness',
        response: { 200: Ready, 503: NotReady },
      },
    },
    async (_, reply) => {
      const reason = isClosing() ? 'closing' : (await checkDatabase()).fault
      if (!reason) return { status: 'ready' as const }
      return reply.code(503).header('retry-after', 1).send({ status: 'not-ready', reason })
    },
  )
}
