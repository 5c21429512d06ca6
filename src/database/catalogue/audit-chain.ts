import pg from 'pg'
import type { RoleName } from '../role-names.ts'
import type { Finding, Queryable } from './check.ts'
import type { Section } from './self-check.ts'

/** The report names this many people at most; one broken chain is as bad as a thousand. */
const NAMED = 20

/**
 * Whether the hash chain of each person's audit log is complete, from its oldest entry to its newest: this
 * reads every entry. A chain that restarted after a migration was undone is complete from there on, and the
 * report names it.
 * @param client as the migrator, not in a transaction; only members of the context role may ask
 */
export async function checkAuditLog(client: Queryable, roles: Record<RoleName, string>): Promise<Section> {
  await client.query('begin read only')
  await client.query(`set local role ${pg.escapeIdentifier(roles.context)}`)
  const { rows: entries } = await client.query<{ count: number }>(
    'select count(*)::int as count from public.user_audit_log',
  )
  const { rows: gaps } = await client.query<{ user_id: string; sequence: string }>(
    'select user_id, sequence from ctx.audit_gaps() order by 1, 2',
  )
  const { rows: restarts } = await client.query<{
    user_id: string
    sequence: string
    at: Date
    entries_before: string
  }>('select user_id, sequence, at, entries_before from ctx.audit_restarts() order by 1')
  await client.query('rollback')
  const broken = gaps.map(
    ({ user_id, sequence }) => `the log of the user ${user_id} is broken at entry ${sequence}`,
  )
  const begunAnew = restarts.map(
    ({ user_id, sequence, at, entries_before }) =>
      `the log of the user ${user_id} begins anew at entry ${sequence}, of ${at.toISOString()}: what stands before it cannot be verified (entries: ${entries_before})`,
  )
  return {
    name: 'audit',
    promise: 'has an audit log without a gap, in which nothing was changed',
    remedy:
      'Compare with a backup what stood there. A log is broken when somebody wrote to it with the rights of the owner, or past the server. It begins anew when "npm run migrate" follows "--back-to"; if that was not done at the time, somebody wrote to it, too.',
    lookedAt: entries[0]?.count ?? 0,
    findings: [...named(broken, false), ...named(begunAnew, true)],
  }
}

export const named = (found: string[], isWarning: boolean): Finding[] =>
  [...found.slice(0, NAMED), ...(found.length > NAMED ? [`and ${found.length - NAMED} more`] : [])].map(
    (what) => ({ what, isWarning }),
  )
