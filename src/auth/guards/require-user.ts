import type { onRequestAsyncHookHandler, onResponseAsyncHookHandler, RouteOptions } from 'fastify'
import { problem } from '../../http/problem.ts'
import type { Area } from '../api-keys/schema.ts'
import type { KeyUsageTracker } from '../api-keys/usage.ts'
import { auditedOperationOf } from '../audit/audit-event.ts'
import type { AccessTokens } from '../sessions/access-tokens.ts'
import { apiKeyOf, bearerOf } from './bearer.ts'

/**
 * The guard for people. It requires an authentic access token. The first statement of the transaction proves
 * that its login session is live.
 */
export function requireUser(accessTokens: AccessTokens): onRequestAsyncHookHandler {
  return async (request) => {
    const bearer = accessTokens.verify(bearerOf(request) ?? '')
    if (!bearer) throw problem('unauthenticated')
    request.identity = { kind: 'user', ...bearer, audited: auditedOperationOf(request) }
  }
}

/**
 * The guard for administrators. It requires an authentic access token. The database decides whether the
 * person is an administrator, and every other person gets 404.
 */
export function requireAdmin(accessTokens: AccessTokens): onRequestAsyncHookHandler {
  return async (request) => {
    const bearer = accessTokens.verify(bearerOf(request) ?? '')
    if (!bearer) throw problem('unauthenticated')
    const { id = null } = (request.params ?? {}) as { id?: string }
    const audited = auditedOperationOf(request)
    // The audit event belongs to the log of the account that the change is about.
    request.identity = { kind: 'admin', ...bearer, audited: audited && { ...audited, targetId: id } }
  }
}

/**
 * The guard for what people own. It accepts a signed-in person, or their script with a personal key. The
 * transaction proves that the key is for this area.
 */
export function requireUserOrKey(
  accessTokens: AccessTokens,
  area: Area,
  { readOnly = false } = {},
): onRequestAsyncHookHandler {
  const asUser = requireUser(accessTokens)
  return async function (request, reply) {
    const key = apiKeyOf(request)
    if (!key) return asUser.call(this, request, reply)
    if (key.kind !== 'personal') throw problem('unauthenticated')
    const { userId, keyId, sha256 } = key
    request.identity = {
      kind: 'key',
      userId,
      keyId,
      sha256,
      scope: scopeOf(request.method, area, readOnly),
      audited: auditedOperationOf(request),
    }
  }
}

const scopeOf = (method: string, area: Area, readOnly: boolean) =>
  `${area}:${readOnly || method === 'GET' || method === 'HEAD' ? 'read' : 'write'}`

/** Adds to a route's documentation the scope that a personal key needs. */
export function documentKeyScope(
  { schema, method }: RouteOptions,
  area: Area,
  { readOnly = false } = {},
): void {
  // The HEAD of a GET shares its schema.
  if (!schema?.security || schema.security.some((way) => 'script' in way)) return
  schema.security = [...schema.security, { script: [scopeOf([method].flat()[0] ?? 'GET', area, readOnly)] }]
}

/** Counts a use only after the key was authenticated, because anyone can send a key's public id. */
export const trackKeyUsage =
  (keyUsage: KeyUsageTracker): onResponseAsyncHookHandler =>
  async ({ identity }, reply) => {
    if (identity?.kind === 'key' && reply.statusCode < 400) keyUsage.note(identity)
  }
