import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { fieldsOf, requireVersion } from '../../http/etag.ts'
import { notFound, orNotFound, problem } from '../../http/problem.ts'
import { pageOf, responses } from '../../http/schemas.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import {
  findSetting,
  listSettings,
  lockScope,
  putSetting,
  removeSetting,
  type SettingScope,
  scopeExists,
} from './repository.ts'
import {
  ListSettings,
  MAX_KEYS,
  MAX_VALUE_BYTES,
  PutSetting,
  ScopeQuery,
  Setting,
  SettingParams,
} from './schema.ts'
import { isStorable } from './storable.ts'

export type SettingRoutesOptions = { withTransaction: WithTransaction }

export const settingRoutes: FastifyPluginAsyncTypebox<SettingRoutesOptions> = async (
  app,
  { withTransaction },
) => {
  const config = { versionOf: fieldsOf('value') }
  const documented = { tags: ['settings'], security: [{ person: [] }] }

  app.get(
    '',
    {
      schema: {
        ...documented,
        operationId: 'listSettings',
        summary: 'List your settings, or those of a router',
        description: 'Lists your own settings, or those of a router.',
        querystring: ListSettings,
        response: responses({ 200: pageOf(Setting) }, 'not-found'),
      },
    },
    async (request) => {
      return orNotFound(
        await withTransaction(request.identity, (tx) => listSettings(tx, request.query), { readOnly: true }),
      )
    },
  )

  app.get(
    '/:key',
    {
      config,
      schema: {
        ...documented,
        operationId: 'getSetting',
        summary: 'Get a setting',
        description: 'Returns one setting.',
        params: SettingParams,
        querystring: ScopeQuery,
        response: responses({ 200: Setting }, 'not-found'),
      },
    },
    async (request) => {
      return withTransaction(
        request.identity,
        async (tx) =>
          (await findSetting(tx, request.query, request.params.key)) ?? noSetting(tx, request.query),
        { readOnly: true },
      )
    },
  )

  app.put(
    '/:key',
    {
      config,
      schema: {
        ...documented,
        operationId: 'keepSetting',
        summary: 'Set a setting',
        description: `Creates or replaces a setting. Every key is yours to use: NetPilot keeps the value and reads none. A value has up to 16 KiB of JSON (413). You have up to ${MAX_KEYS} keys, and as many for each router (409 \`conflict\`).`,
        params: SettingParams,
        querystring: ScopeQuery,
        body: PutSetting,
        response: responses({ 200: Setting }, 'not-found', 'conflict'),
      },
    },
    async (request) => {
      const { value } = request.body
      const { key } = request.params
      if (!isStorable(value)) {
        const message = 'contains U+0000, a lone surrogate, or a number that is too large'
        throw problem('invalid-request', {
          errors: [{ path: '/body/value', code: 'not-permitted', message }],
        })
      }
      const json = JSON.stringify(value)
      if (Buffer.byteLength(json) > MAX_VALUE_BYTES)
        throw problem('too-large', { detail: 'A value may have at most 16 KiB of JSON' })
      return withTransaction(request.identity, async (tx) => {
        if (!(await lockScope(tx, request.query))) throw notFound('/querystring/routerId')
        await requireVersion(request, async () => (await findSetting(tx, request.query, key)) ?? null)
        const setting = await putSetting(tx, request.query, key, json)
        if (!setting)
          throw problem('conflict', {
            detail: `The maximum of ${MAX_KEYS} settings is reached: remove one first`,
          })
        return setting
      })
    },
  )

  app.delete(
    '/:key',
    {
      config,
      schema: {
        ...documented,
        operationId: 'removeSetting',
        summary: 'Remove a setting',
        description: 'Removes one setting.',
        params: SettingParams,
        querystring: ScopeQuery,
        response: responses({ 204: Type.Null() }, 'not-found'),
      },
    },
    async (request, reply) => {
      const { key } = request.params
      await withTransaction(request.identity, async (tx) => {
        if (!(await lockScope(tx, request.query))) throw notFound('/querystring/routerId')
        await requireVersion(request, () => findSetting(tx, request.query, key))
        if (!(await removeSetting(tx, request.query, key))) throw notFound('/params/key')
      })
      return reply.code(204).send(null)
    },
  )
}

async function noSetting(tx: Tx, scope: SettingScope): Promise<never> {
  throw notFound((await scopeExists(tx, scope)) ? '/params/key' : '/querystring/routerId')
}
