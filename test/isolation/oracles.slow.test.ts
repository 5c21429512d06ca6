/** What the database does not return it does not tell either: not by errors, plans, estimates or counters. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { conditionOf } from '../../src/rls/policies.ts'
import { createAttackDatabase, type Ground } from '../support/attack/attack-database.ts'
import { STANCES } from '../support/attack/attacker.ts'
import { OPEN } from '../support/attack/expected-access.ts'
import { attackOracles, extractValues } from '../support/attack/oracle-attacks.ts'
import { takeFenceDown } from '../support/attack/variants.ts'
import { leaksOf, type Matrix, powersOf, type Trial, toMatrices } from '../support/matrix.ts'

let ground: Ground
beforeAll(async () => {
  ground = await createAttackDatabase(inject('database'), 'oracles')
  // Somebody whose values differ, so that a condition can be met by one row of others and not by the next.
  await ground.superuser.query(
    `update user_devices set mine = true, is_infrastructure = true, hostname = 'host', rate = 8, manufacturer = 'maker' where user_id = $1`,
    [ground.root.userId],
  )
  await ground.superuser.query(
    'update user_routers set is_active = false, last_seen = now() where user_id = $1',
    [ground.root.userId],
  )
})
afterAll(() => ground.close())

/** With and without an identity; nobody administers, and nobody signs in. */
const IDENTITIES: Record<string, string[]> = {
  user: ['nobody, new', 'user'],
  agent: ['nobody, new', 'agent'],
  auth: ['user'],
  admin: ['nobody, new', 'user'],
}
const stances = STANCES.filter(({ role, identity }) => IDENTITIES[role]?.includes(identity))
const asUser = stances.filter(({ role }) => role === 'user')
const devices = ({ name }: { name: string }) => name === 'user_devices'

/** What the matrices of another form of the database are called. */
const named = (form: string, trials: Trial[]): Matrix[] =>
  toMatrices(trials, OPEN).map(({ title, cells }) => ({ title: `${form}: ${title}`, cells }))

// What these take is the time of many thousand statements.
describe('a row of somebody else’s', { timeout: 120_000 }, () => {
  it.for(stances)(
    'looks like none to any comparison, as $role with the identity of $identity',
    async (stance, { task }) => {
      const trials = await attackOracles(ground, { stances: [stance] })
      task.meta.matrices = toMatrices(trials, OPEN)
      expect(leaksOf(trials, OPEN)).toEqual([])
      expect(trials.length).toBeGreaterThan(500)
    },
  )

  it('has no value that a search would find', async ({ task }) => {
    const trials = await extractValues(ground, { stances })
    task.meta.matrices = toMatrices(trials, OPEN)
    expect(leaksOf(trials, OPEN)).toEqual([])
    expect(trials.length).toBeGreaterThan(200)
  })
})

const USUAL = conditionOf('own')
const policy = (condition: string) =>
  `alter policy user_devices_user on user_devices using (${condition}) with check (${condition})`

describe('an oracle that is planted', { timeout: 60_000 }, () => {
  // So many of one value that statistics speak of it.
  const many = `insert into user_devices (user_id, router_id, device_name) select user_id, id, 'tablet' from user_routers, generate_series(1, 300)
    where user_id = (select user_id from user_devices where device_name = 'tablet' order by user_id limit 1); analyze user_devices`
  const few = `delete from user_devices where device_name = 'tablet' and group_id is null; analyze user_devices`
  const plantLeakproof = (name: string) => [
    `alter function ${name} leakproof; ${many}`,
    `alter function ${name} not leakproof; ${few}`,
  ]

  it.for([
    [
      'an equality that runs before policies',
      ...plantLeakproof('texteq'),
      / (ESTIMATES|TELLS) user_devices\./,
    ],
    ['an order that runs before policies', ...plantLeakproof('text_ge'), / (ESTIMATES|TELLS) user_devices\./],
    [
      'an index without the owner',
      'create index planted on user_devices (id)',
      'drop index planted',
      / FINDS rows of a known id/,
    ],
    [
      'a policy that is asked last',
      policy('user_id = (select ctx.uid())'),
      policy(USUAL),
      / FINDS rows of a known id/,
    ],
  ] as [string, string, string, RegExp][])('is found: %s', async ([, hole, closed, told]) => {
    await ground.superuser.query(hole)
    try {
      const leaks = leaksOf(await attackOracles(ground, { stances: asUser, targets: devices }), OPEN)
      expect(
        leaks.some((leak) => told.test(leak)),
        leaks.join('\n'),
      ).toBe(true)
    } finally {
      await ground.superuser.query(closed)
    }
  })
})

/** Without rows of their own, which would be told apart as well. */
const nobodies = stances.filter(({ login, identity }) => login === 'server' && identity === 'nobody, new')
const isToldByPlans = (power: string) => !power.includes(' ESTIMATES ')

// From here on the database is another one.
describe('a host that refuses the fence', { timeout: 120_000 }, () => {
  beforeAll(async () => {
    // What was planted left empty pages and other estimates.
    await ground.superuser.query('vacuum (full, analyze) user_devices')
    await takeFenceDown(ground)
  })

  it.for(nobodies)('leaves $role with the identity of $identity estimates only', async (stance, { task }) => {
    const trials = await attackOracles(ground, { stances: [stance] })
    const searched = await extractValues(ground, { stances: [stance] })
    task.meta.matrices = named(
      'without the fence',
      [...trials, ...searched].filter(({ power = '' }) => isToldByPlans(power)),
    )
    expect(powersOf(trials).filter(isToldByPlans)).toEqual([])
    expect(powersOf(searched)).toEqual([])
  })

  it('would tell every value by a policy that is asked last', async () => {
    await ground.superuser.query(policy('user_id = (select ctx.uid())'))
    const searched = await extractValues(ground, { stances: asUser, targets: devices })
    expect(powersOf(searched)).toContain('user DECODES user_devices.device_name')
  })
})
