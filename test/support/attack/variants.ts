/** Other forms that the database may have: everything that holds in the first must hold in them. */
import type { Ground } from './ground.ts'

/** As tables are distributed: policies in the plain form, from the catalogue, and a seal that is good for its minute on any backend. */
export async function distribute({ superuser }: Ground): Promise<void> {
  const plain = (expression: string) =>
    `regexp_replace(pg_get_expr(${expression}, polrelid), '\\( SELECT (ctx\\.\\w+\\(\\)) AS \\w+\\)', '\\1', 'g')`
  const { rows } = await superuser.query<{ statement: string }>(
    `select format('alter policy %I on %s', polname, polrelid::regclass) || coalesce(' using (' || ${plain('polqual')} || ')', '')
        || coalesce(' with check (' || ${plain('polwithcheck')} || ')', '') as statement from pg_policy`,
  )
  for (const { statement } of rows) await superuser.query(statement)
  await superuser.query('update ctx.seal_key set is_bound = false')
}

/** As a host has it that refuses the fence to an administrator who is no superuser: what PostgreSQL gives to everybody, everybody has. */
export async function takeFenceDown({ superuser, leakproof }: Ground): Promise<void> {
  const { rows } = await superuser.query<{ signature: string }>(
    `select p.oid::regprocedure::text as signature from pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace and p.proacl is not null
        and not exists (select from pg_init_privs i where i.objoid = p.oid and i.classoid = 'pg_proc'::regclass)`,
  )
  for (const { signature } of rows) await superuser.query(`grant execute on function ${signature} to public`)
  await superuser.query('grant usage on language plpgsql to public')
  for (const signature of leakproof) await superuser.query(`alter function ${signature} leakproof`)
}
