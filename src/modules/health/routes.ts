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
    status: OneOf([status], 'Whether the server and its database are well'),
    version: Type.Optional(Type.String({ description: 'The version of the server', examples: ['0.1.0'] })),
    database: Type.Object(
      {
        status: OneOf(database, 'Whether the database answers'),
        latencyMs: Type.Optional(
          Type.Unsafe<number | null>({
            type: ['number', 'null'],
            description: 'How many milliseconds a query takes; null when none is answered',
            examples: [latencyMs],
          }),
        ),
      },
      { description: 'The state of the database' },
    ),
  })
const Health = {
  ...healthOf('ok', ['up'], 0.8),
  $id: 'Health',
  description: 'The server and its database are well',
}

const Degraded = {
  ...healthOf('degraded', ['down', 'up'], null),
  $id: 'Degraded',
  description: 'The server runs, and its database does not serve it',
}

const Live = Type.Object(
  { status: OneOf(['ok'], 'Always `ok`') },
  { $id: 'Live', description: 'The process runs' },
)

const Ready = Type.Object(
  { status: OneOf(['ready'], 'Always `ready`') },
  { $id: 'Ready', description: 'The server takes requests' },
)

const NotReady = Type.Object(
  {
    status: OneOf(['not-ready'], 'Always `not-ready`'),
    reason: OneOf(
      ['unreachable', 'read-only', 'migrations-missing', 'migrations-edited', 'closing'],
      'Why. After `migrations-missing` run `npm run migrate`; after `migrations-edited` it says which build migrated the database.',
    ),
  },
  { $id: 'NotReady', description: 'Why the server takes no requests yet' },
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
        description: 'Answers whoever asks. With 503 the server runs, and its database does not serve it.',
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
        description: 'Says that the process runs. It asks no database.',
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
        description:
          'Says whether the server takes requests now. A load balancer sends it none while the answer is 503.',
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
