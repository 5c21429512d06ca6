/**
 * The setup that an administrator runs once per database (`npm run setup`); it is repeatable. It creates
 * roles, memberships, schemas and the fence. The fence takes from PUBLIC the built-in functions that let an
 * injected statement outlive or leave its transaction. It also removes the LEAKPROOF mark from functions, so
 * that PostgreSQL does not run their conditions before a policy. A hosted PostgreSQL may refuse parts of it
 * to an administrator who is no superuser. The answer names the refused parts, and nothing else depends on
 * them.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import { FENCED, LEAKPROOF } from './catalogue/expected-grants.ts'
import { openClient } from './client.ts'
import { type RoleName, roleNames } from './role-names.ts'

export type LoginRole = 'migrator' | 'server' | 'auth' | 'admin' | 'backup' | 'monitor'
export type SetupOptions = {
  /** Connection string of an administrator: a superuser, or a role with CREATEROLE that owns the database. */
  adminUrl: string
  rolePrefix: string
  /**
   * New passwords of the login roles. A role without one here keeps its password, or cannot log in with a
   * password yet.
   */
  passwords: Partial<Record<LoginRole, string>>
}
export type SetupReport = {
  created: RoleName[] /** Steps that the server refused, each with its reason. */
  refused: string[]
}

const LOGINS: LoginRole[] = ['migrator', 'server', 'auth', 'admin', 'backup', 'monitor']

const OF_SERVING = {
  statement_timeout: '5s',
  lock_timeout: '2s',
  idle_in_transaction_session_timeout: '10s',
  temp_file_limit: '512MB',
}
/**
 * Set on the login roles, because SET ROLE does not load a role's settings (docs/decisions/0002-roles.md).
 * Values without a unit are milliseconds.
 */
const LOGIN_SETTINGS: Partial<Record<LoginRole, Record<string, string>>> = {
  server: OF_SERVING,
  auth: OF_SERVING,
  admin: OF_SERVING,
  migrator: { lock_timeout: '5s' },
}

/**
 * How often a setup restarts after a conflict with the setup of another database of the cluster. The
 * catalogue accepts one change of a role at a time.
 */
const ATTEMPTS = 20
const MAX_PAUSE_MS = 200
/** An arbitrary fixed number that identifies the lock within the database. */
const LOCK = 7_265_714

export async function setUpDatabase(options: SetupOptions): Promise<SetupReport> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await setUpOnce(options)
    } catch (error) {
      const { code, message } = error as pg.DatabaseError
      const metAnother =
        message.includes('concurrently') || code === '42710' || code === '23505' || code === '42P06'
      if (!metAnother || attempt === ATTEMPTS) throw error
      await setTimeout(Math.random() * MAX_PAUSE_MS)
    }
  }
}

async function setUpOnce({ adminUrl, rolePrefix, passwords }: SetupOptions): Promise<SetupReport> {
  const names = roleNames(rolePrefix)
  const id = (role: RoleName) => pg.escapeIdentifier(names[role])
  const client = await openClient(adminUrl, 'netpilot setup', 'DATABASE_SETUP_URL')
  const report: SetupReport = { created: [], refused: [] }
  const attempt = async (what: string, statement: string) => {
    await client.query(statement).catch((error: pg.DatabaseError) => {
      rethrowRaces(error)
      report.refused.push(`${what}: ${error.message}`)
    })
  }
  try {
    // One setup of a database runs at a time. After the first, the fence denies this function to an
    // administrator who is no superuser.
    await client.query('select pg_advisory_lock($1)', [LOCK]).catch((error: pg.DatabaseError) => {
      if (error.code !== '42501') throw error
    })
    const { rows: existing } = await client.query<{ rolname: string }>(
      'select rolname from pg_roles where rolname = any($1)',
      [Object.values(names)],
    )
    const { rows: self } = await client.query<{
      name: string
      database: string
      superuser: boolean
      boundsFiles: boolean
    }>(
      `select current_user as name, current_database() as database, rolsuper as superuser,
          has_parameter_privilege('temp_file_limit', 'set') as "boundsFiles" from pg_roles where rolname = current_user`,
    )
    const me = pg.escapeIdentifier(self[0]?.name ?? '')
    const database = pg.escapeIdentifier(self[0]?.database ?? '')
    const isSuperuser = self[0]?.superuser ?? false

    for (const role of Object.keys(names) as RoleName[]) {
      if (existing.some(({ rolname }) => rolname === names[role])) continue
      await client.query(`create role ${id(role)} nologin noinherit`)
      report.created.push(role)
    }
    const defaults = await readDefaults(client, Object.values(names))
    for (const role of LOGINS) {
      // A setting that a login made for itself, with its password, would outlast its connection. The reset is
      // in one transaction with the intended settings: a connection made in between would have no limits on
      // time and temporary files.
      await client.query('begin')
      await client.query(`alter role ${id(role)} reset all`)
      const verifier =
        passwords[role] === undefined ? '' : ` password ${pg.escapeLiteral(scramVerifier(passwords[role]))}`
      await client.query(`alter role ${id(role)} login${verifier}`)
      for (const [setting, value] of Object.entries(LOGIN_SETTINGS[role] ?? {})) {
        if (setting === 'temp_file_limit' && !self[0]?.boundsFiles)
          report.refused.push(`a bound on temporary files of ${names[role]}: it takes a superuser`)
        else await client.query(`alter role ${id(role)} set ${setting} = ${pg.escapeLiteral(value)}`)
      }
      await client.query('commit')
    }
    for (const statement of defaults) await attempt('privileges given in advance', statement)
    await client.query(`grant ${id('user')}, ${id('agent')} to ${id('server')}`)
    await client.query(`grant ${id('owner')}, ${id('context')} to ${id('migrator')}`)
    // These two roles use rights of PostgreSQL's own roles without assuming them.
    await client.query(`alter role ${id('backup')} inherit`)
    await client.query(`alter role ${id('monitor')} inherit`)
    await attempt('backup may read every row (BYPASSRLS)', `alter role ${id('backup')} bypassrls`)
    await attempt('backup may read every table', `grant pg_read_all_data to ${id('backup')}`)
    await attempt('monitor may read statistics', `grant pg_monitor to ${id('monitor')}`)

    // To create a schema for a role, an administrator must be able to assume that role. An administrator who
    // is no superuser gets that right temporarily.
    if (!isSuperuser) await client.query(`grant ${id('owner')}, ${id('context')} to ${me}`)
    await client.query(`create schema if not exists drizzle authorization ${id('owner')}`)
    await client.query(`create schema if not exists ctx authorization ${id('context')}`)
    if (!isSuperuser) await client.query(`revoke ${id('owner')}, ${id('context')} from ${me}`)
    await client.query(`revoke all on schema public from public`)
    await client.query(`grant usage, create on schema public to ${id('owner')}`)
    await client.query(
      `grant usage on schema public to ${(['context', 'server', 'user', 'agent', 'admin', 'auth', 'backup'] as const).map(id).join(', ')}`,
    )
    await client.query(`revoke all on database ${database} from public`)
    await client.query(`grant connect on database ${database} to ${LOGINS.map(id).join(', ')}`)

    await attempt(
      'PL/pgSQL blocks for the owner of the schema only',
      `revoke usage on language plpgsql from public`,
    )
    await attempt(
      'PL/pgSQL for migrations',
      `grant usage on language plpgsql to ${id('owner')}, ${id('context')}`,
    )
    const { rows: functions } = await client.query<{ signature: string }>(
      `select p.oid::regprocedure::text as signature from pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace and ${FENCED}`,
    )
    // One statement per function: a host that refuses some of them need not refuse all.
    for (const { signature } of functions)
      await client.query(`revoke execute on function ${signature} from public`).catch(rethrowRaces)
    // All in one statement: only a superuser may change any, and may then change each. The query leaves out
    // what an earlier setup changed.
    const { rows: leakproof } = await client.query<{ signature: string }>(
      `select p.oid::regprocedure::text as signature from pg_proc p where ${OPEN_LEAKPROOF}`,
      [Object.keys(LEAKPROOF)],
    )
    const statements = leakproof.map(({ signature }) => `alter function ${signature} not leakproof`)
    await client.query(statements.join(';')).catch(rethrowRaces)
    // pg_dump and its scripts call set_config; the migration runner takes an advisory lock.
    await attempt(
      'set_config for backups',
      `grant execute on function set_config(text, text, boolean) to ${id('backup')}, ${id('migrator')}, ${id('monitor')}`,
    )
    await attempt(
      'wake-ups by the identity functions',
      `grant execute on function pg_notify(text, text) to ${id('context')}`,
    )
    await attempt(
      'advisory locks for migrations',
      `grant execute on function pg_advisory_lock(bigint), pg_advisory_unlock(bigint) to ${id('migrator')}`,
    )
    report.refused.push(...(await findGaps(client)))
    return report
  } finally {
    await client.end()
  }
}

/** Restores the default privileges that our roles grant in advance: these roles are to create nothing. */
async function readDefaults(client: pg.Client, roles: string[]): Promise<string[]> {
  const { rows } = await client.query<{ revoke: string; grant: string | null }>(
    `select prefix || ' revoke all on ' || kind || ' from ' || string_agg(distinct grantee, ', ') as revoke,
        case when is_global then concat_ws('; ', prefix || ' grant all on ' || kind || ' to ' || role,
          prefix || case kind when 'functions' then ' grant execute on functions to public' when 'types' then ' grant usage on types to public' end) end as grant
      from (select format('alter default privileges for role %I', r.rolname) || coalesce(' in schema ' || quote_ident(n.nspname), '') as prefix,
          quote_ident(r.rolname) as role, n.oid is null as is_global, case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as grantee,
          case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types' when 'n' then 'schemas' else 'large objects' end as kind
        from pg_default_acl d join pg_roles r on r.oid = d.defaclrole left join pg_namespace n on n.oid = d.defaclnamespace, aclexplode(d.defaclacl) a
        where r.rolname = any ($1)) given
      group by prefix, kind, role, is_global`,
    [roles],
  )
  return rows.map(({ revoke, grant }) => (grant === null ? revoke : `${revoke}; ${grant}`))
}

/**
 * Built-in functions that PostgreSQL would run before a policy, and should not: a condition on `pg_proc p`.
 */
const OPEN_LEAKPROOF = `p.proleakproof and p.pronamespace = 'pg_catalog'::regnamespace and p.oid::regprocedure::text <> all ($1)`

/**
 * Rethrows a conflict with another setup of the same cluster, so that this setup restarts. `findGaps` reports
 * the effect of any other refusal.
 */
function rethrowRaces(error: pg.DatabaseError): void {
  if (error.code === 'XX000') throw error
}

/** The parts of the fence that did not take effect: PostgreSQL only warns when a REVOKE has no effect. */
async function findGaps(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ gap: string }>(
    `select p.oid::regprocedure::text as gap from pg_proc p
      where p.pronamespace = 'pg_catalog'::regnamespace and ${FENCED} and has_function_privilege('public', p.oid, 'execute')
     union all select 'PL/pgSQL blocks' where has_language_privilege('public', 'plpgsql', 'usage')
     union all select concat(count(*), ' comparisons that run before a policy') from pg_proc p where ${OPEN_LEAKPROOF} having count(*) > 0 order by 1`,
    [Object.keys(LEAKPROOF)],
  )
  return rows.length === 0
    ? []
    : [`what should be closed to everybody stays open: ${rows.map(({ gap }) => gap).join(', ')}`]
}

/** 32 random bytes, URL-safe, so that a connection string can contain them as they are. */
export const newPassword = (): string => randomBytes(32).toString('base64url')

/**
 * The SCRAM-SHA-256 verifier (RFC 5803) of a password. With it, the password itself never appears as a
 * literal in SQL or in a server's log.
 */
function scramVerifier(password: string): string {
  const salt = randomBytes(16)
  const iterations = 4096
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, iterations, 32, 'sha256')
  const sign = (text: string) => createHmac('sha256', salted).update(text).digest()
  const storedKey = createHash('sha256').update(sign('Client Key')).digest('base64')
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${sign('Server Key').toString('base64')}`
}
