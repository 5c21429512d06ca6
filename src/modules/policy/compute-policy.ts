import type { Tx } from '../../rls/transaction.ts'
import { gatherDevices } from './build-facts.ts'
import type { PolicyDocument } from './document.ts'
import { evaluate } from './evaluate.ts'
import { findPolicyRows } from './repository.ts'

/**
 * The policy of a router, now by the database's clock or at another moment. @returns undefined when there is
 * no such router
 */
export async function computePolicy(
  tx: Tx,
  routerId: string,
  moment?: Date,
): Promise<PolicyDocument | undefined> {
  return (await computePolicies(tx, [routerId], moment)).get(routerId)
}

/** The policies of some routers, by their ids, in as many statements as that of one. */
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
