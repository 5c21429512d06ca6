/** Calls every function that a role may execute with ids of another person, generated from its signature. */
import pg from 'pg'
import { createUserWithAllRows, type Somebody } from '../fixtures.ts'
import type { Trial } from '../matrix.ts'
import { wakeDigestOf } from '../wake-ups.ts'
import type { Ground } from './attack-database.ts'
import { type AttackRole, becomeAttacker, STANCES } from './attacker.ts'
import { everythingOf, readTargets, valuesOf } from './targets.ts'

type Signature = {
  name: string
  signature: string
  isProcedure: boolean
  types: string[]
  names: string[]
  roles: AttackRole[]
}

/** More combinations of arguments than this show nothing new. */
const CALLS_AT_MOST = 96

export async function attackFunctions(
  ground: Ground,
  isAttacked: (each: Signature) => boolean = () => true,
): Promise<Trial[]> {
  const targets = await readTargets(ground)
  const signatures = (await readFunctions(ground)).filter(isAttacked)
  const listener = await ground.connect('server')
  await listener.query('listen netpilot_policy')
  const heard: string[] = []
  listener.on('notification', ({ payload = '' }) => heard.push(payload))

  let before = await everythingOf(ground, targets, ground.bob)
  let digest = await wakeDigestOf(ground.superuser, ground.bob.routerId)
  const trials: Trial[] = []
  for (const stance of STANCES.filter(({ identity }) => identity !== 'nobody')) {
    const attacker = await becomeAttacker(ground, stance)
    for (const each of signatures.filter(({ roles }) => roles.includes(stance.role))) {
      const { name, signature, isProcedure } = each
      const trial = {
        matrix: 'functions, called with ids of somebody else',
        row: signature,
        column: stance.role,
      }
      const power = `${stance.role} EXECUTE ${name}`
      const secrets = [...valuesOf(before), digest]
      for (const list of argumentsOf(each, ground.bob)) {
        const call = `${name}(${list.join(', ')})`
        await attacker.begin()
        const { code, answer } = await attacker.attempt(
          isProcedure ? `call ${call}` : `select * from ${call}`,
          Number.POSITIVE_INFINITY,
        )
        await attacker.commit()
        const text = JSON.stringify(answer)
        const told = secrets.filter((secret) => text.includes(secret) && !call.includes(secret))
        const detail = `${stance.role}, identity of ${stance.identity}: ${call} → ${code ?? text}`
        trials.push({ ...trial, power: told.length > 0 ? power : undefined, detail })
      }
      // Any statement works: its answer brings the notifications sent until now.
      await listener.query('select')
      const after = await everythingOf(ground, targets, ground.bob)
      const changed = Object.keys(after).filter((table) => after[table] !== before[table])
      const isHeard = heard.includes(digest)
      trials.push({
        ...trial,
        power: changed.length > 0 || isHeard ? power : undefined,
        detail: `${stance.role}, identity of ${stance.identity}: ${signature} changed ${changed.join(', ')}${isHeard ? ', and woke a router' : ''}`,
      })
      if (changed.length > 0 || isHeard) {
        heard.length = 0
        ground.bob = await createUserWithAllRows(ground.superuser)
        before = await everythingOf(ground, targets, ground.bob)
        digest = await wakeDigestOf(ground.superuser, ground.bob.routerId)
      }
    }
    await attacker.leave()
  }
  await listener.end()
  return trials
}

async function readFunctions({ superuser, roles }: Ground): Promise<Signature[]> {
  const names: AttackRole[] = ['server', 'user', 'agent', 'auth', 'admin']
  const { rows } = await superuser.query<Signature>(
    `select format('%I.%I', n.nspname, p.proname) as name, p.oid::regprocedure::text as signature, p.prokind = 'p' as "isProcedure",
        array(select format_type(t, null) from unnest(p.proargtypes) with ordinality a (t, nth) order by nth) as types,
        coalesce(p.proargnames, '{}') as names,
        array(select role from unnest($1::text[], $2::text[]) r (role, rolname)
          where has_function_privilege(rolname, p.oid, 'execute') and has_schema_privilege(rolname, n.oid, 'usage')) as roles
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and p.prokind in ('f', 'p')
        and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
      order by 2`,
    [names, names.map((role) => roles[role])],
  )
  return rows
}

/**
 * A value for a parameter of this name. Without it, the function would refuse every caller or find nothing.
 */
const NAMED: Record<string, string[]> = {
  p_act: ["'login'", "'changeAccount'", 'null'],
  p_actor_kind: ["'user'", 'null'],
  p_outcome: ["'success'", 'null'],
  p_from: ['null'],
  p_to: ['null'],
  p_before: ['null'],
  p_before_sequence: ['null'],
}

/**
 * Literals for each parameter, in every combination. The attacker does not know what only the owner can know.
 */
function argumentsOf({ types, names }: Signature, victim: Somebody): string[][] {
  const known: Record<string, string[]> = {
    uuid: [victim.userId, victim.routerId, victim.deviceId],
    text: ['success', 'user', victim.keyId],
    bytea: [`\\x${'00'.repeat(32)}`],
    integer: ['0', '30'],
    bigint: ['1'],
    boolean: ['true'],
    inet: ['192.0.2.1'],
    jsonb: ['{}'],
    'timestamp with time zone': ['2100-01-01'],
  }
  const literalsOf = (type: string): string[] => {
    const element = type.endsWith('[]') ? type.slice(0, -2) : undefined
    if (element !== undefined) return literalsOf(element).map((literal) => `array[${literal}]`)
    return (known[type] ?? [])
      .map((value) => `${pg.escapeLiteral(value)}::${type}`)
      .concat(known[type] ? [] : [`null::${type}`])
  }
  const all = types
    .map((type, index) => NAMED[names[index] ?? ''] ?? literalsOf(type))
    .reduce<string[][]>(
      (lists, values) => lists.flatMap((list) => values.map((value) => [...list, value])),
      [[]],
    )
  return all.slice(0, CALLS_AT_MOST)
}
