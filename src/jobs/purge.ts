/**
 * Deletes expired data soon after a start and then once an hour. The data are old entries of the audit log,
 * spent tokens, ended login sessions, counters, and scans that no agent will post again. Any server may do
 * it.
 */

import { ANONYMOUS } from '../rls/identity.ts'
import type { WithTransaction } from '../rls/transaction.ts'

const EVERY_MS = 3_600_000
/**
 * A server that is restarted within the hour cleans up, too. Servers that start together do not all clean up
 * at once.
 */
const FIRST_WITHIN_MS = 300_000

export type HousekeepingOptions = {
  withTransaction: WithTransaction
  auditDays: number
  scanDays: number
  /** When it begins, milliseconds; a random moment of the first minutes when left out. */
  firstAfterMs?: number | undefined
  onError: (error: unknown) => void
}

/** @returns a function that stops it */
export function schedulePurge({
  withTransaction,
  auditDays,
  scanDays,
  firstAfterMs = Math.random() * FIRST_WITHIN_MS,
  onError,
}: HousekeepingOptions): () => void {
  let timer: NodeJS.Timeout | undefined
  const purge = () =>
    withTransaction(ANONYMOUS, (tx) =>
      tx.query({ name: 'purge', text: 'select ctx.purge($1)', values: [auditDays] }),
    )
  /** A limited number at a time, each in a transaction of its own. */
  const purgeScans = async () => {
    const query = { name: 'purge scans', text: 'select ctx.purge_scans($1) as removed', values: [scanDays] }
    let removed = 1
    while (removed > 0 && timer)
      [{ removed } = { removed: 0 }] = await withTransaction(ANONYMOUS, (tx) =>
        tx.query<{ removed: number }>(query),
      )
  }
  const clean = () => {
    timer = setTimeout(clean, EVERY_MS).unref()
    for (const work of [purge, purgeScans]) work().catch(onError)
  }
  timer = setTimeout(clean, firstAfterMs).unref()
  return () => {
    clearTimeout(timer)
    timer = undefined
  }
}
