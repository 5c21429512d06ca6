import { prefixesOf } from '../../network/oui-prefixes.ts'
import type { Tx } from '../../rls/transaction.ts'

/** The organisation with the longest assigned prefix of a MAC; null when no prefix is assigned. */
export async function findManufacturer(tx: Tx, mac: string): Promise<string | null> {
  const [found] = await tx.query<{ organization: string }>({
    name: 'find manufacturer',
    text: `select organization from oui_prefixes where (prefix, bits) in (($1::bigint, 36), ($2::bigint, 28), ($3::bigint, 24))
      order by bits desc limit 1`,
    values: prefixesOf(mac),
  })
  return found?.organization ?? null
}
