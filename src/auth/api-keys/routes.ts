/**
 * API keys of a router's agent and of a person's own scripts. The user role cannot read credentials, so these
 * transactions use the auth database role. Only a signed-in person manages keys; an API key cannot. A stolen
 * login session must not create a key that outlives it. A new key therefore requires a proof of the owner in
 * the request, or a recent one where the key cannot change the account.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { orNotFound, problem } from '../../http/problem.ts'
import { Nullable, pageOf, responses } from '../../http/schemas.ts'
import type { AccountMail } from '../../mail/account-mail.ts'
import { keyAdded } from '../../mail/templates.ts'
import { notifyPolicyChanged } from '../../modules/routers/notify-policy-changed.ts'
import { AGENT_SCOPES, asCredentialManager, type Identity } from '../../rls/identity.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import { findAccountEmail } from '../credentials/repository.ts'
import type { Reauthenticate } from '../sessions/owner-proof.ts'
import { proofRequired, requireRecentProof } from '../sessions/repository.ts'
import { makeApiKey } from './format.ts'
import { addKey, type KeyValues, listKeys, lockKey, retireKey, revokeKey } from './repository.ts'
import {
  AddPersonalKey,
  AddRouterKey,
  HOLDERS,
  Key,
  ListKeys,
  NewKey,
  PERSONAL_KEY_DAYS,
  RotatePersonalKey,
  RotateRouterKey,
} from './schema.ts'

const DEFAULT_OVERLAP_MINUTES = 60
const DAY_MS = 86_400_000

export type KeyRoutesOptions = {
  withTransaction: WithTransaction
  reauthenticate: Reauthenticate
  accountMail: AccountMail
  /** The keys of a router, under `/:id/keys`, or of a person, under `/keys`. */
  holder: keyof typeof HOLDERS
  routerExists: (identity: Identity | null, id: string) => Promise<boolean>
}

/** `replaces`: the new key replaces another key. */
type KeyPlan = Pick<KeyValues, 'name' | 'scopes' | 'expiresAt'> & { replaces?: boolean }
/** The request bodies for keys of routers and of people. */
type Made = Partial<Static<typeof AddPersonalKey>> | Static<typeof AddRouterKey>
type Rotated = Static<typeof RotatePersonalKey>

/** The router in the path, or null for a person's own keys. */
const holderIn = (params: unknown) => (params as { id?: string }).id ?? null
const instantOf = (text: string | null | undefined) => (text ? new Date(text) : null)
const keyIn = (params: unknown) => (params as { keyId: string }).keyId

export const keyRoutes: FastifyPluginAsyncTypebox<KeyRoutesOptions> = async (app, options) => {
  const { withTransaction, reauthenticate, accountMail, holder, routerExists } = options
  const { tag, path, words, Keys, OneKey, Kind } = HOLDERS[holder]
  const documented = { tags: [tag], security: [{ person: [] }] }

  /**
   * Creates the key that `prepare` returns, in its transaction. The owner receives a mail about a personal
   * key.
   */
  async function makeKey(request: FastifyRequest, prepare: (tx: Tx) => Promise<KeyPlan>) {
    const identity = asCredentialManager(request.identity)
    const { userId, sessionId } = identity
    const routerId = holderIn(request.params)
    const {
      key,
      keyId,
      prefix,
      sha256: secretSha256,
    } = makeApiKey(holder === 'person' ? 'personal' : 'agent', userId)
    const { owner, replaces, ...made } = await withTransaction(identity, async (tx) => {
      await requireRecentProof(tx, userId, sessionId)
      const { replaces = false, ...plan } = await prepare(tx)
      const added = await addKey(tx, { ...plan, routerId, keyId, prefix, secretSha256 })
      if (!added) throw problem('key-limit', { detail: 'Revoke a key first' })
      // For a router's key the audit event's target is the router, which the path names.
      if (routerId === null) tx.audit({ targetId: added.id })
      return {
        ...added,
        key,
        replaces,
        owner: holder === 'person' ? await findAccountEmail(tx, userId) : undefined,
      }
    })
    const { scopes, expiresAt } = made
    if (owner)
      accountMail.notify(
        owner.email,
        (context) => keyAdded({ ...context, scopes, expiresAt, replaces }),
        request,
      )
    return made
  }

  const refusals =
    holder === 'person'
      ? (['wrong-password', 'wrong-code', 'locked-out', 'conflict'] as const)
      : (['proof-required'] as const)

  app.post(
    path,
    {
      schema: {
        ...documented,
        operationId: `add${Kind}Key`,
        summary: `Create ${words.key}`,
        description: `Creates a key and returns it once. ${words.limit}`,
        params: Keys,
        body: holder === 'router' ? Nullable(AddRouterKey) : AddPersonalKey,
        response: responses({ 201: NewKey }, 'key-limit', ...refusals),
      },
    },
    async (request, reply) => {
      const { name = null, scopes = [...AGENT_SCOPES], expiresAt, ...proof }: Made = request.body ?? {}
      const ends =
        expiresAt === undefined && holder === 'person'
          ? new Date(Date.now() + PERSONAL_KEY_DAYS * DAY_MS)
          : instantOf(expiresAt)
      if (ends && ends.getTime() <= Date.now())
        throw problem('invalid-request', {
          errors: [{ path: '/body/expiresAt', code: 'in-the-past', message: 'is in the past' }],
        })
      if (holder === 'person') await reauthenticate(request, proof)
      return reply.code(201).send(await makeKey(request, async () => ({ name, scopes, expiresAt: ends })))
    },
  )

  app.get(
    path,
    {
      schema: {
        ...documented,
        operationId: `list${Kind}Keys`,
        summary: `List ${words.keys}`,
        description: `Lists the keys that have not ended, without their secrets.`,
        params: Keys,
        querystring: ListKeys,
        response: responses({ 200: pageOf(Key) }),
      },
    },
    async (request) => {
      const routerId = holderIn(request.params)
      if (routerId !== null && !(await routerExists(request.identity, routerId))) throw problem('not-found')
      return withTransaction(
        asCredentialManager(request.identity),
        (tx) => listKeys(tx, routerId, request.query),
        { readOnly: true },
      )
    },
  )

  app.delete(
    `${path}/:keyId`,
    {
      schema: {
        ...documented,
        operationId: `revoke${Kind}Key`,
        summary: `Revoke ${words.key} at once`,
        description: `Ends the key. The next request with it is 401.`,
        params: OneKey,
        response: responses({ 204: Type.Null() }, 'not-found'),
      },
    },
    async (request, reply) => {
      const [routerId, keyId] = [holderIn(request.params), keyIn(request.params)]
      await withTransaction(asCredentialManager(request.identity), async (tx) =>
        orNotFound(await endKey(tx, routerId, keyId)),
      )
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
        description: `Creates a key with the same name, scopes and end. The old key goes on working for the overlap. ${words.rotation}`,
        params: OneKey,
        body: holder === 'router' ? Nullable(RotateRouterKey) : Nullable(RotatePersonalKey),
        response: responses({ 201: NewKey }, 'key-limit', 'proof-required', 'not-found', ...refusals),
      },
    },
    async (request, reply) => {
      const [routerId, keyId] = [holderIn(request.params), keyIn(request.params)]
      const { overlapMinutes = DEFAULT_OVERLAP_MINUTES, ...proof }: Rotated = request.body ?? {}
      const given = Object.keys(proof).length
      if (given > 1)
        throw problem('invalid-request', {
          errors: [{ path: '/body', code: 'exactly-one-of', message: 'must hold one proof' }],
        })
      if (given === 1) await reauthenticate(request, proof)
      else if (holder === 'person' && overlapMinutes === 0) throw proofRequired()
      const rotated = await makeKey(request, async (tx) => {
        const old = orNotFound(await lockKey(tx, routerId, keyId))
        if (overlapMinutes === 0) await endKey(tx, routerId, keyId)
        else await retireKey(tx, routerId, keyId, overlapMinutes)
        return { name: old.name, scopes: old.scopes, expiresAt: old.inherits, replaces: true }
      })
      return reply.code(201).send(rotated)
    },
  )
}

/** An agent that waits with this key is woken and then refused. */
async function endKey(tx: Tx, routerId: string | null, keyId: string): Promise<boolean> {
  const isRevoked = await revokeKey(tx, routerId, keyId)
  if (isRevoked && routerId !== null) await notifyPolicyChanged(tx, routerId)
  return isRevoked
}
