/**
 * Whether isolation works on this database. The server checks this before it serves requests, and "npm run
 * doctor" at any time. It checks the roles of the connection strings, PostgreSQL's version, its clock, the
 * migrations and the catalogue. `catalogue/check.ts` says what refuses a start and what only warns. It reads
 * with the rights of the server's login, in a few milliseconds and one transaction.
 */
import type pg from 'pg'
import { cannotConnect } from '../client.ts'
import { editedRemedy, type Migration } from '../migrations/runner.ts'
import { compareWithApplied } from '../readiness.ts'
import type { RoleName } from '../role-names.ts'
import type { CatalogueCheck, Finding, Queryable, Result } from './check.ts'
import { RIGHTS } from './rights.ts'
import { functionBodies, seal } from './seal.ts'
import { TABLES } from './tables.ts'

export type Section = Omit<CatalogueCheck, 'check'> & Result & { name: string }
/**
 * A connection, the variable that holds its string, and the role that it is meant to use. Only the migrator
 * may assume the owner.
 */
export type Login = { variable: string; role: string; db: Queryable; migrates?: boolean }

export const CATALOGUE = { ...TABLES, ...RIGHTS }
const VARIABLES = { server: 'DATABASE_URL', auth: 'DATABASE_AUTH_URL', admin: 'DATABASE_ADMIN_URL' } as const

const refusal = (what: string): Finding => ({ what, isWarning: false })
const warning = (what: string): Finding => ({ what, isWarning: true })
/** Whether these findings forbid a server to serve requests. */
export const refuses = ({ findings }: Section): boolean => findings.some(({ isWarning }) => !isWarning)

/**
 * The checks of a start. If the logins or the migrations are wrong, it leaves out the findings that follow
 * from that.
 */
export async function selfCheck(
  pools: Record<keyof typeof VARIABLES, pg.Pool>,
  migrations: Migration[],
  roles: Record<RoleName, string>,
): Promise<Section[]> {
  const purposes = Object.keys(VARIABLES) as (keyof typeof VARIABLES)[]
  const logins = await checkLogins(
    await Promise.all(
      purposes.map(async (purpose) => {
        const [variable, db] = [VARIABLES[purpose], pools[purpose]]
        await db.query('select').catch((error) => {
          throw cannotConnect(variable, error)
        })
        return { variable, role: roles[purpose], db }
      }),
    ),
  )
  if (refuses(logins)) return [logins]
  const client = await pools.server.connect()
  let failure: Error | undefined
  try {
    return [logins, ...(await checkDatabase(client, migrations, roles))]
  } catch (error) {
    failure = error as Error
    throw error
  } finally {
    client.release(failure)
  }
}

/**
 * What `catalogue` and `seal` promise, of this version and its migrations.
 * @param client one connection, in pipeline mode, in no transaction
 */
export async function checkDatabase(
  client: Queryable,
  migrations: Migration[],
  roles: Record<RoleName, string>,
): Promise<Section[]> {
  const { rows } = await client.query<{ number: number; name: string }>(
    `select current_setting('server_version_num')::int as number, current_setting('server_version') as name`,
  )
  const version = {
    name: 'version',
    promise: 'is a PostgreSQL whose row security has no known hole',
    remedy: 'Bring PostgreSQL to the newest minor version of its major version.',
    lookedAt: rows.length,
    findings: rows.flatMap(({ number, name }) => versionFindings(number, name)),
  }
  const clock = await checkClock(client)
  const migrated = await checkMigrations(client, migrations)
  if (refuses(migrated)) return [version, clock, migrated]

  // PostgreSQL prints names as seen from `public`, and does not spend time on JIT compilation.
  const preparation = ['begin read only', 'set local search_path = public', 'set local jit = off']
  await Promise.all(preparation.map((statement) => client.query(statement)))
  const checks = Object.entries({ ...CATALOGUE, bodies: functionBodies(migrations) })
  const catalogue = await Promise.all(checks.map(([name, promised]) => run(name, promised)))
  const sealed = await run('seal', seal)
  await client.query('rollback')
  return [version, clock, migrated, ...catalogue, sealed]

  async function run(name: string, { promise, remedy, check }: CatalogueCheck): Promise<Section> {
    return { name, promise, remedy, ...(await check(client, roles)) }
  }
}

/** Whether each login is the intended one, and bound by row security. */
export async function checkLogins(logins: Login[]): Promise<Section> {
  const findings = await Promise.all(logins.map(loginFindings))
  return {
    name: 'logins',
    promise: 'is reached by logins that row security binds',
    remedy:
      'Run "npm run setup" with an administrator\'s URL and use the connection strings that it prints. (Is DATABASE_ROLE_PREFIX right?)',
    lookedAt: logins.length,
    findings: findings.flat(),
  }
}

async function loginFindings({ variable, role, db, migrates }: Login): Promise<Finding[]> {
  const { rows } = await db.query<
    Record<'superuser' | 'bypass' | 'mayBypass' | 'owns', boolean> & { name: string }
  >(
    `select r.rolname as name, r.rolsuper as superuser, r.rolbypassrls as bypass,
        exists (select from pg_roles p where (p.rolsuper or p.rolbypassrls) and pg_has_role(r.oid, p.oid, 'MEMBER')) as "mayBypass",
        exists (select from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
          and pg_has_role(r.oid, c.relowner, 'MEMBER')) as owns
      from pg_roles r where r.rolname = current_user`,
  )
  return rows.flatMap(({ name, superuser, bypass, mayBypass, owns }) => {
    if (superuser)
      return refusal(`${variable}: the role ${name} is a superuser, whom row security does not bind`)
    if (bypass)
      return refusal(`${variable}: the role ${name} has BYPASSRLS, so row security does not bind it`)
    if (mayBypass)
      return refusal(`${variable}: the role ${name} may become one that row security does not bind`)
    if (owns && !migrates)
      return refusal(
        `${variable}: the role ${name} owns tables, or may become who does, and could switch row security off`,
      )
    return name === role ? [] : refusal(`${variable} names the role ${name}, but ${role} is needed there`)
  })
}

/** Beyond this, servers refuse each other's tokens, and expiry comes early or late. */
const MAX_CLOCK_DIFFERENCE_SECONDS = 30

async function checkClock(db: Queryable): Promise<Section> {
  const { rows } = await db.query<{ seconds: number }>(
    'select extract(epoch from clock_timestamp())::float8 as seconds',
  )
  const ahead = rows.map(({ seconds }) => Math.round(seconds - Date.now() / 1_000))
  return {
    name: 'clock',
    promise:
      "has the same time as this machine, to within half a minute, or tokens of one server are another's 401",
    remedy: 'Keep both clocks right with NTP.',
    lookedAt: rows.length,
    findings: ahead
      .filter((seconds) => Math.abs(seconds) > MAX_CLOCK_DIFFERENCE_SECONDS)
      .map((seconds) =>
        warning(
          `the database's clock is ${Math.abs(seconds)} seconds ${seconds > 0 ? 'ahead of' : 'behind'} this machine's`,
        ),
      ),
  }
}

async function checkMigrations(db: Queryable, migrations: Migration[]): Promise<Section> {
  const { missing, edited, unknown } = await compareWithApplied(db, migrations)
  return {
    name: 'migrations',
    promise: 'has every migration, as this version has it',
    remedy:
      edited.length > 0
        ? editedRemedy(migrations, edited).trimStart()
        : 'Run "npm run migrate". What is unknown: start the newer version, or undo it there ("npm run migrate -- --back-to NAME").',
    lookedAt: migrations.length + unknown.length,
    findings: [
      ...missing.map((name) => refusal(`missing: ${name}`)),
      ...edited.map((name) => refusal(`applied by another build, whose file differs: ${name}`)),
      // This version cannot judge what a newer version changed in the database.
      ...unknown.map((name) => refusal(`unknown, of a newer version: ${name}`)),
    ],
  }
}

/** Before this version, statistics show hidden rows (CVE-2025-8713). */
const FLOOR = 150_014
/** The versions that fix the newest known vulnerability for users who can run SQL, CVE-2026-6473. */
const MENDED: Record<number, number> = { 15: 150_018, 16: 160_014, 17: 170_010, 18: 180_004 }
const NEWEST_KNOWN = 18

/** @param number as `server_version_num` has it @param name the same in words */
export function versionFindings(number: number, name: string): Finding[] {
  const major = Math.floor(number / 10_000)
  const mended = MENDED[major] ?? 0
  if (number < FLOOR) return [refusal(`PostgreSQL 15.14 or later is needed; this is ${name}`)]
  if (number < mended)
    return [
      warning(`PostgreSQL ${name} lacks the fix of CVE-2026-6473, which ${major}.${mended % 10_000} has`),
    ]
  return major > NEWEST_KNOWN
    ? [warning(`PostgreSQL ${name} is newer than this version of NetPilot knows`)]
    : []
}

/**
 * The sections with findings, as lines: what must be true, what differs, and what to do. `isTold` selects the
 * findings; without it, the lines contain all.
 */
export function explain(sections: Section[], isTold: (finding: Finding) => boolean = () => true): string[] {
  return sections.flatMap(({ name, promise, remedy, findings }) => {
    const told = findings.filter(isTold)
    return told.length === 0
      ? []
      : [
          `${name}: check failed. Expected: the database ${promise}. Found:`,
          ...told.map(({ what }) => `  - ${what}`),
          `  ${remedy}`,
        ]
  })
}
