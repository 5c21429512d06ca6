/**
 * Vulnerabilities that a test creates for a moment in a separate database, each with the attack that must
 * find it.
 */
import { GRANTS } from '../../../src/database/catalogue/expected-grants.ts'
import { SIGN_IN_POLICIES } from '../../../src/database/catalogue/expected-tables.ts'
import { conditionOf } from '../../../src/rls/policies.ts'
import type { Trial } from '../matrix.ts'
import type { Ground } from './attack-database.ts'
import { type Stance, USUAL_STANCES } from './attacker.ts'
import { OPEN } from './expected-access.ts'
import { attackFunctions } from './function-attacks.ts'
import { attackWithSql } from './hostile-attacks.ts'
import { attackReferences } from './reference-attacks.ts'
import { attackRows } from './row-attacks.ts'
import { attackPlans, attackSeal } from './seal-attacks.ts'

/**
 * The database of the vulnerability; `identity` is the definition of ctx.identity() as the migrations wrote
 * it.
 */
type Site = Ground & { identity: string }
type Find = (ground: Ground) => Promise<Trial[]>

/** The attacks that can find a vulnerability, as user. */
export const asUser = ({ role, identity }: Stance) =>
  role === 'user' && (identity === 'user' || identity === 'nobody, new')
const rowsOf =
  (name: string): Find =>
  (ground) =>
    attackRows(ground, { targets: (target) => target.name === name, stances: asUser })
const keysOf =
  (table: string): Find =>
  (ground) =>
    attackReferences(ground, ({ of }) => of === table)
const calls =
  (name: string): Find =>
  (ground) =>
    attackFunctions(ground, (each) => each.name === name)
const forgeries: Find = (ground) => attackSeal(ground, asUser)
const statements =
  (pattern: RegExp): Find =>
  async (ground) => {
    const stance = USUAL_STANCES.find(({ role }) => role === 'user') as Stance
    return (
      await attackWithSql(ground, stance, {
        isOpen: (power) => power in OPEN,
        isTried: ({ steps }) => pattern.test(steps.join()),
      })
    ).trials
  }

export type Hole = {
  what: string
  /** Statements of a superuser. */
  plant: (site: Site) => string
  close: (site: Site) => string
  attack: Find
  /** The powers that the attack must show, in the words of `expected-access.ts`. */
  shows: string[]
}

const USERS = `(${conditionOf('own')})`
const anotherPlace = (kind: string) =>
  `create ${kind} planted as table user_devices; grant select on planted to`

const replaceIdentity = (body: string) => `create or replace function ctx.identity() returns text[]
  language sql stable parallel restricted security definer set search_path = pg_catalog, pg_temp as $planted$ ${body} $planted$`

export const HOLES: Hole[] = [
  {
    what: 'a policy that is true',
    plant: () => 'alter policy user_devices_user on user_devices using (true)',
    close: () => `alter policy user_devices_user on user_devices using ${USERS}`,
    attack: rowsOf('user_devices'),
    shows: ['user SELECT user_devices', 'user UPDATE user_devices', 'user DELETE user_devices'],
  },
  ...SIGN_IN_POLICIES.map((policy): Hole => {
    const table = policy.replace(/_auth$/, '')
    const whole = `(${conditionOf('own, or everybody’s while nobody is signed in', { owner: table === 'users' ? 'id' : 'user_id' })})`
    return {
      what: `a policy for signing in that stays open when somebody is signed in, of ${table}`,
      plant: () => `alter policy ${policy} on ${table} using (true) with check (true)`,
      close: () => `alter policy ${policy} on ${table} using ${whole} with check ${whole}`,
      attack: (ground) =>
        attackRows(ground, {
          targets: ({ name }) => name === table,
          stances: ({ role, identity }) => role === 'auth' && identity === 'user',
        }),
      shows: (GRANTS[table]?.auth ?? '').split(' ').map((right) => `auth, signed in, ${right} ${table}`),
    }
  }),
  {
    what: 'a policy that lets everything be written',
    plant: () => 'alter policy user_settings_user on user_settings with check (true)',
    close: () => `alter policy user_settings_user on user_settings with check ${USERS}`,
    attack: rowsOf('user_settings'),
    shows: ['user INSERT user_settings', 'user UPDATE user_settings'],
  },
  {
    what: 'a second policy, for deleting, which a condition would not show',
    plant: ({ roles }) => `create policy planted on user_whitelists for delete to ${roles.user} using (true)`,
    close: () => 'drop policy planted on user_whitelists',
    attack: rowsOf('user_whitelists'),
    shows: ['user DELETE user_whitelists'],
  },
  {
    what: 'row security switched off',
    plant: () => 'alter table user_routers disable row level security',
    close: () => 'alter table user_routers enable row level security',
    attack: rowsOf('user_routers'),
    shows: [
      'user SELECT user_routers',
      'user INSERT user_routers',
      'user UPDATE user_routers',
      'user DELETE user_routers',
    ],
  },
  {
    what: 'FORCE off, and an owner who serves requests',
    plant: ({ roles }) =>
      `alter table user_device_merges no force row level security; alter table user_device_merges owner to ${roles.user}`,
    close: ({
      roles,
    }) => `alter table user_device_merges owner to ${roles.owner}; alter table user_device_merges force row level security;
      grant select, insert, update, delete on user_device_merges to ${roles.user}`,
    attack: rowsOf('user_device_merges'),
    shows: [
      'user SELECT user_device_merges',
      'user DELETE user_device_merges',
      'user TRUNCATE user_device_merges',
    ],
  },
  {
    what: 'TRUNCATE, granted',
    plant: ({ roles }) => `grant truncate on user_tokens to ${roles.user}`,
    close: ({ roles }) => `revoke truncate on user_tokens from ${roles.user}`,
    attack: rowsOf('user_tokens'),
    shows: ['user TRUNCATE user_tokens'],
  },
  {
    what: 'a foreign key without the owner',
    plant: () => `alter table user_devices add constraint planted unique (router_id, id);
      alter table user_device_interfaces drop constraint user_device_interfaces_device_fk, add constraint user_device_interfaces_device_fk
        foreign key (router_id, device_id) references user_devices (router_id, id) on delete cascade`,
    close:
      () => `alter table user_device_interfaces drop constraint user_device_interfaces_device_fk, add constraint user_device_interfaces_device_fk
        foreign key (user_id, router_id, device_id) references user_devices (user_id, router_id, id) on delete cascade;
      alter table user_devices drop constraint planted`,
    attack: keysOf('user_device_interfaces'),
    shows: ['user REFERENCES user_device_interfaces_device_fk'],
  },
  {
    what: 'a view that runs as its owner',
    plant: ({ roles }) => `${anotherPlace('view')} ${roles.user}`,
    close: () => 'drop view planted',
    attack: rowsOf('planted'),
    shows: ['user SELECT planted'],
  },
  {
    what: 'a materialized view',
    plant: ({ roles }) => `${anotherPlace('materialized view')} ${roles.user}`,
    close: () => 'drop materialized view planted',
    attack: rowsOf('planted'),
    shows: ['user SELECT planted'],
  },
  {
    what: 'a new table without row security',
    plant: ({ roles }) => `${anotherPlace('table')} ${roles.user}`,
    close: () => 'drop table planted',
    attack: rowsOf('planted'),
    shows: ['user SELECT planted'],
  },
  {
    what: 'a partition that can be read past its parent',
    plant: ({
      roles,
      bob,
    }) => `create table parent (user_id uuid not null, at date not null) partition by range (at);
      create table planted partition of parent default; insert into parent values ('${bob.userId}', now());
      alter table parent enable row level security, force row level security;
      create policy parent_user on parent to ${roles.user} using ${USERS}; grant select on parent, planted to ${roles.user}`,
    close: () => 'drop table parent',
    attack: rowsOf('planted'),
    shows: ['user SELECT planted'],
  },
  {
    what: 'a sequence, which tells volume and order',
    plant: ({ roles }) => `create sequence planted; grant usage, select on planted to ${roles.user}`,
    close: () => 'drop sequence planted',
    attack: rowsOf('planted'),
    shows: ['user SELECT planted', 'user UPDATE planted'],
  },
  {
    what: 'a function of everybody’s that acts as its owner, without a path',
    plant:
      () => `create function planted(p_user uuid) returns setof user_devices language sql security definer
      as 'select * from user_devices where user_id = p_user'`,
    close: () => 'drop function planted(uuid)',
    attack: calls('public.planted'),
    shows: ['user EXECUTE public.planted', 'agent EXECUTE public.planted', 'server EXECUTE public.planted'],
  },
  {
    what: 'a function that wakes whatever router it is asked to',
    plant: () => `create function planted(p_router uuid) returns void language plpgsql security definer
      as 'begin perform pg_notify(''netpilot_policy'', ctx.wake_digest(user_id, id)) from public.user_routers where id = p_router; end'`,
    close: () => 'drop function planted(uuid)',
    attack: calls('public.planted'),
    shows: ['user EXECUTE public.planted'],
  },
  {
    what: 'an identity function that is IMMUTABLE',
    plant: () => 'alter function ctx.uid() immutable',
    close: () => 'alter function ctx.uid() stable',
    attack: attackPlans,
    shows: ['user EXECUTES a plan of somebody else'],
  },
  {
    what: 'an identity whose seal nobody checks',
    plant: () =>
      replaceIdentity(
        `select string_to_array(nullif(current_setting('app.current_user_id', true), ''), '|')`,
      ),
    close: ({ identity }) => identity,
    attack: forgeries,
    shows: ['user FORGES an identity'],
  },
  {
    what: 'a seal in which a missing part makes the comparison null',
    plant: () =>
      replaceIdentity(`select case when not coalesce(i[8] <> ctx.mac(i[1] || '|' || i[2] || '|' || i[3] || '|' || i[4] || '|' || i[5] || '|' || i[6] || '|' || i[7]), false)
        then i end from string_to_array(nullif(current_setting('app.current_user_id', true), ''), '|') i`),
    close: ({ identity }) => identity,
    attack: forgeries,
    shows: ['user FORGES an identity'],
  },
  {
    what: 'a login that may become the one of signing in',
    plant: ({ roles }) => `grant ${roles.auth} to ${roles.server}`,
    close: ({ roles }) => `revoke ${roles.auth} from ${roles.server}`,
    attack: statements(/^set local role "\w+_auth"$/),
    shows: ['user set local role'],
  },
]
