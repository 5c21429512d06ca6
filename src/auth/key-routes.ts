/**
 * API keys: of a router's agent, and of a person's own scripts. They are credentials: the user role cannot see them, so these sessions use
 * the auth login, and only a signed-in person manages them, never a key.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { problem } from '../http/problem.ts'
import { answers, Nullable, pageOf } from '../http/schemas.ts'
import type { Tx, WithSession } from '../rls/session.ts'
import { makeApiKey } from './api-keys.ts'
import { asAuth, type Identity } from './identity.ts'
import { addKey, holdKey, type KeyValues, listKeys, retireKey, revokeKey } from './key-repository.ts'
import { AddPersonalKey, AddRouterKey, AGENT_SCOPES, HOLDERS, Key, ListKeys, NewKey, RotateKey } from './key-schema.ts'

const DEFAULT_OVERLAP_MINUTES = 60

export type KeyRoutesOptions = {
  withSession: WithSession
  /** Of a router's keys, under `/:id/keys`, or of a person's own, under `/keys`. */
  holder: keyof typeof HOLDERS
  routerExists: (identity: Identity | null, id: string) => Promise<boolean>
}

/** Of the path: the router, or null for a person's own keys. */
const holderIn = (params: unknown) => (params as { id?: string }).id ?? null
const keyIn = (params: unknown) => (params as { keyId: string }).keyId

export const keyRoutes: FastifyPluginAsyncTypebox<KeyRoutesOptions> = async (app, { withSession, holder, routerExists }) => {
  const { tag, path, words, Keys, OneKey, Kind } = HOLDERS[holder]
  const documented = { tags: [tag], security: [{ person: [] }] }

  app.post(
    path,
    {
      schema: {
        ...documented,
        operationId: `add${Kind}Key`,
        summary: `Make ${words.key}`,
        description: `The key is shown once. ${words.limit}`,
        params: Keys,
        body: holder === 'router' ? Nullable(AddRouterKey) : AddPersonalKey,
        response: answers({ 201: NewKey }, 'key-limit'),
      },
    },
    async (request, reply) => {
      const { name = null, scopes = [...AGENT_SCOPES], expiresAt } = request.body ?? {}
      const ends = expiresAt ? new Date(expiresAt) : null
      if (ends && ends.getTime() <= Date.now())
        throw problem('invalid-request', { errors: [{ path: '/body/expiresAt', code: 'in-the-past', message: 'is in the past' }] })
      const identity = asAuth(request.identity)
      const { key, values } = newKey(identity.userId, { routerId: holderIn(request.params), name, scopes, expiresAt: ends })
      const added = await withSession(identity, (tx) => addOrRefuse(tx, values))
      return reply.code(201).send({ ...added, key })
    },
  )

  app.get(
    path,
    {
      schema: {
        ...documented,
        operationId: `list${Kind}Keys`,
        summary: `List ${words.keys}`,
        params: Keys,
        querystring: ListKeys,
        response: answers({ 200: pageOf(Key) }),
      },
    },
    async (request) => {
      const routerId = holderIn(request.params)
      if (routerId !== null && !(await routerExists(request.identity, routerId))) throw problem('not-found')
      const items = await withSession(asAuth(request.identity), (tx) => listKeys(tx, routerId), { readOnly: true })
      const { limit, offset } = request.query
      return { items: items.slice(offset, offset + limit), total: items.length, limit, offset }
    },
  )

  app.delete(
    `${path}/:keyId`,
    {
      schema: {
        ...documented,
        operationId: `revoke${Kind}Key`,
        summary: `Revoke ${words.key} at once`,
        params: OneKey,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const [routerId, keyId] = [holderIn(request.params), keyIn(request.params)]
      if (!(await withSession(asAuth(request.identity), (tx) => revokeKey(tx, routerId, keyId)))) throw problem('not-found')
      return reply.code(204).send(null)
    },
  )

  app.post(
    `${path}/:keyId/rotate`,
    {
      schema: {
        ...documented,
        operationId: `rotate${Kind}Key`,
        summary: `Replace ${words.key}`,
        description: 'Makes a key with the same name and scopes; the old one goes on working for the overlap.',
        params: OneKey,
        body: Nullable(RotateKey),
        response: answers({ 201: NewKey }, 'key-limit'),
      },
    },
    async (request, reply) => {
      const [routerId, keyId] = [holderIn(request.params), keyIn(request.params)]
      const { overlapMinutes = DEFAULT_OVERLAP_MINUTES } = request.body ?? {}
      const identity = asAuth(request.identity)
      const rotated = await withSession(identity, async (tx) => {
        const old = await holdKey(tx, routerId, keyId)
        if (!old) throw problem('not-found')
        if (overlapMinutes === 0) await revokeKey(tx, routerId, keyId)
        else await retireKey(tx, routerId, keyId, overlapMinutes)
        const { key, values } = newKey(identity.userId, { routerId, name: old.name, scopes: old.scopes, expiresAt: old.inherits })
        return { ...(await addOrRefuse(tx, values)), key }
      })
      return reply.code(201).send(rotated)
    },
  )
}

function newKey(userId: string, { routerId, name, scopes, expiresAt }: Pick<KeyValues, 'routerId' | 'name' | 'scopes' | 'expiresAt'>) {
  const { key, keyId, prefix, sha256 } = makeApiKey(routerId === null ? 'personal' : 'agent', userId)
  return { key, values: { routerId, name, scopes, expiresAt, keyId, prefix, secretSha256: sha256 } satisfies KeyValues }
}

async function addOrRefuse(tx: Tx, values: KeyValues) {
  const added = await addKey(tx, values)
  if (!added) throw problem('key-limit', { detail: 'Revoke a key first' })
  return added
}
