/**
 * Compares the catalogue with what it is meant to contain. Every difference is a finding, in either
 * direction: a missing policy as much as an additional grant. This file and the `apart` of each query decide
 * what a finding means for a start:
 *
 * - It refuses the start when it concerns what belongs to NetPilot (its schemas, tables, functions, roles),
 *   or what the roles that serve requests can reach. It may switch row security off or widen it, or the
 *   schema may not belong to this version.
 * - It warns when it belongs to an operator and not to NetPilot: a schema, an extension, a role that may
 *   connect, an index, a tuned limit, a publication. It also warns about what a hosted PostgreSQL cannot
 *   grant: a part of the fence, or a right of the roles for backup, monitoring and migration. The seal works
 *   without them.
 *
 * The check reports an extension, but not what the extension contains. A role without any rights may read
 * everything that the queries need.
 */
import type pg from 'pg'
import type { RoleName } from '../role-names.ts'

/**
 * A difference in words: what is missing, or not meant. Roles appear without their prefix, and roles that are
 * not NetPilot's in quotes.
 */
export type Finding = { what: string; isWarning: boolean }
export type Result = { lookedAt: number; findings: Finding[] }
export type Queryable = Pick<pg.ClientBase, 'query'>
export type Check = (client: Queryable, roles: Record<RoleName, string>) => Promise<Result>
export type CatalogueCheck = {
  /** What is true, as the rest of a sentence about the database. */
  promise: string
  /** What to do when it is not true. */
  remedy: string
  check: Check
}

/** Every query begins with our roles, and whether each serves requests or does another job. */
const OURS = `with ours as (
  select r.oid, given.name, given.name in ('server', 'auth', 'admin', 'user', 'agent') as serves
  from unnest($1::text[], $2::text[]) as given (role, name) join pg_roles r on r.rolname = given.role)`

const rowsOf = async <Row extends pg.QueryResultRow>(
  client: Queryable,
  roles: Record<RoleName, string>,
  text: string,
) => (await client.query<Row>(`${OURS} ${text}`, [Object.values(roles), Object.keys(roles)])).rows

/**
 * Every `line` that the query finds is a meant one, and the query finds every meant line. An additional line
 * only warns when it is `apart`, and a missing one when it matches `mayLack`.
 */
export const expectExactly = (meant: string[], text: string, mayLack?: RegExp): Check => {
  const expected = new Set(meant)
  return async (client, roles) => {
    const rows = await rowsOf<{ line: string; apart: boolean }>(client, roles, text)
    const found = new Map(rows.map(({ line, apart }) => [line, apart]))
    return {
      lookedAt: new Set([...expected, ...found.keys()]).size,
      findings: [
        ...meant
          .filter((line) => !found.has(line))
          .map((line) => ({ what: `missing: ${line}`, isWarning: mayLack?.test(line) ?? false })),
        ...[...found]
          .filter(([line]) => !expected.has(line))
          .map(([line, isWarning]) => ({ what: `not meant: ${line}`, isWarning })),
      ],
    }
  }
}

/** None of the lines that the query finds is a `fault`. */
export const expectNone =
  (text: string): Check =>
  async (client, roles) => {
    const rows = await rowsOf<{ line: string; fault: boolean; apart: boolean }>(client, roles, text)
    const faults = rows.filter(({ fault }) => fault)
    return {
      lookedAt: rows.length,
      findings: faults.map(({ line, apart }) => ({ what: `not meant: ${line}`, isWarning: apart })),
    }
  }

// Parts of queries. In them `n` is the schema, and `a` an item of an access list, as `aclexplode` returns it.

/** Other checks cover PostgreSQL's own schemas, including those of temporary tables. */
export const NOT_BUILT_IN = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema'`
export const OUR_SCHEMA = `n.nspname in ('public', 'ctx', 'drizzle')`
export const IS_OURS = (role: string) => `${role} in (select oid from ours)`
export const WITHIN_REACH = `exists (select from ours where serves and has_schema_privilege(ours.oid, n.oid, 'usage'))`
export const TO_SERVING = `(a.grantee = 0 or a.grantee in (select oid from ours where serves))`
export const TO_US = `(a.grantee = 0 or ${IS_OURS('a.grantee')})`
export const OF_EXTENSION = (catalogue: string, oid: string) =>
  `exists (select from pg_depend e where e.classid = '${catalogue}'::regclass and e.objid = ${oid} and e.deptype = 'e')`
/** PostgreSQL reserves names that begin with pg_ for itself. */
export const ROLE = (oid: string) => `case ${oid} when 0 then 'PUBLIC'
  else coalesce((select name from ours where ours.oid = ${oid}), regexp_replace(pg_get_userbyid(${oid}), '^(?!pg_)(.*)$', '"\\1"')) end`
export const GRANT = `concat('grant ', ${ROLE('a.grantee')}, ' ', a.privilege_type, case when a.is_grantable then ' WITH GRANT OPTION' end, ' '`
