/** Other forms that the database may have: every rule of the first form must also be true in them. */
import { OPEN_POLICIES, POLICIES, SIGN_IN_POLICIES } from '../../../src/database/catalogue/expected-tables.ts'
import { conditionOf, type Shown } from '../../../src/rls/policies.ts'
import type { Ground } from './attack-database.ts'

const SHOWN: Record<string, Shown> = {
  user: 'own',
  agent: 'of the router',
  auth: 'own',
  admin: 'everybody’s, to an administrator',
}
const shownBy = (policy: string): Shown =>
  OPEN_POLICIES.includes(policy)
    ? 'all'
    : SIGN_IN_POLICIES.includes(policy)
      ? 'own, or everybody’s while nobody is signed in'
      : (SHOWN[policy.replace(/.*_/, '')] as Shown)

/** Writes every policy in the form for distributed tables, or in the usual one. */
export async function writePolicies(
  { superuser }: Pick<Ground, 'superuser'>,
  isDistributed: boolean,
): Promise<void> {
  for (const [table, whose] of Object.entries(POLICIES))
    for (const who of whose.split(' ')) {
      const columns = {
        ...(table === 'users' && { owner: 'id' }),
        ...(table === 'user_routers' && { router: 'id' }),
      }
      const condition = conditionOf(shownBy(`${table}_${who}`), columns, isDistributed)
      await superuser.query(
        `alter policy ${table}_${who} on ${table} using (${condition})${who === 'everyone' ? '' : ` with check (${condition})`}`,
      )
    }
}

/**
 * Uses the form for distributed tables: policies without a sub-select, and a seal that is valid for its
 * minute on any backend.
 */
export async function distribute(ground: Ground): Promise<void> {
  await writePolicies(ground, true)
  await ground.superuser.query('update ctx.seal_key set is_bound = false')
}

/**
 * Removes the fence, as on a host that refuses it to an administrator who is no superuser. PUBLIC then has
 * every right that PostgreSQL gives it.
 */
export async function takeFenceDown({ superuser, leakproof }: Ground): Promise<void> {
  const { rows } = await superuser.query<{ signature: string }>(
    `select p.oid::regprocedure::text as signature from pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace and p.proacl is not null
        and not exists (select from pg_init_privs i where i.objoid = p.oid and i.classoid = 'pg_proc'::regclass)`,
  )
  for (const { signature } of rows) await superuser.query(`grant execute on function ${signature} to public`)
  await superuser.query('grant usage on language plpgsql to public')
  for (const signature of leakproof) await superuser.query(`alter function ${signature} leakproof`)
}
