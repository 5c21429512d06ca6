/**
 * The attacks bite: each hole, planted for a moment in a database of its own, is found and named, and nothing
 * is when it is closed again.
 */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createAttackDatabase, type Ground } from '../support/attack/attack-database.ts'
import { OPEN } from '../support/attack/expected-access.ts'
import { asUser, HOLES } from '../support/attack/planted-holes.ts'
import { attackRows } from '../support/attack/row-attacks.ts'
import { leaksOf } from '../support/matrix.ts'

let ground: Ground
let identity: string
beforeAll(async () => {
  ground = await createAttackDatabase(inject('database'), 'holes')
  const { rows } = await ground.superuser.query<{ definition: string }>(
    `select pg_get_functiondef('ctx.identity()'::regprocedure) as definition`,
  )
  identity = rows[0]?.definition ?? ''
})
afterAll(() => ground.close())

describe('a hole', { timeout: 60_000 }, () => {
  it.for(HOLES)('is found and named: $what', async ({ plant, close, attack, shows }) => {
    await ground.superuser.query(plant({ ...ground, identity }))
    try {
      const found = leaksOf(await attack(ground), OPEN)
      for (const power of shows)
        expect(
          found.some((leak) => leak.startsWith(power)),
          `${power} in ${found.join('\n')}`,
        ).toBe(true)
    } finally {
      await ground.superuser.query(close({ ...ground, identity }))
    }
    expect(leaksOf(await attack(ground), OPEN)).toEqual([])
  })

  it('is found in every table whose policy is true', async () => {
    const { rows } = await ground.superuser.query<{ name: string; policy: string; using: string }>(
      `select polrelid::regclass::text as name, polname as policy, pg_get_expr(polqual, polrelid) as using
        from pg_policy where polname like '%\\_user'`,
    )
    for (const { name, policy } of rows)
      await ground.superuser.query(`alter policy ${policy} on ${name} using (true)`)
    const found = leaksOf(await attackRows(ground, { stances: asUser }), OPEN)
    for (const { name, policy, using } of rows) {
      await ground.superuser.query(`alter policy ${policy} on ${name} using (${using})`)
      expect(
        found.some((leak) => leak.startsWith(`user SELECT ${name}:`)),
        name,
      ).toBe(true)
    }
  })

  it('is not overlooked for want of a row to aim at: the attack says what to add', async () => {
    await ground.superuser.query('create table planted (user_id uuid not null)')
    await expect(attackRows(ground)).rejects.toThrow(
      'Nothing to attack in planted: let createUserWithAllRows (test/support/fixtures.ts) write a row',
    )
    await ground.superuser.query('drop table planted')
  })
})
