import { createConcurrencyLimiter, type RunLimited } from '../http/limits/concurrency-limit.ts'
import { problem } from '../http/problem.ts'
import type { AgentIdentity, AgentScope, Identity } from './identity.ts'
import { ownerOf } from './own-rows.ts'
import type { AgentGrant, TransactionOptions, Tx, WithTransaction } from './transaction.ts'

type AgentRouter = AgentGrant & { isActive: boolean }
type AgentTransactionOptions = TransactionOptions & {
  /** The work looks at `isActive` itself. */ inactiveToo?: boolean
}

/**
 * A transaction of the agent whose key has the scope (null: any live key), with the router that it is bound
 * to. An inactive router is refused, unless it is only asked whose key it is (null).
 */
export type WithAgentTransaction = <T>(
  identity: Identity | null,
  scope: AgentScope | null,
  work: (tx: Tx, router: AgentRouter) => Promise<T>,
  options?: AgentTransactionOptions,
) => Promise<T>

/**
 * Of the sessions of one key that write, one runs at a time and a few wait: a router's scans queue up on its
 * row anyway, and would each hold a connection while they do. Waiting longer than a scan takes is 503.
 */
const WRITES_OF_A_KEY = { concurrency: 1, queue: 16, waitMs: 5_000 }

/** An agent whose router is inactive asks again so often, seconds. */
const INACTIVE_RETRY_SECONDS = 3_600
/** @throws it, to the agent of a router that its owner has deactivated */
export const routerInactive = () =>
  problem('router-inactive', {
    detail: 'Keep the policy that you have, and ask again in an hour',
    retryAfter: INACTIVE_RETRY_SECONDS,
  })

const IS_ACTIVE = `select is_active as "isActive" from user_routers where user_id = $1 and id = ctx.agent_router()`

/**
 * Whether the agent's router is active. Who writes holds the router from here on, so that nothing is stored
 * once its deactivation was answered.
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
          // Both in the first flight.
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
