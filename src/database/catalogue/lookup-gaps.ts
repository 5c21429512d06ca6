import pg from 'pg'
import type { RoleName } from '../role-names.ts'
import { named } from './audit-chain.ts'
import type { Queryable } from './check.ts'
import type { Section } from './self-check.ts'

/**
 * Whether each account is found by its address and its accounts at providers, and by nothing else: this reads
 * every account.
 * @param client as the migrator, not in a transaction; only members of the context role may ask
 */
export async function checkLookups(client: Queryable, roles: Record<RoleName, string>): Promise<Section> {
  await client.query('begin read only')
  await client.query(`set local role ${pg.escapeIdentifier(roles.context)}`)
  const { rows: users } = await client.query<{ count: number }>(
    'select count(*)::int as count from public.users',
  )
  const { rows: gaps } = await client.query<{ user_id: string; what: string }>(
    'select user_id, what from ctx.lookup_gaps() order by 1, 2',
  )
  await client.query('rollback')
  return {
    name: 'lookups',
    promise: 'finds each account by its address and its accounts at providers, and by nothing else',
    remedy:
      'Somebody wrote to users, user_providers or the look-up tables past the server. As the owner, make user_emails and user_identities say what users and user_providers say.',
    lookedAt: users[0]?.count ?? 0,
    findings: named(
      gaps.map(({ user_id, what }) => `the user ${user_id} ${what}`),
      false,
    ),
  }
}
