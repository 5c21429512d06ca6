import { createConcurrencyLimiter, type RunLimited } from '../http/limits/concurrency-limit.ts'
import { problem } from '../http/problem.ts'
import type { AgentIdentity, AgentScope, Identity } from './identity.ts'
import type { AgentGrant, TransactionOptions, Tx, WithTransaction } from './transaction.ts'

/**
 * A session of the agent whose key has the scope (null: any live key), with the router that it is bound to.
 */
export type WithAgentTransaction = <T>(
  identity: Identity | null,
  scope: AgentScope | null,
  work: (tx: Tx, opened: AgentGrant) => Promise<T>,
  options?: TransactionOptions,
) => Promise<T>

/**
 * Of the sessions of one key that write, one runs at a time and a few wait: a router's scans queue up on its
 * row anyway, and would each hold a connection while they do. Waiting longer than a scan takes is 503.
 */
const WRITES_OF_A_KEY = { concurrency: 1, queue: 16, waitMs: 5_000 }

export function createAgentTransactions(
  withTransaction: WithTransaction,
  noteUse: (identity: AgentIdentity) => void,
): WithAgentTransaction {
  const writers = new Map<string, { run: RunLimited; jobs: number }>()

  async function inTurn<T>({ keyId }: AgentIdentity, write: () => Promise<T>): Promise<T> {
    const writer = writers.get(keyId) ?? { run: createConcurrencyLimiter(WRITES_OF_A_KEY), jobs: 0 }
    writers.set(keyId, writer)
    writer.jobs += 1
    try {
      return await writer.run(write)
    } finally {
      writer.jobs -= 1
      if (writer.jobs === 0) writers.delete(keyId)
    }
  }

  return (identity, scope, work, options) => {
    const open = () =>
      withTransaction(
        identity,
        async (tx) => {
          const opened = await tx.agentGrant()
          if (scope && !opened.scopes.includes(scope))
            throw problem('insufficient-scope', { detail: `The key lacks the scope ${scope}` })
          if (identity?.kind === 'agent') noteUse(identity)
          return work(tx, opened)
        },
        options,
      )
    return identity?.kind === 'agent' && !options?.readOnly ? inTurn(identity, open) : open()
  }
}
