import { problem } from '../http/problem.ts'
import type { Opened, SessionOptions, Tx, WithSession } from '../rls/session.ts'
import type { AgentIdentity, Identity } from './identity.ts'
import type { AgentScope } from './key-schema.ts'

/** A session of the agent whose key has the scope (null: any live key), with the router that it is bound to. */
export type AsAgent = <T>(
  identity: Identity | null,
  scope: AgentScope | null,
  work: (tx: Tx, opened: Opened) => Promise<T>,
  options?: SessionOptions,
) => Promise<T>

export function agentSessions(withSession: WithSession, noteUse: (identity: AgentIdentity) => void): AsAgent {
  return (identity, scope, work, options) =>
    withSession(
      identity,
      async (tx) => {
        const opened = await tx.opened()
        if (scope && !opened.scopes.includes(scope)) throw problem('insufficient-scope', { detail: `The key lacks the scope ${scope}` })
        if (identity?.kind === 'agent') noteUse(identity)
        return work(tx, opened)
      },
      options,
    )
}
