/**
 * The identity of a transaction: nobody can forge, keep or pass it on; and so in the other forms that the
 * database may have.
 */
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { CATALOGUE } from '../../src/database/catalogue/self-check.ts'
import { createAttackDatabase, type Ground } from '../support/attack/attack-database.ts'
import type { Stance } from '../support/attack/attacker.ts'
import { OPEN } from '../support/attack/expected-access.ts'
import { attackWithSql } from '../support/attack/hostile-attacks.ts'
import { attackRows } from '../support/attack/row-attacks.ts'
import { attackPlans, attackSeal, openSeal } from '../support/attack/seal-attacks.ts'
import { distribute, takeFenceDown, writePolicies } from '../support/attack/variants.ts'
import type { Somebody } from '../support/fixtures.ts'
import { leaksOf, type Matrix, type Trial, toMatrices } from '../support/matrix.ts'

let ground: Ground
let server: pg.Client
let other: pg.Client
beforeAll(async () => {
  ground = await createAttackDatabase(inject('database'), 'seal')
  server = await ground.connect('server')
  other = await ground.connect('server')
})
afterAll(() => ground.close())

const AS_USER: Stance = { login: 'server', role: 'user', identity: 'user' }
const isOpen = (power: string) => power in OPEN

/**
 * Whom policies for users see when the transaction begins with this for an identity: an id, null, or an
 * SQLSTATE.
 */
async function seenWith(seal: string, client = server): Promise<string | null> {
  await client.query('begin')
  try {
    await client.query(`set local role ${ground.roles.user}; set local app.current_user_id = '${seal}'`)
    return (await client.query<{ uid: string | null }>('select ctx.uid() as uid')).rows[0]?.uid ?? null
  } catch (error) {
    return (error as pg.DatabaseError).code ?? null
  } finally {
    await client.query('rollback')
  }
}
/** Somebody's seal, whose transaction is over. */
async function pastSeal(client: pg.Client, somebody: Somebody): Promise<string> {
  const seal = await openSeal(client, AS_USER, somebody)
  await client.query('commit')
  return seal
}
/**
 * What a superuser, who can call the function that makes the MAC, gets with a seal of this age in seconds.
 */
async function seenAt(age: number): Promise<string | undefined> {
  const { superuser, roles, bob } = ground
  await superuser.query('begin')
  try {
    const { rows } = await superuser.query<{ seal: string }>(
      `select body || '|' || ctx.mac(body) as seal from concat_ws('|', 'user', $1::text, 'user', '', '', $2::text, extract(epoch from now()) - $3::numeric) body`,
      [bob.userId, bob.sessionId, age],
    )
    await superuser.query(`set local app.current_user_id = '${rows[0]?.seal}'; set local role ${roles.user}`)
    return (await superuser.query<{ n: string }>('select ctx.uid() as n')).rows[0]?.n
  } catch (error) {
    return (error as pg.DatabaseError).code
  } finally {
    await superuser.query('rollback')
  }
}

describe('the seal', { timeout: 60_000 }, () => {
  it('of no forgery passes, whichever part is changed, missing or empty, with and without an identity before', async ({
    task,
  }) => {
    const trials = await attackSeal(ground)
    task.meta.matrices = toMatrices(trials, OPEN)
    expect(leaksOf(trials, OPEN)).toEqual([])
    expect(trials.length).toBeGreaterThan(2_000)
  })

  it('is good for its transaction only: not for the next one on the connection, nor on another, be it one’s own or somebody else’s', async () => {
    const { ada, bob } = ground
    for (const somebody of [ada, bob]) {
      expect(await seenWith(await pastSeal(server, somebody))).toBe('NP403')
      expect(await seenWith(await pastSeal(other, somebody))).toBe('NP403')
      expect(await seenWith(await openSeal(other, AS_USER, somebody))).toBe('NP403')
      await other.query('rollback')
    }
  })

  it('cannot be in place of one’s own either, nor come with the connection', async () => {
    const { ada, bob, roles } = ground
    const theirs = await openSeal(other, AS_USER, bob)
    await openSeal(server, AS_USER, ada)
    await server.query(`set local role ${roles.user}`)
    await server.query(`set local app.current_user_id = '${theirs}'`)
    await expect(server.query('select from user_devices')).rejects.toMatchObject({ code: 'NP403' })
    await server.query('rollback')
    const fresh = await ground.connect('server', `-c app.current_user_id=${theirs}`)
    await expect(
      fresh.query('select ctx.begin_context($1, $2)', [ada.userId, ada.sessionId]),
    ).rejects.toMatchObject({ code: 'NP403' })
    await fresh.query(`begin; set local role ${roles.user}`)
    await expect(fresh.query('select from user_devices')).rejects.toMatchObject({ code: 'NP403' })
    await fresh.end()
    await other.query('rollback')
  })

  it('is good for a minute', async () => {
    for (const age of [0, 59, -59]) expect(await seenAt(age), `${age} s`).toBe(ground.bob.userId)
    for (const age of [61, -61, 86_400]) expect(await seenAt(age), `${age} s`).toBe('NP403')
  })

  it('is nobody’s without its key: what cannot be computed does not compare as equal', async () => {
    const { superuser, roles, bob } = ground
    await superuser.query('begin; delete from ctx.seal_key')
    try {
      await superuser.query(
        `set local app.current_user_id = 'user|${bob.userId}|user||||0|'; set local role ${roles.user}`,
      )
      await expect(superuser.query('select from user_devices')).rejects.toMatchObject({ code: 'P0002' })
    } finally {
      await superuser.query('rollback')
    }
  })

  it('R14 is asked for at each execution: a statement that was planned once for one person shows another their own rows', async ({
    task,
  }) => {
    const trials = await attackPlans(ground)
    task.meta.matrices = toMatrices(trials, OPEN)
    expect(leaksOf(trials, OPEN)).toEqual([])
  })
})

/** What the matrices of another form of the database are called. */
const named = (form: string, trials: Trial[]): Matrix[] =>
  toMatrices(trials, OPEN).map(({ title, cells }) => ({ title: `${form}: ${title}`, cells }))

const attackWith = async (isTried: (steps: string) => boolean = () => true): Promise<Trial[]> =>
  (await attackWithSql(ground, AS_USER, { isOpen, isTried: ({ steps }) => isTried(steps.join('; ')) })).trials

describe('the policies', () => {
  it('have a form without sub-selects, for distributed tables, and come back from it as they were', async () => {
    const { superuser, roles } = ground
    const forms = async () => {
      const { rows } = await superuser.query<{ using: string }>(
        'select pg_get_expr(polqual, polrelid) as using from pg_policy',
      )
      return rows.map(({ using }) => using)
    }
    await superuser.query('begin')
    try {
      await writePolicies(ground, true)
      expect((await forms()).filter((using) => /select/i.test(using))).toEqual([])
      expect((await forms()).filter((using) => /ctx\.\w*uid\(\)/.test(using)).length).toBeGreaterThan(20)
      await writePolicies(ground, false)
      expect((await CATALOGUE.policies.check(superuser, roles)).findings).toEqual([])
    } finally {
      await superuser.query('rollback')
    }
  })
})

// From here on the database is another one, step by step.
describe('the policies and the seal of a distributed database', { timeout: 60_000 }, () => {
  beforeAll(() => distribute(ground))

  it('keep everybody out of the rows of others as well', async ({ task }) => {
    const stances = ({ role, identity }: Stance) =>
      (role === 'user' || role === 'agent') && [role, 'nobody, new'].includes(identity)
    const trials = [
      ...(await attackRows(ground, { stances })),
      ...(await attackSeal(ground)),
      ...(await attackPlans(ground)),
      ...(await attackWith()),
    ]
    task.meta.matrices = named('distributed', trials)
    expect(leaksOf(trials, OPEN)).toEqual([])
  })

  it('have no sub-select, and a seal that is good on other backends, for its minute', async () => {
    const { superuser, ada } = ground
    const { rows } = await superuser.query(
      `select polname from pg_policy where pg_get_expr(polqual, polrelid) ~* 'select'`,
    )
    expect(rows).toEqual([])
    expect(await seenWith(await pastSeal(other, ada))).toBe(ada.userId)
    for (const age of [61, -61]) expect(await seenAt(age), `${age} s`).toBe('NP403')
  })
})

describe('a host that refuses the fence', { timeout: 60_000 }, () => {
  beforeAll(() => takeFenceDown(ground))

  it('leaves nuisances, and nobody’s rows: the seal does not rest on the fence', async ({ task }) => {
    // Connections of others, and time, are the nuisance that is meant; the whole registry of manufacturers as
    // XML takes some.
    const trials = await attackWith(
      (steps) => !/pg_(terminate|cancel)_backend|pg_sleep|(schema|database)_to_xml/.test(steps),
    )
    task.meta.matrices = named('without the fence', trials)
    expect(leaksOf(trials, OPEN)).toEqual([])
  })
})
