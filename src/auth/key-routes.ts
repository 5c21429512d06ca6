/** Keys of a router's agent. They are credentials: the user role cannot see them, so these sessions use the auth login. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { problem } from '../http/problem.ts'
import { answers, IdParams, Nullable, pageOf } from '../http/schemas.ts'
import type { Tx, WithSession } from '../rls/session.ts'
import { makeApiKey } from './api-keys.ts'
import type { AuthIdentity, Identity } from './identity.ts'
import { addKey, holdKey, type KeyValues, listKeys, retireKey, revokeKey } from './key-repository.ts'
import { AddKey, AGENT_SCOPES, Key, KeyParams, ListKeys, NewKey, RotateKey } from './key-schema.ts'

const DEFAULT_OVERLAP_MINUTES = 60

export type KeyRoutesOptions = { withSession: WithSession; routerExists: (identity: Identity | null, id: string) => Promise<boolean> }

export const keyRoutes: FastifyPluginAsyncTypebox<KeyRoutesOptions> = async (app, { withSession, routerExists }) => {
  const documented = { tags: ['routers'], security: [{ person: [] }] }

  app.post(
    '/:id/keys',
    {
      schema: {
        ...documented,
        operationId: 'addRouterKey',
        summary: 'Make a key for the router',
        description: 'The key is shown once. A router has two live keys at most, so that one can replace the other without a gap.',
        params: IdParams,
        body: Nullable(AddKey),
        response: answers({ 201: NewKey }),
      },
    },
    async (request, reply) => {
      const { name = null, scopes = [...AGENT_SCOPES], expiresAt } = request.body ?? {}
      const ends = expiresAt ? new Date(expiresAt) : null
      if (ends && ends.getTime() <= Date.now())
        throw problem('invalid-request', { errors: [{ path: '/body/expiresAt', message: 'is in the past' }] })
      const identity = asAuth(request.identity)
      const { key, values } = newKey(identity.userId, { routerId: request.params.id, name, scopes, expiresAt: ends })
      const added = await withSession(identity, (tx) => addOrRefuse(tx, values))
      return reply.code(201).send({ ...added, key })
    },
  )

  app.get(
    '/:id/keys',
    {
      schema: {
        ...documented,
        operationId: 'listRouterKeys',
        summary: "List the router's live keys",
        params: IdParams,
        querystring: ListKeys,
        response: answers({ 200: pageOf(Key) }),
      },
    },
    async (request) => {
      if (!(await routerExists(request.identity, request.params.id))) throw problem('not-found')
      const items = await withSession(asAuth(request.identity), (tx) => listKeys(tx, request.params.id), { readOnly: true })
      const { limit, offset } = request.query
      return { items: items.slice(offset, offset + limit), total: items.length, limit, offset }
    },
  )

  app.delete(
    '/:id/keys/:keyId',
    {
      schema: {
        ...documented,
        operationId: 'revokeRouterKey',
        summary: 'Revoke a key at once',
        params: KeyParams,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const { id, keyId } = request.params
      if (!(await withSession(asAuth(request.identity), (tx) => revokeKey(tx, id, keyId)))) throw problem('not-found')
      return reply.code(204).send(null)
    },
  )

  app.post(
    '/:id/keys/:keyId/rotate',
    {
      schema: {
        ...documented,
        operationId: 'rotateRouterKey',
        summary: 'Replace a key',
        description: 'Makes a key with the same name and scopes; the old one goes on working for the overlap.',
        params: KeyParams,
        body: Nullable(RotateKey),
        response: answers({ 201: NewKey }),
      },
    },
    async (request, reply) => {
      const { id, keyId } = request.params
      const { overlapMinutes = DEFAULT_OVERLAP_MINUTES } = request.body ?? {}
      const identity = asAuth(request.identity)
      const rotated = await withSession(identity, async (tx) => {
        const old = await holdKey(tx, id, keyId)
        if (!old) throw problem('not-found')
        if (overlapMinutes === 0) await revokeKey(tx, id, keyId)
        else await retireKey(tx, id, keyId, overlapMinutes)
        const { key, values } = newKey(identity.userId, { routerId: id, name: old.name, scopes: old.scopes, expiresAt: old.inherits })
        return { ...(await addOrRefuse(tx, values)), key }
      })
      return reply.code(201).send(rotated)
    },
  )
}

/** The same person, through the login that may touch credentials. */
function asAuth(identity: Identity | null): AuthIdentity & { userId: string } {
  if (identity?.kind !== 'user') throw problem('unauthenticated')
  return { ...identity, kind: 'auth' }
}

function newKey(userId: string, { routerId, name, scopes, expiresAt }: Pick<KeyValues, 'routerId' | 'name' | 'scopes' | 'expiresAt'>) {
  const { key, keyId, prefix, sha256 } = makeApiKey('agent', userId)
  return { key, values: { routerId, name, scopes, expiresAt, keyId, prefix, secretSha256: sha256 } satisfies KeyValues }
}

async function addOrRefuse(tx: Tx, values: KeyValues) {
  const added = await addKey(tx, values)
  if (!added) throw problem('key-limit', { detail: 'Revoke a key first' })
  return added
}
