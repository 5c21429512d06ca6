/** What has had its time goes, once an hour: old links of the audit log, spent tokens, ended sessions, counters. Any server may do it. */
import type { WithSession } from '../rls/session.ts'
import { SIGN_IN } from './identity.ts'

const EVERY_MS = 3_600_000

export type HousekeepingOptions = { withSession: WithSession; auditDays: number; onError: (error: unknown) => void }

/** @returns what ends it */
export function keepHouse({ withSession, auditDays, onError }: HousekeepingOptions): () => void {
  const purge = () => withSession(SIGN_IN, (tx) => tx.query({ name: 'purge', text: 'select ctx.purge($1)', values: [auditDays] }))
  const timer = setInterval(() => void purge().catch(onError), EVERY_MS).unref()
  return () => clearInterval(timer)
}
