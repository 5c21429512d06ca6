/**
 * What can be written to the audit log, and by whom: each function of the database takes the acts of its
 * callers, and no others.
 */
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { roleNames } from '../../src/database/role-names.ts'
import { asAdmin, loginUrl } from '../support/database.ts'
import { createUserWithAllRows, type Somebody } from '../support/fixtures.ts'
import { listOperations } from '../support/operations.ts'
import { rowsOf, sharedWorld } from '../support/world.ts'

const database = inject('database')
const { user } = roleNames(database.rolePrefix)
const logins = {
  server: new pg.Client(loginUrl(database, 'server')),
  auth: new pg.Client(loginUrl(database, 'auth')),
}
let bob: Somebody
beforeAll(async () => {
  await Promise.all(Object.values(logins).map((client) => client.connect()))
  bob = await asAdmin(database.adminUrl, createUserWithAllRows)
})
afterAll(() => Promise.all(Object.values(logins).map((client) => client.end())))

/** As the login, signed in or not, in a transaction that is undone. @returns SQLSTATE of the refusal */
async function attempt(
  login: 'server' | 'auth',
  text: string,
  values: unknown[],
  isSignedIn = login === 'server',
): Promise<string | undefined> {
  const client = logins[login]
  await client.query('begin')
  try {
    if (isSignedIn) await client.query('select ctx.begin_context($1, $2)', [bob.userId, bob.sessionId])
    if (login === 'server') await client.query(`set local role ${pg.escapeIdentifier(user)}`)
    await client.query(text, values)
    return undefined
  } catch (error) {
    return (error as pg.DatabaseError).code
  } finally {
    await client.query('rollback')
  }
}
const actOf = (actor: string, act: string, detail: object | null = null) =>
  attempt('auth', `select ctx.record_act_of($1, $2, $3, 'success', null, $4)`, [
    bob.userId,
    actor,
    act,
    detail,
  ])
const ownAct = (act: string, detail: object | null = null, targetKind = 'devices') =>
  attempt('server', `select ctx.record_act($1, $2, null, 'success', null, $3)`, [act, targetKind, detail])

describe('the acts that the database takes', () => {
  it('are the operations that change something, each by who can ask for it, and those of commands', async () => {
    const operations = await listOperations(await sharedWorld())
    const doors = { person: 'person', anyone: 'visitor', admin: 'administrator', agent: undefined }
    const changing = operations.filter(
      ({ method, operationId }) =>
        (method !== 'GET' && operationId !== 'previewPolicy') ||
        ['finishGoogleFlow', 'finishOidcFlow'].includes(operationId ?? ''),
    )
    const meant = changing.flatMap(({ door, operationId }) =>
      doors[door] ? [`${doors[door]} ${operationId}`] : [],
    )
    const known = await rowsOf<{ known: string }>(`select actor || ' ' || act as known from ctx.acts`)
    expect(known.map(({ known }) => known).sort()).toEqual(
      [...meant, 'system createAdmin', 'system removeAdmin'].sort(),
    )
  })

  it('are no others: the login that signs people in writes none of an administrator, an agent, or somebody who is signed in', async () => {
    expect(await actOf('user', 'login')).toBeUndefined()
    expect(await actOf('system', 'createAdmin')).toBeUndefined()
    for (const actor of ['admin', 'agent', '']) expect(await actOf(actor, 'login'), actor).toBe('NP403')
    for (const act of ['changeAccount', 'removeRouter', 'restartAuditChain', 'anything.i.like', ''])
      for (const actor of ['user', 'system']) expect(await actOf(actor, act), `${actor} ${act}`).toBe('NP403')
    expect(await actOf('user', 'createAdmin')).toBe('NP403')
  })

  it('are no others: somebody who is signed in writes theirs only', async () => {
    expect(await ownAct('addRouter')).toBeUndefined()
    for (const act of ['login', 'changeAccount', 'createAdmin', 'anything.i.like'])
      expect(await ownAct(act), act).toBe('NP403')
  })

  it('say so much and no more', async () => {
    const detail = (length: number) => ({ said: 'x'.repeat(length) })
    expect(await ownAct('addRouter', detail(1_900))).toBeUndefined()
    expect(await ownAct('addRouter', detail(2_000))).toBe('NP403')
    expect(await ownAct('addRouter', null, 'x'.repeat(101))).toBe('NP403')
    expect(await actOf('user', 'login', detail(1_000_000))).toBe('NP403')
  })
})

describe('the last use of a key', () => {
  it('is no later than now, whatever the login that notes it writes', async () => {
    await logins.auth.query('select ctx.record_key_use($1, $2, $3)', [
      [bob.userId],
      [bob.keyId],
      ['2999-01-01T00:00:00Z'],
    ])
    const [key] = await rowsOf<{ isPast: boolean }>(
      'select last_used_at <= now() as "isPast" from user_api_keys where user_id = $1 and key_id = $2',
      [bob.userId, bob.keyId],
    )
    expect(key).toEqual({ isPast: true })
  })
})
