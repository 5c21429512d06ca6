/** Checks that each table is as it is meant to be: row security, policies, keys, and triggers and rules. */
import {
  type CatalogueCheck,
  expectExactly,
  expectNone,
  IS_OURS,
  NOT_BUILT_IN,
  OF_EXTENSION,
  OUR_SCHEMA,
  ROLE,
} from './check.ts'
import { GRANTS } from './expected-grants.ts'
import {
  KEYS,
  LOOKUPS,
  OPEN_POLICIES,
  POLICIES,
  SECURITY_CONDITIONS,
  SIGN_IN_POLICIES,
} from './expected-tables.ts'

const policyLines = Object.entries(POLICIES).flatMap(([table, whose]) =>
  whose.split(' ').map((who) => {
    const owner = table === 'users' ? 'id' : 'user_id'
    const router = table === 'user_routers' ? 'id' : 'router_id'
    const own = `((${owner}, true) = ( SELECT ctx.uid() AS uid, true))`
    const ofRouter = `((${owner}, ${router}, true) = ( SELECT ctx.agent_uid() AS agent_uid, ctx.agent_router() AS agent_router, true))`
    const ownOnceSignedIn = `(${owner} = COALESCE(( SELECT ctx.uid() AS uid), ${owner}))`
    const admins = '( SELECT ctx.is_admin() AS is_admin)'
    const name = `${table}_${who}`
    const rows = OPEN_POLICIES.includes(name)
      ? 'true'
      : SIGN_IN_POLICIES.includes(name)
        ? ownOnceSignedIn
        : who === 'agent'
          ? ofRouter
          : who === 'admin'
            ? admins
            : own
    const what =
      who === 'everyone'
        ? `SELECT to agent, user using ${rows}`
        : `ALL to ${who} using ${rows} with check ${rows}`
    return `policy ${name} on ${table} for ${what}`
  }),
)
const keyLines = Object.entries(KEYS).flatMap(([table, keys]) =>
  Object.entries(keys).map(([name, definition]) => `key ${table}_${name} of ${table}: ${definition}`),
)

const OWNED = `c.relnamespace = 'public'::regnamespace and c.relname not in ('users', 'oui_prefixes', 'sign_in_attempts', 'rate_counters')
  and not ${OF_EXTENSION('pg_class', 'c.oid')}`
/** The first column of each index of a table. */
const LED_BY = `case c.relname when 'users' then 'id' ${Object.entries(LOOKUPS)
  .map(([table, column]) => `when '${table}' then '${column}'`)
  .join(' ')} else 'user_id' end`
const IS_LOOKUP = `c.relname in (${Object.keys(LOOKUPS)
  .map((table) => `'${table}'`)
  .join(', ')})`
const NOT_OURS = `not (${OUR_SCHEMA})`
const CHANGED = 'Take the change back, as the owner (which the migrator may become).'

export const TABLES = {
  relations: {
    promise:
      'has tables of the owner only, each with row security enabled and forced, and no other way to their rows',
    remedy: `${CHANGED} For a table: ALTER TABLE … ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY.`,
    check: expectExactly(
      [
        ...Object.keys(GRANTS).map((table) => `table ${table} of owner with row security, forced`),
        'table drizzle.migrations of owner',
        'table ctx.acts of context with row security',
        'table ctx.seal_key of context with row security',
        'schema ctx of context',
        'schema drizzle of owner',
        'schema public of administrators',
      ],
      `select concat(case c.relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'
          when 'm' then 'materialized view' when 'S' then 'sequence' when 'f' then 'foreign table' else 'type' end, ' ',
          c.oid::regclass, ' of ', ${ROLE('c.relowner')},
          case when c.relrowsecurity then ' with row security' end, case when c.relforcerowsecurity then ', forced' end) as line,
          not (${OUR_SCHEMA} or ${IS_OURS('c.relowner')}) as apart
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where ${NOT_BUILT_IN} and c.relkind not in ('i', 'I') and not ${OF_EXTENSION('pg_class', 'c.oid')}
      union all select concat('schema ', n.nspname, ' of ', case when n.nspname = 'public' and (o.rolname = 'pg_database_owner'
          or o.rolsuper or o.rolcreaterole) then 'administrators' else ${ROLE('n.nspowner')} end),
          not (${OUR_SCHEMA} or ${IS_OURS('n.nspowner')})
        from pg_namespace n join pg_roles o on o.oid = n.nspowner where ${NOT_BUILT_IN} and not ${OF_EXTENSION('pg_namespace', 'n.oid')}`,
    ),
  },

  policies: {
    promise: 'has the policies that are meant, the same for reading and writing, and no other',
    remedy: `${CHANGED} Each policy is in drizzle/*.sql.`,
    check: expectExactly(
      policyLines,
      `select concat(case when not polpermissive then 'restrictive ' end, 'policy ', polname, ' on ', polrelid::regclass,
          ' for ', case polcmd when '*' then 'ALL' when 'r' then 'SELECT' else polcmd::text end,
          ' to ', (select string_agg(${ROLE('r')}, ', ' order by ${ROLE('r')}) from unnest(polroles) r),
          ' using ' || regexp_replace(pg_get_expr(polqual, polrelid), '\\s+', ' ', 'g'),
          ' with check ' || regexp_replace(pg_get_expr(polwithcheck, polrelid), '\\s+', ' ', 'g')) as line, ${NOT_OURS} as apart
        from pg_policy join pg_class c on c.oid = polrelid join pg_namespace n on n.oid = c.relnamespace`,
    ),
  },

  // PostgreSQL joins two policies for one role by OR.
  policiesOfOneRole: {
    promise: 'has at most one policy of a table for a role',
    remedy: CHANGED,
    check: expectNone(
      `select concat('policies of ', c.oid::regclass, ' for ', ${ROLE('role')}, ': ', string_agg(polname, ', ' order by polname)) as line,
          count(*) > 1 as fault, ${NOT_OURS} as apart
        from pg_policy join pg_class c on c.oid = polrelid join pg_namespace n on n.oid = c.relnamespace, unnest(polroles) as role
        group by c.oid, n.nspname, role`,
    ),
  },

  keys: {
    promise: 'has the primary, unique and foreign keys that are meant, and no other',
    remedy: `${CHANGED} Keys do not consult row security, so each carries the owner (see drizzle/*.sql).`,
    check: expectExactly(
      keyLines,
      `select concat('key ', conname, ' of ', conrelid::regclass, ': ', pg_get_constraintdef(oid)) as line, false as apart
        from pg_constraint where connamespace = 'public'::regnamespace and contype in ('p', 'u', 'f', 'x')
          and not ${OF_EXTENSION('pg_class', 'conrelid')}
      union all select concat('key ', c.relname, ' of ', i.indrelid::regclass, ': ', pg_get_indexdef(c.oid),
          case when not i.indisvalid then ' INVALID' end), false
        from pg_index i join pg_class c on c.oid = i.indexrelid and c.relnamespace = 'public'::regnamespace
        where i.indisunique and not exists (select from pg_constraint where conindid = c.oid and contype in ('p', 'u', 'x'))
          and not ${OF_EXTENSION('pg_class', 'i.indrelid')}`,
    ),
  },

  // The rule behind the list of keys, for people who extend the list.
  owners: {
    promise:
      'carries the owner in every row, first in every index and in every reference, but for look-up tables, led by what is looked up',
    remedy: `${CHANGED} An index that does not begin with user_id can tell about rows of others: drop it.`,
    check: expectNone(
      `select concat('table ', c.relname, ' without user_id uuid not null') as line, not exists (select from pg_attribute
          where attrelid = c.oid and attname = 'user_id' and atttypid = 'uuid'::regtype and attnotnull) as fault, false as apart
        from pg_class c where ${OWNED} and c.relkind in ('r', 'p')
      union all select concat('index ', i.indexrelid::regclass, ' of ', c.relname, ' not led by ', ${LED_BY}),
          f.attname is distinct from ${LED_BY}, false
        from pg_index i join pg_class c on c.oid = i.indrelid left join pg_attribute f on f.attrelid = i.indrelid and f.attnum = i.indkey[0]
        where ${OWNED} or c.oid = 'public.users'::regclass
      union all select concat('key ', k.conname, ' of ', c.relname, ' not led by user_id'),
          (f.attname, t.attname) is distinct from ('user_id', 'user_id'), false
        from pg_constraint k join pg_class c on c.oid = k.conrelid
        left join pg_attribute f on f.attrelid = k.conrelid and f.attnum = k.conkey[1]
        left join pg_attribute t on t.attrelid = k.confrelid and t.attnum = k.confkey[1]
        where ${OWNED} and k.contype = 'f' and k.confrelid <> 'public.users'::regclass
      union all select concat('key ', k.conname, ' of the look-up table ', c.relname, ', to which nothing refers'), true, false
        from pg_constraint k join pg_class c on c.oid in (k.conrelid, k.confrelid) where k.contype = 'f' and ${IS_LOOKUP}
      union all select concat('grant on the look-up table ', c.relname, ' to ', ${ROLE('a.grantee')}),
          a.grantee not in (c.relowner, (select oid from ours where name = 'context')), false
        from pg_class c left join pg_attribute on attrelid = c.oid and attacl is not null,
          aclexplode(coalesce(attacl, c.relacl)) a where ${IS_LOOKUP} and c.relnamespace = 'public'::regnamespace`,
    ),
  },

  // A sharded database accepts foreign keys that cascade or do nothing, and no triggers.
  reactions: {
    promise:
      'refers only by cascade or no action, as a sharded database can, with every reference watched, and without triggers',
    remedy: `${CHANGED} What was switched off: ALTER TABLE … ENABLE TRIGGER ALL, as a superuser.`,
    check: expectNone(
      `select concat('key ', conname, ' of ', conrelid::regclass, ' that does other than cascade or nothing') as line,
          confdeltype not in ('c', 'a') or confupdtype <> 'a' as fault, ${NOT_OURS} as apart
        from pg_constraint join pg_namespace n on n.oid = connamespace where contype = 'f'
      union all select concat('trigger ', tgname, ' of ', tgrelid::regclass, case when tgisinternal then ' switched off' end),
          not tgisinternal or tgenabled <> 'O', ${NOT_OURS}
        from pg_trigger join pg_class c on c.oid = tgrelid join pg_namespace n on n.oid = c.relnamespace
      union all select concat('rule ', rulename, ' of ', ev_class::regclass), true, ${NOT_OURS}
        from pg_rewrite join pg_class c on c.oid = ev_class join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p')
      union all select concat('event trigger ', evtname), true, true from pg_event_trigger
      union all select concat('publication ', pubname), true, true from pg_publication`,
    ),
  },

  conditions: {
    promise: 'refuses forged hashes, unbound keys, unknown roles, and rules about nobody in particular',
    remedy: `${CHANGED} Each condition is in drizzle/*.sql.`,
    check: expectExactly(
      Object.entries(SECURITY_CONDITIONS).map(
        ([name, condition]) => `condition ${name}: CHECK (${condition})`,
      ),
      `select concat('condition ', conname, ': ', pg_get_constraintdef(oid)) as line, false as apart from pg_constraint
        where contype = 'c' and conname in (${Object.keys(SECURITY_CONDITIONS).map((name) => `'${name}'`)})`,
    ),
  },
} satisfies Record<string, CatalogueCheck>
