/**
 * Checks that each role has the rights that it is meant to have, and no others: grants, roles, functions, and
 * the fence around built-in functions.
 */
import {
  type CatalogueCheck,
  type Check,
  expectExactly,
  expectNone,
  GRANT,
  IS_OURS,
  NOT_BUILT_IN,
  OF_EXTENSION,
  OUR_SCHEMA,
  ROLE,
  TO_SERVING,
  TO_US,
  WITHIN_REACH,
} from './check.ts'
import {
  COLUMN_GRANTS,
  FENCE,
  FENCED,
  FUNCTIONS,
  GRANTS,
  LEAKPROOF,
  MEMBERSHIPS,
  OTHER_GRANTS,
  OWNERSHIP,
  type Rights,
  ROLES,
  SETTINGS,
} from './expected-grants.ts'

const grantLines = (rights: Rights) =>
  Object.entries(rights).flatMap(([on, byRole]) =>
    Object.entries(byRole).flatMap(([role, verbs]) =>
      verbs.split(' ').map((verb) => `grant ${role} ${verb} ${on}`),
    ),
  )
const columnGrantLines = COLUMN_GRANTS.flatMap((line) => {
  const [, right, columns = ''] = /^(.*)\((.*)\)$/.exec(line) ?? []
  return columns.split(', ').map((column) => `grant ${right}(${column})`)
})
const roleLines = ROLES.flatMap((line) => {
  const [role, ...attributes] = line.split(' ')
  return [`role ${role}`, ...attributes.map((attribute) => `role ${role} ${attribute}`)]
})

/** The roles for jobs beside the server, which works without them. */
const SIDE_ROLES = '(backup|monitor|migrator)'
const APART = `not (${OUR_SCHEMA} or ${TO_SERVING} and ${WITHIN_REACH})`
/** The rights beyond those that PostgreSQL ships with, on a relation or (`t`) its column. */
const beyondInitial = (
  column: string,
) => `not exists (select from pg_init_privs i, aclexplode(i.initprivs) b where i.objoid = c.oid
  and i.classoid = 'pg_class'::regclass and i.objsubid = ${column} and (b.grantee, b.privilege_type) = (a.grantee, a.privilege_type))`
/**
 * Settings that decide the current role, what names mean, or whether policies and keys apply. Operators may
 * tune the others.
 */
const SECURITY_SETTINGS =
  '^(role|search_path|row_security|session_replication_role|lo_compat_privileges|.*preload_libraries|app\\..*)='

/** A right that PUBLIC has is missing for no role. */
const ignorePublicGrants =
  (check: Check): Check =>
  async (client, roles) => {
    const { lookedAt, findings } = await check(client, roles)
    const open = findings.flatMap(({ what }) => /^not meant: fence: PUBLIC (.*)/.exec(what)?.[1] ?? [])
    const isMoot = (what: string) =>
      what.startsWith('missing: ') && open.some((of) => what.endsWith(` ${of}`))
    return { lookedAt, findings: findings.filter(({ what }) => !isMoot(what)) }
  }

export const RIGHTS = {
  grants: {
    promise: 'gives each role the verbs and columns that it needs, one by one, and nobody TRUNCATE',
    remedy:
      'REVOKE … ON … FROM … what is not meant, as the owner. What is missing is in drizzle/*.sql, or comes with "npm run setup".',
    check: expectExactly(
      [...grantLines(GRANTS), ...columnGrantLines, ...grantLines(OTHER_GRANTS)],
      `select ${GRANT}, c.oid::regclass) as line, ${APART} as apart
        from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a
        where ${NOT_BUILT_IN} and a.grantee <> c.relowner and not ${OF_EXTENSION('pg_class', 'c.oid')}
      union all select ${GRANT}, c.oid::regclass, '(', t.attname, ')'), ${APART}
        from pg_attribute t join pg_class c on c.oid = t.attrelid join pg_namespace n on n.oid = c.relnamespace, aclexplode(t.attacl) a
        where t.attacl is not null and ${NOT_BUILT_IN} and a.grantee <> c.relowner and not ${OF_EXTENSION('pg_class', 'c.oid')}
      union all select ${GRANT}, 'schema ', n.nspname), a.privilege_type = 'USAGE' or ${APART} from pg_namespace n, aclexplode(n.nspacl) a
        where ${NOT_BUILT_IN} and a.grantee <> n.nspowner and not ${OF_EXTENSION('pg_namespace', 'n.oid')}
      union all select ${GRANT}, 'database'), a.privilege_type = 'CONNECT' or not ${TO_US}
        from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
        where d.datname = current_database() and a.grantee <> d.datdba`,
      new RegExp(`^grant ${SIDE_ROLES} `),
    ),
  },

  // Default privileges, rights on a superuser's settings, and rights on PostgreSQL's own relations beyond
  // those that it ships with.
  grantsElsewhere: {
    promise: 'gives nothing in advance, no setting of a superuser, and nothing of the catalogue',
    remedy:
      'ALTER DEFAULT PRIVILEGES … REVOKE …, REVOKE … ON PARAMETER …, or REVOKE … ON pg_catalog.…, as a superuser.',
    check: expectNone(
      `select concat('default privilege of ', ${ROLE('a.grantee')}, ': ', a.privilege_type, ' of ', d.defaclobjtype, ' made by ',
          ${ROLE('d.defaclrole')}) as line, true as fault, not ${IS_OURS('d.defaclrole')} as apart
        from pg_default_acl d, aclexplode(d.defaclacl) a where a.grantee <> d.defaclrole
      union all select ${GRANT}, 'parameter ', p.parname), true, false from pg_parameter_acl p, aclexplode(p.paracl) a where ${TO_US}
      union all select ${GRANT}, c.oid::regclass), ${beyondInitial('0')}, false from pg_class c, aclexplode(c.relacl) a
        where c.relnamespace = 'pg_catalog'::regnamespace and ${TO_US}
      union all select ${GRANT}, c.oid::regclass, '(', t.attname, ')'), ${beyondInitial('t.attnum')}, false
        from pg_attribute t join pg_class c on c.oid = t.attrelid, aclexplode(t.attacl) a
        where c.relnamespace = 'pg_catalog'::regnamespace and t.attacl is not null and ${TO_US}`,
    ),
  },

  roles: {
    promise: 'has roles that are no superusers, bypass nothing, inherit nothing, and own only what is meant',
    remedy:
      'ALTER ROLE … NOSUPERUSER NOBYPASSRLS and the like, ALTER … OWNER TO …, as a superuser. What is missing comes with "npm run setup".',
    check: expectExactly(
      [...roleLines, ...OWNERSHIP],
      `select concat_ws(' ', 'role', ours.name, attribute) as line, false as apart from ours join pg_roles r using (oid), lateral (values
          (null, true), ('login', rolcanlogin), ('superuser', rolsuper), ('bypassrls', rolbypassrls), ('inherit', rolinherit),
          ('createrole', rolcreaterole), ('createdb', rolcreatedb), ('replication', rolreplication)) a (attribute, has) where has
      union all select concat(${ROLE('refobjid')}, ' owns ', classid::regclass), ${ROLE('refobjid')} ~ '^${SIDE_ROLES}$' from pg_shdepend
        where deptype = 'o' and refclassid = 'pg_authid'::regclass and ${IS_OURS('refobjid')}
          and dbid in (0, (select oid from pg_database where datname = current_database()))`,
      new RegExp(`^role ${SIDE_ROLES} `),
    ),
  },

  // No right comes without assuming the role. A role that administers roles can grant itself membership
  // anyway, as the role that created ours.
  memberships: {
    promise: 'lets the server become the two request roles, the migrator the owners, and nobody anybody else',
    remedy: 'REVOKE … FROM … what is not meant, as a superuser. What is missing comes with "npm run setup".',
    check: expectExactly(
      MEMBERSHIPS,
      `select concat(${ROLE('member')}, ' may become ', ${ROLE('roleid')}, case when admin_option then ' and let others' end,
          case when pg_has_role(member, roleid, 'usage') then ', inherited' end) as line, false as apart
        from pg_auth_members join pg_roles m on m.oid = member
        where ${IS_OURS('member')} or ${IS_OURS('roleid')} and not (m.rolsuper or m.rolcreaterole)`,
      new RegExp(`^${SIDE_ROLES} `),
    ),
  },

  // Settings of login roles, of this database, and of every role.
  settings: {
    promise:
      'bounds the statements, locks, idle transactions and temporary files of the logins that serve requests',
    remedy:
      'ALTER ROLE … RESET … or ALTER DATABASE … RESET …. Bounds come with "npm run setup", that of temporary files from a superuser.',
    check: expectExactly(
      SETTINGS,
      `select concat('setting ', case setrole when 0 then 'everybody' else ${ROLE('setrole')} end, ' ', setting) as line,
          setting !~* '${SECURITY_SETTINGS}' as apart
        from pg_db_role_setting, unnest(setconfig) as setting
        where setdatabase in (0, (select oid from pg_database where datname = current_database())) 
          and (setrole = 0 or ${IS_OURS('setrole')})`,
      /./,
    ),
  },

  functions: {
    promise:
      'has identity functions that are definers with a fixed path, never IMMUTABLE, for the roles that need them',
    remedy:
      'Take the change back, as the context role (which the migrator may become). How each is meant is in drizzle/*.sql.',
    check: expectExactly(
      FUNCTIONS.map((line) => `function ${line}, definer context set search_path=pg_catalog, pg_temp`),
      `select concat('function ', p.oid::regprocedure,
          case p.provolatile when 'i' then ' IMMUTABLE' when 's' then ' stable' else ' volatile' end, ' for ',
          coalesce((select string_agg(${ROLE('a.grantee')}, ' ' order by ${ROLE('a.grantee')})
            from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee <> p.proowner), 'nobody'),
          case when p.proleakproof then ', LEAKPROOF' end, case when p.prosecdef then ', definer ' else ', INVOKER, of ' end,
          ${ROLE('p.proowner')}, ' set ' || array_to_string(p.proconfig, ' ')) as line,
          not (${OUR_SCHEMA} or ${IS_OURS('p.proowner')} or p.prosecdef and exists (select from ours where serves
            and has_schema_privilege(ours.oid, n.oid, 'usage') and has_function_privilege(ours.oid, p.oid, 'execute'))) as apart
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace where ${NOT_BUILT_IN} and not ${OF_EXTENSION('pg_proc', 'p.oid')}`,
    ),
  },

  // Rights on the fenced functions, and any right beyond those that PostgreSQL ships with.
  fence: {
    promise:
      'keeps everybody from setting a setting, locking, sleeping, notifying, large objects and PL/pgSQL',
    remedy:
      'Run "npm run setup" with a superuser\'s URL; REVOKE … FROM … a role. Where there is no superuser to have, the seal holds without it.',
    check: ignorePublicGrants(
      expectExactly(
        FENCE.map((line) => `fence: ${line}`),
        `select concat('fence: ', ${ROLE('a.grantee')}, ' ', p.oid::regprocedure) as line, a.grantee = 0 and fenced as apart
        from pg_proc p cross join lateral (select ${FENCED} as fenced) f
          left join pg_init_privs i on i.objoid = p.oid and i.classoid = 'pg_proc'::regclass,
          aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        where p.pronamespace = 'pg_catalog'::regnamespace and (p.proacl is not null or fenced) and ${TO_US}
          and (fenced or not exists (select from aclexplode(coalesce(i.initprivs, acldefault('f', p.proowner))) b
            where b.grantee = a.grantee))
      union all select concat('fence: ', ${ROLE('a.grantee')}, ' ', l.lanname), a.grantee = 0 or not ${IS_OURS('a.grantee')}
        from pg_language l, aclexplode(coalesce(l.lanacl, acldefault('l', l.lanowner))) a
        where l.lanname not in ('internal', 'c', 'sql') and a.grantee <> l.lanowner`,
        /./,
      ),
    ),
  },

  // A setup corrects this where PostgreSQL's own functions could be changed at all (the fence exists). A host
  // without a superuser never has it.
  leakproof: {
    promise: 'runs no condition before a policy but equality of ids',
    remedy:
      'Run "npm run setup" with a superuser\'s URL. Without a superuser docs/isolation.md says what stays open.',
    check: expectExactly(
      Object.keys(LEAKPROOF).map((signature) => `leakproof: ${signature}`),
      `select concat('leakproof: ', p.oid::regprocedure) as line,
          p.pronamespace = 'pg_catalog'::regnamespace and has_function_privilege('public', 'set_config(text, text, boolean)', 'execute') as apart
        from pg_proc p where p.proleakproof`,
      /./,
    ),
  },

  extensions: {
    promise:
      'has no extension, whose functions and views are for everybody as a rule, and not looked at here',
    remedy:
      'Drop it if nothing needs it; or see that what it brings shows nothing to the roles that serve requests.',
    check: expectExactly(
      ['extension plpgsql'],
      `select concat('extension ', extname) as line, true as apart from pg_extension`,
    ),
  },

  // The fence exists in this database only. The check cannot see what pg_hba.conf refuses.
  otherDatabases: {
    promise: "is the only one of its PostgreSQL that NetPilot's logins may connect to",
    remedy:
      'REVOKE CONNECT ON DATABASE … FROM PUBLIC. Where others need it, let pg_hba.conf refuse these logins there; this warning stays.',
    check: expectNone(
      `select concat(string_agg(ours.name, ', ' order by ours.name), ' may connect to the database ', quote_ident(d.datname)) as line,
          count(ours.oid) > 0 as fault, true as apart
        from pg_database d left join (ours join pg_roles r on r.oid = ours.oid and r.rolcanlogin)
          on has_database_privilege(ours.oid, d.oid, 'connect')
        where d.datallowconn and d.datname <> current_database() group by d.datname`,
    ),
  },
} satisfies Record<string, CatalogueCheck>
