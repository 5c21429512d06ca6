/**
 * Forged identities: the attacks set each in a transaction with the attacker's identity and in one without an
 * identity. Policies must raise an error or show nothing.
 */
import pg from 'pg'
import type { Somebody } from '../fixtures.ts'
import type { Trial } from '../matrix.ts'
import type { Ground } from './attack-database.ts'
import { becomeAttacker, openingOf, STANCES, type Stance } from './attacker.ts'
import { forgeriesOf } from './forgeries.ts'

const SEAL = `select current_setting('app.current_user_id', true) as seal`

/** The seal of a person, as it is in the running transaction on `client`, which continues. */
export async function openSeal(client: pg.Client, stance: Stance, somebody: Somebody): Promise<string> {
  await client.query('begin')
  await client.query(openingOf(stance, somebody))
  return sealIn(client)
}
const sealIn = async (client: pg.Client) =>
  (await client.query<{ seal: string | null }>(SEAL)).rows[0]?.seal ?? ''

export async function attackSeal(
  ground: Ground,
  isTried: (stance: Stance) => boolean = () => true,
): Promise<Trial[]> {
  const { ada, bob } = ground
  const trials: Trial[] = []
  const other = await ground.connect('server')
  const stances = STANCES.filter(
    ({ role, identity }) =>
      ['user', 'agent'].includes(role) && ['nobody, new', 'nobody', role].includes(identity),
  )
  for (const stance of stances.filter(isTried)) {
    const attacker = await becomeAttacker(ground, stance)
    await attacker.begin()
    // Without an identity, the attack starts from a seal of another transaction.
    const own =
      (await sealIn(attacker.client)) ||
      (await openSeal(other, { ...stance, identity: stance.role as 'user' | 'agent' }, ada))
    const whose = stance.role === 'agent' ? 'ctx.agent_uid()' : 'ctx.uid()'
    const look = `select count(*) as n from user_devices where user_id <> '${ada.userId}' or ${whose} is not null`
    for (const { what, value } of forgeriesOf(own, bob)) {
      const { code, rows } = await attacker.attempt(
        `set local app.current_user_id = ${pg.escapeLiteral(value)}; ${look}`,
      )
      trials.push({
        matrix: 'forged identities',
        row: what.split(':')[0] ?? what,
        column: `${stance.role}, ${stance.identity}`,
        power:
          code === 'NP403' || (code === undefined && rows === 0)
            ? undefined
            : `${stance.role} FORGES an identity`,
        detail: `${stance.role}, identity of ${stance.identity}: ${what}: ${value} → ${code ?? rows}`,
      })
    }
    await attacker.leave()
    await other.query('rollback')
  }
  await other.end()
  return trials
}

/**
 * R14: a statement that was prepared and planned once, for another person. The attacker executes it, and so
 * does a caller without an identity.
 */
export async function attackPlans({ ada, bob, roles, connect }: Ground): Promise<Trial[]> {
  const client = await connect('server')
  await client.query('set plan_cache_mode = force_generic_plan')
  await client.query(
    `begin; set local role ${roles.user}; prepare devices as select user_id from user_devices; commit`,
  )
  const trials: Trial[] = []
  for (const [round, who] of (['bob', 'ada', 'nobody', 'bob', 'agent', 'ada'] as const).entries()) {
    const role = who === 'agent' ? 'agent' : 'user'
    const somebody = who === 'bob' ? bob : ada
    await client.query('begin')
    if (who !== 'nobody') await openSeal(client, { login: 'server', role, identity: role }, somebody)
    await client.query(`set local role ${roles[role]}`)
    const { rows } = await client.query<{ user_id: string }>('execute devices')
    await client.query('commit')
    const others = rows.filter((row) => who === 'nobody' || row.user_id !== somebody.userId).length
    trials.push({
      matrix: 'plans of others',
      row: who,
      column: role,
      power:
        others > 0 || (rows.length === 0) !== (who === 'nobody')
          ? `${role} EXECUTES a plan of somebody else`
          : undefined,
      detail: `${who}, execution ${round + 1}: ${rows.length} rows, ${others} of others`,
    })
  }
  await client.end()
  return trials
}
