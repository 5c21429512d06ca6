import { createConcurrencyLimiter, type RunLimited } from '../http/limits/concurrency-limit.ts'
import { problem } from '../http/problem.ts'
import type { AgentIdentity, AgentScope, Identity } from './identity.ts'
import { ownerOf } from './own-rows.ts'
import type { AgentGrant, TransactionOptions, Tx, WithTransaction } from './transaction.ts'

type AgentRouter = AgentGrant & { isActive: boolean }
type AgentTransactionOptions = TransactionOptions & {
  /** The callback checks `isActive` itself. */ inactiveToo?: boolean
}

/**
 * Runs a transaction as the agent whose key has the scope (null: any valid key), with the key's router. The
 * transaction refuses an inactive router unless it only identifies the key's owner (null).
 */
export type WithAgentTransaction = <T>(
  identity: Identity | null,
  scope: AgentScope | null,
  work: (tx: Tx, router: AgentRouter) => Promise<T>,
  options?: AgentTransactionOptions,
) => Promise<T>

/**
 * One write transaction runs at a time for each key, and a few wait. A router's scans wait for its row lock
 * anyway, and each would occupy a connection meanwhile. A wait longer than a scan takes is answered with 503.
 */
const WRITES_OF_A_KEY = { concurrency: 1, queue: 16, waitMs: 5_000 }

/** An agent whose router is inactive retries at this interval, seconds. */
const INACTIVE_RETRY_SECONDS = 3_600
/** @throws the problem that the agent of a deactivated router receives */
export const routerInactive = () =>
  problem('router-inactive', {
    detail: 'Keep the policy that you have, and ask again in an hour',
    retryAfter: INACTIVE_RETRY_SECONDS,
  })

const IS_ACTIVE = `select is_active as "isActive" from user_routers where user_id = $1 and id = ctx.agent_router()`

/**
 * Whether the agent's router is active. A write transaction locks the router's row from here on, so it stores
 * nothing after the deactivation was answered.
 */
async function isRouterActive(tx: Tx, readOnly: boolean): Promise<boolean> {
  const [router] = await tx.query<{ isActive: boolean }>(
    readOnly
      ? { name: 'see whether router is active', text: IS_ACTIVE, values: [ownerOf(tx)] }
      : { name: 'hold active router', text: `${IS_ACTIVE} for no key update`, values: [ownerOf(tx)] },
  )
  if (!router) throw problem('unauthenticated')
  return router.isActive
}

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

  return (identity, scope, work, { inactiveToo = scope === null, readOnly = false } = {}) => {
    const open = () =>
      withTransaction(
        identity,
        async (tx) => {
          // Both queries travel in the first flight.
          const [grant, isActive] = await Promise.all([tx.agentGrant(), isRouterActive(tx, readOnly)])
          if (scope && !grant.scopes.includes(scope))
            throw problem('insufficient-scope', { detail: `The key lacks the scope ${scope}` })
          if (identity?.kind === 'agent') noteUse(identity)
          if (!isActive && !inactiveToo) throw routerInactive()
          return work(tx, { ...grant, isActive })
        },
        { readOnly },
      )
    return identity?.kind === 'agent' && !readOnly ? inTurn(identity, open) : open()
  }
}
