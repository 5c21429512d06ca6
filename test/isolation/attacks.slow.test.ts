/**
 * The attack suite: an attacker who can run any SQL, as every role that serves requests, reads and changes
 * nothing of anybody else's.
 */
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createGuardedClient } from '../../src/rls/guarded-client.ts'
import { createAttackDatabase, type Ground } from '../support/attack/attack-database.ts'
import { becomeAttacker, STANCES, USUAL_STANCES } from '../support/attack/attacker.ts'
import { unjustifiedFunctions } from '../support/attack/built-in-functions.ts'
import { OPEN } from '../support/attack/expected-access.ts'
import { attackFunctions } from '../support/attack/function-attacks.ts'
import { attackWithSql } from '../support/attack/hostile-attacks.ts'
import { hostileSql } from '../support/attack/hostile-sql.ts'
import { attackReferences } from '../support/attack/reference-attacks.ts'
import { attackRows } from '../support/attack/row-attacks.ts'
import { everythingOf, readTargets } from '../support/attack/targets.ts'
import { leaksOf, powersOf, toMatrices } from '../support/matrix.ts'
import { wakeDigestOf } from '../support/wake-ups.ts'

let ground: Ground
beforeAll(async () => {
  ground = await createAttackDatabase(inject('database'), 'attacks')
})
afterAll(() => ground.close())

const isFunction = (power: string) => power.includes(' EXECUTE ')
const isOracle = (power: string) => power.endsWith(' a known id')
const meant = (kept: (power: string) => boolean) => Object.keys(OPEN).filter(kept).sort()

// What these tests take is the time of many thousand statements.
describe('an attacker with raw SQL', { timeout: 60_000 }, () => {
  it('reaches rows of others by no verb, on no relation, as no role, with and without an identity, but where that is meant', async ({
    task,
  }) => {
    const targets = await readTargets(ground)
    const before = await everythingOf(ground, targets, ground.bob)
    const trials = await attackRows(ground)
    task.meta.matrices = toMatrices(trials, OPEN)
    expect(leaksOf(trials, OPEN)).toEqual([])
    // What is meant is found, each of it: a list that says more than there is would hide what comes.
    expect(powersOf(trials)).toEqual(meant((power) => !isFunction(power) && !isOracle(power)))
    expect(await everythingOf(ground, targets, ground.bob)).toEqual(before)
    expect(trials.length).toBeGreaterThan(10_000)
  })

  it('R9 points no foreign key at a row of somebody else, and cannot tell whether there is one', async ({
    task,
  }) => {
    const trials = await attackReferences(ground)
    task.meta.matrices = toMatrices(trials, OPEN)
    expect(leaksOf(trials, OPEN)).toEqual([])
    expect(trials.length).toBeGreaterThan(500)
  })

  it('is told and changes nothing of others by any function, and wakes nobody’s router', async ({ task }) => {
    const trials = await attackFunctions(ground)
    task.meta.matrices = toMatrices(trials, OPEN)
    expect(leaksOf(trials, OPEN)).toEqual([])
    expect(powersOf(trials)).toEqual(meant(isFunction))
    expect(trials.length).toBeGreaterThan(500)
  })

  it('wakes their own router, so that the others are heard to be silent', async () => {
    const listener = await ground.connect('server')
    const heard = new Promise((resolve) => listener.once('notification', ({ payload }) => resolve(payload)))
    await listener.query('listen netpilot_policy')
    const stance = STANCES.find(({ role, identity }) => role === 'user' && identity === 'user')
    const attacker = await becomeAttacker(ground, stance as (typeof STANCES)[number])
    await attacker.begin()
    await attacker.attempt(`select ctx.wake('${ground.ada.routerId}')`, Number.POSITIVE_INFINITY)
    await attacker.commit()
    expect(await heard).toBe(await wakeDigestOf(ground.superuser, ground.ada.routerId))
  })

  it('takes nothing of the last 30 days out of the audit log, not even by housekeeping', async () => {
    const auth = await ground.connect('auth')
    for (const days of [29, 0, -100_000, null]) {
      await expect(auth.query('select ctx.purge($1)', [days]), `${days} days`).rejects.toMatchObject({
        code: 'NP403',
      })
    }
  })

  it('takes nothing of the last day out of the ledger of scans, not even by housekeeping', async () => {
    const auth = await ground.connect('auth')
    for (const days of [0, -100_000, null])
      await expect(auth.query('select ctx.purge_scans($1)', [days]), `${days} days`).rejects.toMatchObject({
        code: 'NP403',
      })
  })

  it('may execute no built-in function that does something but those that are justified', async () => {
    expect(await unjustifiedFunctions(ground)).toEqual([])
  })

  it.for(USUAL_STANCES)(
    'gains nothing by any statement as $role, whatever role they switch to',
    async (stance, { task }) => {
      const { trials, answers } = await attackWithSql(ground, stance, { isOpen: (power) => power in OPEN })
      task.meta.matrices = toMatrices(trials, OPEN)
      expect(leaksOf(trials, OPEN)).toEqual([])
      // Which fence holds: what auth and admin are answered differs with what they may read.
      if (stance.login === 'server') {
        expect(answers.map(({ steps, answered }) => [...steps, answered])).toEqual(
          answers.map(({ steps, answer }) => [
            ...steps,
            answer.split('/').at(stance.role === 'user' ? 0 : -1),
          ]),
        )
      }
    },
  )
})

describe('a request that is made to run such a statement', () => {
  it('R39 R33 R31 is stopped by the facade or by the database, unless it looks at figures of the server as a whole', async () => {
    const client = { query: async () => ({ rows: [] }) } as unknown as pg.PoolClient
    const facade = createGuardedClient(client, {
      prefix: 'user',
      namedStatements: true,
      markBroken: () => {},
    })
    const passes = (step: string) =>
      facade.query({ name: step, text: step }).then(
        () => true,
        () => false,
      )
    const through: string[] = []
    for (const { group, answer, steps } of hostileSql(ground)) {
      const passing = await Promise.all(steps.map(passes))
      if (answer.startsWith('runs') && passing.every(Boolean)) through.push(group)
    }
    expect([...new Set(through)]).toEqual(['watching others'])
  })
})
