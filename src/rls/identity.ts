import { problem } from '../http/problem.ts'

/**
 * Who the database sees in one transaction. An identity only claims: the transaction's first statement proves
 * it, or it is 401.
 */
export type Identity = UserIdentity | KeyIdentity | AgentIdentity | AuthIdentity | AdminIdentity

/**
 * Who must have a second factor to be let in with this request (`required-factor.ts`); nobody when left out.
 */
type FactorRequired = { factorRequiredOf?: 'admins' | 'everyone' }

/** A signed-in person. `sessionId` is the login session's capability, not the id that session lists show. */
export type UserIdentity = {
  kind: 'user'
  userId: string
  sessionId: string
  audited?: AuditedOperation | undefined
} & FactorRequired

/**
 * A script of a person, by a personal key; `scope` is what the request needs (`devices:read`), and the key
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

/** The agent of one router, by its key: `sha256` of the key's secret is the proof. */
export type AgentIdentity = { kind: 'agent'; userId: string; keyId: string; sha256: Buffer }

/** Signing in, when nobody is known yet; with a login session, that person managing their own credentials. */
export type AuthIdentity =
  | { kind: 'auth'; userId?: never; sessionId?: never; audited?: never }
  | ({
      kind: 'auth'
      userId: string
      sessionId: string
      audited?: AuditedOperation | undefined
    } & FactorRequired)

/** Nobody yet. */
export const ANONYMOUS: AuthIdentity = { kind: 'auth' }

/**
 * The same person, through the login that may touch credentials. @throws Problem `unauthenticated` when it is
 * no person
 */
export function asCredentialManager(
  identity: Identity | null,
): AuthIdentity & { userId: string; sessionId: string } {
  if (identity?.kind !== 'user') throw problem('unauthenticated')
  return { ...identity, kind: 'auth' }
}

/** A signed-in person who asks as an administrator; whether they are one, the database says. */
type AdminIdentity = {
  kind: 'admin'
  userId: string
  sessionId: string
  audited?: AuditedOperation | undefined
} & FactorRequired

/**
 * What a request that changes something is about, for the audit log: the session records it in the
 * transaction of the change. `operation` is its operationId; the target is what the path names, unless the
 * route names another (`tx.audit`).
 */
export type AuditedOperation = {
  operation: string
  targetKind: string | null
  targetId: string | null
  address: string | null
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the guard of the route's scope; null in the public scope. */
    identity: Identity | null
  }
}

/** What an agent's key may do: report what the router sees, and read what it must enforce. */
export const AGENT_SCOPES = ['scans:write', 'policy:read'] as const
export type AgentScope = (typeof AGENT_SCOPES)[number]
