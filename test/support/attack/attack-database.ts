/** A database to attack, with separate roles, in which three people have a row in every table. */
import pg from 'pg'
import { type RoleName, roleNames } from '../../../src/database/role-names.ts'
import { asAdmin, loginUrl, prepare, separateDatabase, type TestDatabase } from '../database.ts'
import { createUserWithAllRows, type Somebody } from '../fixtures.ts'

export type Login = 'server' | 'auth' | 'admin'
export type Ground = {
  roles: Record<RoleName, string>
  /** A superuser, who bypasses row security. */
  superuser: pg.Client
  version: number
  /** The functions that PostgreSQL ships as LEAKPROOF. */
  leakproof: string[]
  /** The attacker. */
  ada: Somebody
  /**
   * The victim, whose rows no other person may see. A new person replaces the victim after an attack that is
   * meant to succeed took something from them.
   */
  bob: Somebody
  /** An administrator, who is no target: `expected-access.ts` lists what the role may do anyway. */
  root: Somebody
  /** A raw connection, without a guarded client. `options` are initial settings, as libpq takes them. */
  connect(login: Login, options?: string): Promise<pg.Client>
  close(): Promise<void>
}

/** The run drops what this creates, by the names. */
export async function createAttackDatabase(main: TestDatabase, name: string): Promise<Ground> {
  // Separate roles: an attack on a role, for example on its password, affects no other test.
  const database = {
    ...(await separateDatabase(main, `attack_${name}`)),
    rolePrefix: `${main.rolePrefix}${name}_`,
  }
  const leakproof = await asAdmin(database.adminUrl, async (client) => {
    const { rows } = await client.query<{ signature: string }>(
      'select p.oid::regprocedure::text as signature from pg_proc p where p.proleakproof',
    )
    return rows.map(({ signature }) => signature)
  })
  await prepare(database)
  const open = new Set<pg.Client>()
  const connectTo = async (connectionString: string, options?: string) => {
    const client = new pg.Client({ connectionString, ...(options !== undefined && { options }) })
    await client.connect()
    client.once('end', () => open.delete(client))
    open.add(client)
    return client
  }
  const superuser = await connectTo(database.adminUrl)
  const [ada, bob, root] = [
    await createUserWithAllRows(superuser),
    await createUserWithAllRows(superuser),
    await createUserWithAllRows(superuser),
  ]
  await superuser.query(`update users set role = 'admin' where id = $1`, [root.userId])
  // Statistics contain values of all people; they must exist before an attack reads them.
  await superuser.query('analyze')
  const { rows } = await superuser.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  )
  return {
    roles: roleNames(database.rolePrefix),
    superuser,
    version: rows[0]?.version ?? 0,
    leakproof,
    ada,
    bob,
    root,
    connect: (login, options) => connectTo(loginUrl(database, login), options),
    close: async () => {
      await Promise.all([...open].map((client) => client.end()))
    },
  }
}
