/**
 * Every SQL verb on every relation, aimed at rows of another person. The attacks are generated from the
 * catalogue, so they cover a new table too.
 */
import pg from 'pg'
import type { Somebody } from '../fixtures.ts'
import type { Trial } from '../matrix.ts'
import type { Ground } from './attack-database.ts'
import {
  type AttackRole,
  actorOf,
  becomeAttacker,
  type Outcome,
  personOf,
  STANCES,
  type Stance,
} from './attacker.ts'
import {
  freshValue,
  ofSomebody,
  type Right,
  readTargets,
  type Sample,
  sampleOf,
  type Target,
} from './targets.ts'

type Attack = {
  verb: string
  /** The right on rows of others that the attack would show the role to have. */
  right: Right | 'TRUNCATE' | 'LOCK'
  sql: string
  /** More rows than this belong to others; -1 where any effect is too much. */
  own?: number
  /** Further answers that are refusals, beside "permission denied" and "not sealed". */
  refusals?: string[]
}

const id = pg.escapeIdentifier
const list = (columns: string[]) => columns.map(id).join(', ')
const REFUSALS = ['42501', 'NP403']
/** A view that cannot be written, locked, copied or indexed. */
const NO_TABLE = ['42809', '55000', '0A000', '42P10']

const attack = (
  verb: string,
  right: Attack['right'],
  sql: string,
  more: Pick<Attack, 'own' | 'refusals'> = {},
): Attack => ({
  verb,
  right,
  sql,
  ...more,
})

/**
 * What the attacker has to know of a target: rows to forge, the number of their own rows, and the columns
 * that their role may name.
 */
type Knowledge = {
  bob: Somebody
  ada: Somebody
  theirs: Sample
  own: number
  role: AttackRole
  version: number
}

function attacksOn(target: Target, knowledge: Knowledge): Attack[] {
  const { sql: t, owner, unique, constrained, primaryKey } = target
  if (target.kind === 'sequence')
    return [
      attack('select', 'SELECT', `select count(*) as n from ${t}`),
      attack('update', 'UPDATE', `select nextval('${t}')`, { own: -1 }),
    ]
  const { bob, ada, theirs, own, role, version } = knowledge
  const rights = target.rights[role]
  const isTheirs = ofSomebody(target, bob)
  const all = Object.keys(target.columns)
  const readable = rights.SELECT.length > 0 ? list(rights.SELECT) : '*'

  const insertable = rights.INSERT.length > 0 ? rights.INSERT : all
  const insert = (fresh: (column: string) => string | undefined) =>
    `(${list(insertable)}) overriding system value values (${insertable.map((column) => fresh(column) ?? theirs[column]).join(', ')})`
  const another = insert((column) =>
    column !== owner && unique.includes(column) ? freshValue(target.columns[column] ?? '') : undefined,
  )
  const again = insert(() => undefined)

  const plain = rights.UPDATE.filter((column) => ![owner, ...unique, ...constrained].includes(column))
  const changed = plain[0] ?? rights.UPDATE[0] ?? owner ?? all[0] ?? ''
  const column = id(changed)
  const toBob = `update ${t} set ${id(owner ?? '')} = '${bob.userId}'`
  const merge = `merge into ${t} x using (select 1) s on`

  return [
    attack('select', 'SELECT', `select count(*) as n from ${t} where ${isTheirs}`),
    // The query does not name the owner, because a role need not be able to.
    attack('select', 'SELECT', `select count(*) as n from (select ${readable} from ${t} limit 100) x`, {
      own,
    }),
    ...['update', 'no key update', 'share', 'key share'].map((strength) =>
      attack(
        'row lock',
        'UPDATE',
        `select count(*) as n from (select 1 from ${t} where ${isTheirs} for ${strength}) x`,
      ),
    ),
    attack('update', 'UPDATE', `update ${t} set ${column} = ${column} where ${isTheirs}`),
    attack('update', 'UPDATE', `update ${t} set ${column} = ${plain.length > 0 ? theirs[changed] : column}`, {
      own,
    }),
    attack('delete', 'DELETE', `delete from ${t} where ${isTheirs}`),
    // 23503: another row of the attacker still refers to the deleted one.
    attack('delete', 'DELETE', `delete from ${t}`, { own, refusals: ['23503'] }),
    attack('insert', 'INSERT', `insert into ${t} ${another}`, { own: -1 }),
    // R21: neither an error nor silence may reveal that the row exists.
    attack('upsert', 'INSERT', `insert into ${t} ${again} on conflict do nothing`, { own: -1 }),
    attack('merge', 'UPDATE', `${merge} ${isTheirs} when matched then update set ${column} = x.${column}`),
    attack('merge', 'DELETE', `${merge} ${isTheirs} when matched then delete`),
    attack('merge', 'INSERT', `${merge} false when not matched then insert ${another}`, { own: -1 }),
    attack('truncate', 'TRUNCATE', `truncate ${t}`, { own: -1 }),
    attack('copy to', 'SELECT', `copy (select ${readable} from ${t} limit 100) to stdout`, { own }),
    attack('copy from', 'INSERT', `copy ${t} (${list(insertable)}) from stdin`, {
      own: -1,
      refusals: ['0A000'],
    }),
    attack('lock', 'LOCK', `lock table ${t} in access exclusive mode nowait`, { own: -1 }),
    ...(owner === null
      ? []
      : [
          // R13: a condition that fails on a hidden row would reveal it.
          attack(
            'select',
            'SELECT',
            `select count(*) as n from ${t} where 1 / (case when ${isTheirs} then 0 else 1 end) > 0`,
            { own },
          ),
          // R20: with a condition the row must also stay visible; without one, only WITH CHECK protects it.
          attack('give away', 'UPDATE', `${toBob} where ${ofSomebody(target, ada)}`),
          attack('give away', 'UPDATE', toBob),
        ]),
    ...(primaryKey.length === 0
      ? []
      : [
          attack(
            'upsert',
            'INSERT',
            `insert into ${t} ${again} on conflict (${list(primaryKey)}) do update set ${column} = excluded.${column}`,
            {
              own: -1,
            },
          ),
        ]),
    ...(version < 170_000
      ? []
      : [
          attack('merge', 'DELETE', `${merge} false when not matched by source then delete`, {
            own,
            refusals: ['23503'],
          }),
        ]),
  ]
}

/**
 * Whether an answer means that the database refused the attack. Any error that is not a refusal came after
 * the policy had let the attack pass.
 */
const isRefused = (
  { own = 0, refusals = [] }: Pick<Attack, 'own' | 'refusals'>,
  { code, rows }: Outcome,
  kind: Target['kind'],
): boolean =>
  code === undefined
    ? rows <= own
    : [...REFUSALS, ...refusals, ...(kind === 'view' ? NO_TABLE : [])].includes(code)

export type RowAttackOptions = {
  /** Attacks only these targets. */ targets?: (target: Target) => boolean
  stances?: (stance: Stance) => boolean
}

/**
 * Attacks everything from every stance. @throws when a table has no row of a person to attack: the error says
 * what to add
 */
export async function attackRows(
  ground: Ground,
  { targets: isTarget = () => true, stances = () => true }: RowAttackOptions = {},
): Promise<Trial[]> {
  const targets = (await readTargets(ground)).filter(isTarget)
  const samples = await samplesOf(ground, targets)
  const trials: Trial[] = []
  for (const stance of STANCES.filter(stances)) {
    const attacker = await becomeAttacker(ground, stance)
    const somebody = personOf(stance, ground)
    for (const target of targets) {
      const own = somebody && target.owner !== null ? await countOf(ground, target, somebody) : 0
      const knowledge = { ...ground, theirs: samples.get(target.name) ?? {}, own, role: stance.role }
      await attacker.begin()
      for (const attack of attacksOn(target, knowledge)) {
        const outcome = await attacker.attempt(attack.sql, Math.min(attack.own ?? 0, 0))
        const refused = isRefused(attack, outcome, target.kind)
        // A lock reads and changes nothing, ends with its transaction, and no guarded client accepts the
        // statement. A role that may write may also lock.
        const isMeant = attack.right === 'LOCK' && target.rights[stance.role].UPDATE.length > 0
        trials.push({
          matrix: `rows, as ${stance.role}`,
          row: target.name,
          column: attack.verb,
          power: refused || isMeant ? undefined : `${actorOf(stance)} ${attack.right} ${target.name}`,
          detail: `${stance.role}, identity of ${stance.identity}: ${attack.sql} → ${outcome.code ?? outcome.rows}`,
        })
      }
      await attacker.commit()
    }
    await attacker.leave()
  }
  return trials
}

async function samplesOf(ground: Ground, targets: Target[]): Promise<Map<string, Sample>> {
  const samples = new Map<string, Sample>()
  const missing: string[] = []
  for (const target of targets.filter(({ kind }) => kind !== 'sequence')) {
    const sample = await sampleOf(ground, target, ground.bob)
    if (sample) samples.set(target.name, sample)
    else missing.push(target.name)
  }
  if (missing.length > 0)
    throw new Error(
      `Nothing to attack in ${missing.join(', ')}: let createUserWithAllRows (test/support/fixtures.ts) write a row of somebody's there`,
    )
  return samples
}

async function countOf({ superuser }: Ground, target: Target, somebody: Somebody): Promise<number> {
  const { rows } = await superuser.query<{ n: string }>(
    `select count(*) as n from ${target.sql} where ${ofSomebody(target, somebody)}`,
  )
  return Number(rows[0]?.n)
}
