import type { Tx } from '../../rls/transaction.ts'

/**
 * Tells waiting agents, on every server, that a router's policy may have changed; delivered when the session
 * commits. Whatever writes something that `decide` looks at calls this, once.
 */
export async function notifyPolicyChanged(tx: Tx, routerId: string): Promise<void> {
  await tx.query({ name: 'wake router', text: 'select ctx.wake($1)', values: [routerId] })
}

/**
 * What wake-ups of the agent's router carry: any login hears them, so it is nothing that others can tell the
 * router by.
 */
export async function findWakeDigest(tx: Tx): Promise<string> {
  const [row] = await tx.query<{ digest: string }>({
    name: 'find wake digest',
    text: 'select ctx.agent_wake_digest() as digest',
  })
  return row?.digest ?? ''
}
