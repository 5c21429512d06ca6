import type { Tx } from '../../rls/transaction.ts'
import { gatherDevices } from './build-facts.ts'
import type { PolicyDocument } from './document.ts'
import { evaluate } from './evaluate.ts'
import { findPolicyRows } from './repository.ts'

/**
 * Computes the policy of a router, for now by the database's clock or for another moment. @returns undefined
 * when there is no such router
 */
export async function computePolicy(
  tx: Tx,
  routerId: string,
  moment?: Date,
): Promise<PolicyDocument | undefined> {
  return (await computePolicies(tx, [routerId], moment)).get(routerId)
}

/** Computes the policies of several routers, by their ids, with as many statements as for one. */
export async function computePolicies(
  tx: Tx,
  routerIds: string[],
  moment?: Date,
): Promise<Map<string, PolicyDocument>> {
  const found = await findPolicyRows(tx, routerIds)
  return new Map(
    [...found].map(([id, rows]) => {
      const at = moment ?? rows.router.now
      return [id, evaluate(rows.router, gatherDevices(rows, at), at)]
    }),
  )
}
