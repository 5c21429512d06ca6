/**
 * Runs hostile SQL. After each statement it checks which rows the attacker can see, as any role, and whether
 * rows of others changed.
 */
import type pg from 'pg'
import type { Somebody } from '../fixtures.ts'
import type { Trial } from '../matrix.ts'
import type { Ground } from './attack-database.ts'
import { becomeAttacker, personOf, type Stance } from './attacker.ts'
import { type Hostile, hostileSql, UNDONE } from './hostile-sql.ts'
import { everythingOf, readTargets, type Target, valuesOf } from './targets.ts'

/** What the database answered to the last step: an SQLSTATE, or 'runs'. */
export type Answer = Hostile & { role: string; answered: string }
type HostileOptions = {
  /** Whether a power is intended: the check skips relations that the role may read completely. */
  isOpen: (power: string) => boolean
  isTried?: (hostile: Hostile) => boolean
}

export async function attackWithSql(
  ground: Ground,
  stance: Stance,
  { isOpen, isTried = () => true }: HostileOptions,
): Promise<{ trials: Trial[]; answers: Answer[] }> {
  const { superuser, roles, bob } = ground
  const somebody = personOf(stance, ground) ?? ground.ada
  const targets = (await readTargets(ground)).filter(({ kind }) => kind !== 'sequence')
  const watched = targets.filter((target) => !isOpen(`${stance.role} SELECT ${target.name}`))
  const before = await everythingOf(ground, targets, bob)
  const isWatched = (name: string) => watched.some((target) => target.name === name)
  const valuesIn = (kept: (name: string) => boolean) =>
    valuesOf(Object.fromEntries(Object.entries(before).filter(([name]) => kept(name))))
  const open = new Set(valuesIn((name) => !isWatched(name)))
  const secrets = valuesIn(isWatched).filter((value) => !open.has(value))
  await superuser.query(HOSTILE_SCHEMA)
  const victim = await openVictim(ground)
  const attacker = await becomeAttacker(ground, stance)
  const { client } = attacker
  const assumable = stance.login === 'server' ? [roles.user, roles.agent] : []
  const trials: Trial[] = []
  const answers: Answer[] = []

  await attacker.begin()
  if ((await othersSeen(client, '', targets)).length === 0)
    throw new Error(`${stance.role} does not even see rows of their own`)
  await attacker.commit()
  for (const hostile of hostileSql(ground).filter(isTried)) {
    // The last group would only keep the victim waiting.
    if (UNDONE.includes(hostile.group) && victim.getTransactionStatus() !== 'I')
      await victim.query('rollback')
    await attacker.begin()
    const told: string[] = []
    const opened = await stateOf(client)
    let answered = ''
    let didRun = false
    for (const step of hostile.steps) {
      const { code, text } = await tryStep(client, step)
      answered = code ?? 'runs'
      didRun ||= code === undefined
      told.push(...secrets.filter((secret) => text.includes(secret) && !step.includes(secret)))
    }
    if (client.getTransactionStatus() === 'E') await client.query('rollback')
    if (client.getTransactionStatus() === 'I') await client.query('begin')
    const state = await stateOf(client)
    // After every step was undone and with the same identity, the attacker can see no more than before.
    didRun ||= state.role !== opened.role || state.identity !== opened.identity
    const look = async (when: string, role: string, whose?: Somebody) => {
      for (const each of didRun ? new Set([role, ...assumable]) : []) {
        const seen = await othersSeen(client, each === role ? '' : `set local role ${each};`, watched, whose)
        told.push(...seen.map((name) => `${name} ${when} ${each}`))
      }
    }
    await look('as', state.role, somebody)
    await client.query(UNDONE.includes(hostile.group) ? 'rollback' : 'commit')
    // The next user of the connection, before an identity is known.
    await client.query('begin')
    await look('after', (await stateOf(client)).role)
    await client.query('rollback')
    await client.query('discard all')

    const after = didRun ? await everythingOf(ground, targets, bob) : before
    const changed = Object.keys(after).filter((table) => after[table] !== before[table])
    answers.push({ ...hostile, role: stance.role, answered })
    trials.push({
      matrix: 'hostile SQL, with an identity',
      row: hostile.group,
      column: stance.role,
      power: told.length + changed.length > 0 ? `${stance.role} ${hostile.steps.join('; ')}` : undefined,
      detail: `${hostile.why}; read: ${told.join(', ')}; changed: ${changed.join(', ')}`,
    })
  }
  await Promise.all([attacker.leave(), victim.end()])
  await superuser.query('drop schema hostile cascade')
  return { trials, answers }
}

/** R27: functions and operators that answer yes to everything, in case our code looks them up by name. */
const HOSTILE_SCHEMA = `
  create schema hostile;
  grant usage on schema hostile to public;
  create function hostile.uuid_eq(uuid, uuid) returns boolean language sql immutable as $$ select true $$;
  create operator hostile.= (function = hostile.uuid_eq, leftarg = uuid, rightarg = uuid);
  create function hostile.sha256(bytea) returns bytea language sql immutable as $$ select ''::bytea $$;
  create function hostile.current_setting(text, boolean) returns text language sql immutable as $$ select null::text $$;
  create function hostile.string_to_array(text, text) returns text[] language sql immutable as $$ select '{}'::text[] $$;`

/**
 * A victim whose request is in progress, as a transaction sends it. Observers may see the request, but no
 * value in it.
 */
async function openVictim({ connect, roles, bob }: Ground): Promise<pg.Client> {
  const victim = await connect('server')
  await victim.query('begin; set local idle_in_transaction_session_timeout = 0')
  await victim.query('select ctx.begin_context($1, $2)', [bob.userId, bob.sessionId])
  await victim.query(`set local role ${roles.user}`)
  await victim.query('select * from user_devices where user_id = $1', [bob.userId])
  return victim
}

/** The identity and role, as the database sees them. */
async function stateOf(client: pg.Client): Promise<{ role: string; identity: string | null }> {
  const text = `select current_user as role, pg_catalog.current_setting('app.current_user_id', true) as identity`
  const { rows } = await client.query<{ role: string; identity: string | null }>(text)
  return rows[0] ?? { role: '', identity: null }
}

/** Runs one step. It undoes a refused step, as an attacker would, so that it can try the next. */
async function tryStep(client: pg.Client, step: string): Promise<{ code: string | undefined; text: string }> {
  const inTransaction = client.getTransactionStatus() === 'T'
  if (inTransaction) await client.query('savepoint step')
  try {
    const { rows } = await client.query(step)
    return { code: undefined, text: JSON.stringify(rows) }
  } catch (error) {
    // Some refusals end the transaction.
    if (inTransaction) await client.query('rollback to savepoint step').catch(() => {})
    // The driver knows the state of the transaction only after an answer that is not a refusal.
    await client.query('')
    return { code: (error as pg.DatabaseError).code ?? String(error), text: '' }
  }
}

/**
 * The relations in which the attacker can read rows of other people; without an identity, rows of any person.
 */
async function othersSeen(
  client: pg.Client,
  assume: string,
  targets: Target[],
  somebody?: Somebody,
): Promise<string[]> {
  const columnOf = ({ owner }: Target) => owner ?? 'ctid'
  // The query uses full names throughout: the attacker may have changed the path.
  const readable = `select i::text as i from (values ${targets.map((target, i) => `(${i}, ${target.oid}::oid, '${columnOf(target)}')`).join(', ')}) v (i, t, c)
    where pg_catalog.has_column_privilege(t, c, 'select') and pg_catalog.has_schema_privilege((select relnamespace from pg_catalog.pg_class where oid operator(pg_catalog.=) t), 'usage')`
  try {
    const results = (await client.query(
      `savepoint look; ${assume} ${readable}`,
    )) as unknown as pg.QueryResult<{ i: string }>[]
    const seen = (results.at(-1)?.rows ?? []).map(({ i }) => targets[Number(i)] as Target)
    if (seen.length === 0) return []
    const counts = seen.map(({ name, sql, owner }) => {
      const ofOthers =
        owner && somebody
          ? ` where ${owner} operator(pg_catalog.<>) '${somebody.userId}'::pg_catalog.uuid`
          : ''
      return `select '${name}' as name, (select pg_catalog.count(*) from ${sql}${ofOthers}) as n`
    })
    const { rows } = await client.query<{ name: string; n: string }>(counts.join(' union all '))
    return rows.filter(({ n }) => Number(n) > 0).map(({ name }) => name)
  } catch (error) {
    // A forged identity, or statements that row security applies to while it is switched off.
    if (!['NP403', '42501'].includes((error as pg.DatabaseError).code ?? '')) throw error
    return []
  } finally {
    await client.query('rollback to savepoint look; release savepoint look')
  }
}
