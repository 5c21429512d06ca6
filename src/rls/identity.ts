import { problem } from '../http/problem.ts'

/**
 * The identity that a transaction claims. The transaction's first statement proves it; otherwise the answer
 * is 401.
 */
export type Identity = UserIdentity | KeyIdentity | AgentIdentity | AuthIdentity | AdminIdentity

/**
 * The people who must have a second factor for this request (`required-factor.ts`). When it is left out, no
 * person needs one.
 */
type FactorRequired = { factorRequiredOf?: 'admins' | 'everyone' }

/** A signed-in person. `sessionId` is the secret of the login session, not the id that session lists show. */
export type UserIdentity = {
  kind: 'user'
  userId: string
  sessionId: string
  audited?: AuditedOperation | undefined
} & FactorRequired

/**
 * A person's script, which uses a personal key. `scope` is what the request needs (`devices:read`); the key
 * must have it.
 */
type KeyIdentity = {
  kind: 'key'
  userId: string
  keyId: string
  sha256: Buffer
  scope: string
  audited?: AuditedOperation | undefined
}

/** The agent of one router, identified by its key: `sha256` of the key's secret is the proof. */
export type AgentIdentity = { kind: 'agent'; userId: string; keyId: string; sha256: Buffer }

/**
 * Signing in, before the person is known. With a login session, a person who manages their own credentials.
 */
export type AuthIdentity =
  | { kind: 'auth'; userId?: never; sessionId?: never; audited?: never }
  | ({
      kind: 'auth'
      userId: string
      sessionId: string
      audited?: AuditedOperation | undefined
    } & FactorRequired)

/** A caller who is not known yet. */
export const ANONYMOUS: AuthIdentity = { kind: 'auth' }

/**
 * The same person, through the database login that may change credentials. @throws Problem `unauthenticated`
 * when the identity is not a person
 */
export function asCredentialManager(
  identity: Identity | null,
): AuthIdentity & { userId: string; sessionId: string } {
  if (identity?.kind !== 'user') throw problem('unauthenticated')
  return { ...identity, kind: 'auth' }
}

/** A signed-in person who makes a request as an administrator. The database decides whether they are one. */
type AdminIdentity = {
  kind: 'admin'
  userId: string
  sessionId: string
  audited?: AuditedOperation | undefined
} & FactorRequired

/**
 * What a changing request is about. The transaction records it as an audit event together with the change.
 * `operation` is the operationId. The target is what the path names, unless the route names another
 * (`tx.audit`).
 */
export type AuditedOperation = {
  operation: string
  targetKind: string | null
  targetId: string | null
  address: string | null
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The guard of the route's scope sets it; it is null in the public scope. */
    identity: Identity | null
  }
}

/** What an agent's key may do: report what the router sees, and read the policy that it must enforce. */
export const AGENT_SCOPES = ['scans:write', 'policy:read'] as const
export type AgentScope = (typeof AGENT_SCOPES)[number]
