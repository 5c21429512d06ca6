import pg from 'pg'
import type { Queryable } from './catalogue/check.ts'
import type { RoleName } from './role-names.ts'
import type { Section } from './self-check.ts'

/** So many are named; one is as bad as a thousand. */
const NAMED = 20

/**
 * Whether the chain of each person's audit log is whole, from its oldest entry to its head: every entry is read.
 * @param client as the migrator, not in a transaction; only members of the context role may ask
 */
export async function checkAuditLog(client: Queryable, roles: Record<RoleName, string>): Promise<Section> {
  await client.query('begin read only')
  await client.query(`set local role ${pg.escapeIdentifier(roles.context)}`)
  const { rows: entries } = await client.query<{ count: number }>('select count(*)::int as count from public.user_audit_log')
  const { rows: gaps } = await client.query<{ user_id: string; sequence: string }>(
    'select user_id, sequence from ctx.audit_gaps() order by 1, 2',
  )
  await client.query('rollback')
  const named = gaps.slice(0, NAMED).map(({ user_id, sequence }) => `the log of the user ${user_id} is broken at entry ${sequence}`)
  const more = gaps.length > NAMED ? [`and ${gaps.length - NAMED} more`] : []
  return {
    name: 'audit',
    promise: 'has an audit log without a gap, in which nothing was changed',
    remedy: 'Compare with a backup what stood there; somebody with the rights of the owner, or past the server, wrote to it.',
    lookedAt: entries[0]?.count ?? 0,
    findings: [...named, ...more].map((what) => ({ what, isWarning: false })),
  }
}
