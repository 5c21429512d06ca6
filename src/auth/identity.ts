/** Who the database sees in one transaction. An identity only claims: the transaction's first statement proves it, or it is 401. */
export type Identity = UserIdentity | AgentIdentity | AuthIdentity

/** A signed-in person. `sessionId` is the login session's capability, not the id that session lists show. */
export type UserIdentity = { kind: 'user'; userId: string; sessionId: string }

/** The agent of one router, by its key: `sha256` of the key's secret is the proof. */
export type AgentIdentity = { kind: 'agent'; userId: string; keyId: string; sha256: Buffer }

/** Signing in, when nobody is known yet; with a login session, that person managing their own credentials. */
export type AuthIdentity = { kind: 'auth'; userId?: never; sessionId?: never } | { kind: 'auth'; userId: string; sessionId: string }

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the door of the scope that the route stands in; null where nobody has to be known. */
    identity: Identity | null
  }
}
