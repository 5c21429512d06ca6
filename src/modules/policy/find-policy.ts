import type { Tx } from '../../rls/session.ts'
import type { PolicyDocument } from './document.ts'
import { evaluate } from './evaluate.ts'
import { gatherDevices } from './gather.ts'
import { findPolicyRows } from './repository.ts'

/** The policy of a router, now by the database's clock or at another moment. @returns undefined when there is no such router */
export async function findPolicy(tx: Tx, routerId: string, moment?: Date): Promise<PolicyDocument | undefined> {
  const rows = await findPolicyRows(tx, routerId)
  if (!rows) return undefined
  const at = moment ?? rows.router.now
  return evaluate(rows.router, gatherDevices(rows, at), at)
}
