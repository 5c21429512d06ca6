import type { Tx } from '../../rls/transaction.ts'

/**
 * Notifies waiting agents, on every server, that a router's policy may have changed. PostgreSQL delivers the
 * notification when the transaction commits. Every write that `decide` depends on calls this once.
 */
export async function notifyPolicyChanged(tx: Tx, routerId: string): Promise<void> {
  await tx.query({ name: 'wake router', text: 'select ctx.wake($1)', values: [routerId] })
}

/**
 * The digest in the notifications of the agent's router. Every login receives notifications, so the digest
 * must not identify the router to others.
 */
export async function findWakeDigest(tx: Tx): Promise<string> {
  const [row] = await tx.query<{ digest: string }>({
    name: 'find wake digest',
    text: 'select ctx.agent_wake_digest() as digest',
  })
  return row?.digest ?? ''
}
