/**
 * The targets of the attacks, read from the catalogue: every relation outside of PostgreSQL's own schemas,
 * and the columns that each role may name in it.
 */
import pg from 'pg'
import type { RoleName } from '../../../src/database/role-names.ts'
import type { Somebody } from '../fixtures.ts'
import type { Ground } from './attack-database.ts'
import type { AttackRole } from './attacker.ts'

export type Right = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE'
export type Target = {
  oid: number
  /** The short name: without the schema `public`. */
  name: string
  /** Quoted, with its schema. */
  sql: string
  kind: 'table' | 'view' | 'sequence'
  /** The column that names a row's owner; null where rows have no owner, and every row is worth an attack. */
  owner: string | null
  /** All writable columns, with their types. */
  columns: Record<string, string>
  primaryKey: string[]
  /** Columns of unique keys: an additional row needs values of its own there. */
  unique: string[]
  /**
   * Columns of foreign keys and of conditions. PostgreSQL may refuse another row's value there for other
   * reasons than its owner.
   */
  constrained: string[]
  nullable: string[]
  /** Columns that a role may name for a verb. */
  rights: Record<AttackRole, Record<'SELECT' | 'INSERT' | 'UPDATE', string[]>>
}
/** A row as literals, by column. */
export type Sample = Record<string, string>

const ATTACK_ROLES: AttackRole[] = ['server', 'user', 'agent', 'auth', 'admin']

export async function readTargets({ superuser, roles }: Ground): Promise<Target[]> {
  const { rows } = await superuser.query<Omit<Target, 'rights'>>(
    `select c.oid, c.oid::regclass::text as name, format('%I.%I', n.nspname, c.relname) as sql,
        case when c.relkind in ('r', 'p') then 'table' when c.relkind = 'S' then 'sequence' else 'view' end as kind,
        case when c.relname = 'users' then 'id' else max(a.attname::text) filter (where a.attname = 'user_id') end as owner,
        jsonb_object_agg(a.attname, format_type(a.atttypid, a.atttypmod)) filter (where a.attgenerated = '') as columns,
        array(select k.attname::text from pg_index i join pg_attribute k on k.attrelid = i.indrelid and k.attnum = any(i.indkey)
          where i.indrelid = c.oid and i.indisprimary) as "primaryKey",
        array(select distinct k.attname::text from pg_index i join pg_attribute k on k.attrelid = i.indrelid and k.attnum = any(i.indkey)
          where i.indrelid = c.oid and i.indisunique) as "unique",
        array(select distinct k.attname::text from pg_constraint f join pg_attribute k on k.attrelid = f.conrelid and k.attnum = any(f.conkey)
          where f.conrelid = c.oid and f.contype in ('f', 'c')) as constrained,
        coalesce(array_agg(a.attname::text) filter (where not a.attnotnull), '{}') as nullable
      from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      group by c.oid, n.nspname order by 2`,
  )
  const rights = await superuser.query<{
    name: string
    role: string
    verb: 'SELECT' | 'INSERT' | 'UPDATE'
    columns: string[]
  }>(
    `select c.oid::regclass::text as name, role, verb, array_agg(a.attname::text order by a.attnum) as columns
      from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '',
        unnest($1::text[]) role, unnest('{SELECT,INSERT,UPDATE}'::text[]) verb
      where c.relkind <> 'i' and has_column_privilege(role, c.oid, a.attnum, verb) group by c.oid, role, verb`,
    [ATTACK_ROLES.map((role) => roles[role])],
  )
  return rows.map((row) => ({
    ...row,
    rights: Object.fromEntries(
      ATTACK_ROLES.map((role) => [
        role,
        Object.fromEntries(
          (['SELECT', 'INSERT', 'UPDATE'] as const).map((verb) => [
            verb,
            rights.rows.find(
              (right) =>
                right.name === row.name && right.role === roles[role as RoleName] && right.verb === verb,
            )?.columns ?? [],
          ]),
        ),
      ]),
    ) as Target['rights'],
  }))
}

/**
 * The condition that a row belongs to a person. It names the schema of each operator: some attacks put others
 * first in the path.
 */
export const ofSomebody = ({ owner }: Pick<Target, 'owner'>, { userId }: Somebody): string =>
  owner === null ? 'true' : `${pg.escapeIdentifier(owner)} operator(pg_catalog.=) '${userId}'::uuid`

/** A row of a person; undefined where they have none. */
export async function sampleOf(
  { superuser }: Ground,
  target: Target,
  somebody: Somebody,
): Promise<Sample | undefined> {
  const columns = Object.keys(target.columns)
  const list = columns.map((column) => `${pg.escapeIdentifier(column)}::text`).join(', ')
  const { rows } = await superuser.query<Record<string, string | null>>(
    `select ${list} from ${target.sql} where ${ofSomebody(target, somebody)} limit 1`,
  )
  const [row] = rows
  return row && Object.fromEntries(columns.map((column) => [column, literal(row[column] ?? null)]))
}
const literal = (value: string | null) => (value === null ? 'null' : pg.escapeLiteral(value))

/** A value of a type that no row has yet; undefined for a type without such values. */
export function freshValue(type: string): string | undefined {
  const fresh: Record<string, string> = {
    uuid: 'gen_random_uuid()',
    text: 'md5(random()::text)',
    bytea: 'sha256(random()::text::bytea)',
    macaddr: 'substr(md5(random()::text), 1, 12)::macaddr',
  }
  return fresh[type]
}

/** All rows of a person, as text, by table: to see whether any byte of them changed. */
export async function everythingOf(
  { superuser }: Ground,
  targets: Target[],
  somebody: Somebody,
): Promise<Record<string, string>> {
  const tables = targets.filter(({ kind, owner }) => kind === 'table' && owner !== null)
  const list = tables.map(
    (target) =>
      `(select coalesce(string_agg(t::text, E'\\n' order by t::text), '') from ${target.sql} t where ${ofSomebody(target, somebody)}) as "${target.name}"`,
  )
  const { rows } = await superuser.query<Record<string, string>>(`select ${list.join(', ')}`)
  return rows[0] ?? {}
}

/** All values in these rows that are long enough to be unique to this person. */
export const valuesOf = (everything: Record<string, string>): string[] => [
  ...new Set(Object.values(everything).flatMap((rows) => rows.match(/[\w.@-]{16,}/g) ?? [])),
]
