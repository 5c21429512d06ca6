/**
 * Look-up tables: addresses and accounts at providers, led by what is looked up. Nobody who serves requests
 * reads or writes them but by functions, and they say what the accounts say, whatever happens at once.
 */
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { LOOKUPS } from '../../src/database/catalogue/expected-tables.ts'
import { roleNames } from '../../src/database/role-names.ts'
import { asAdmin, loginUrl } from '../support/database.ts'
import { createUserWithAllRows, type Somebody } from '../support/fixtures.ts'
import { tokenIn } from '../support/mail.ts'
import { expectProblem } from '../support/problems.ts'
import {
  linkProvider,
  openServer,
  type Person,
  rowsOf,
  type TestServer,
  type World,
  worldOf,
} from '../support/world.ts'

const database = inject('database')
const roles = roleNames(database.rolePrefix)
let server: TestServer
let world: World
let [ada, bob]: [Somebody, Somebody] = [{}, {}] as [Somebody, Somebody]
beforeAll(async () => {
  // Of sign-ins at once each counts as a guess until it has an answer.
  server = await openServer({ LOCKOUT_FAILURES: '1000' })
  world = worldOf(server)
  ;[ada, bob] = await asAdmin(database.adminUrl, async (admin) => [
    await createUserWithAllRows(admin),
    await createUserWithAllRows(admin),
  ])
})
afterAll(() => server.close())

/**
 * What one statement of a login answers, with somebody's identity or none, in a transaction that is undone.
 */
async function attempt(
  login: 'auth' | 'admin',
  who: Somebody | null,
  text: string,
  values: unknown[],
): Promise<{ rows: unknown[]; code?: string | undefined }> {
  const client = new pg.Client(loginUrl(database, login))
  await client.connect()
  try {
    await client.query('begin')
    const begin = login === 'admin' ? 'ctx.begin_admin_context' : 'ctx.begin_context'
    if (who) await client.query(`select ${begin}($1, $2)`, [who.userId, who.sessionId])
    return { rows: (await client.query(text, values)).rows }
  } catch (error) {
    return { rows: [], code: (error as pg.DatabaseError).code }
  } finally {
    await client.end()
  }
}

const emailsOf = async (userId: string) =>
  (
    await rowsOf<{ email: string }>('select email from user_emails where user_id = $1 order by 1', [userId])
  ).map(({ email }) => email)
const identitiesOf = (userId: string) =>
  rowsOf('select provider, subject from user_identities where user_id = $1', [userId])
const newEmail = () => `${randomUUID()}@example.com`

describe('a look-up table', () => {
  const verbs = (table: string) => [
    `select * from ${table}`,
    `insert into ${table} (user_id) values (gen_random_uuid())`,
    `update ${table} set user_id = gen_random_uuid()`,
    `delete from ${table}`,
    `lock table ${table} in access share mode`,
  ]
  it.each(Object.keys(LOOKUPS).flatMap((table) => verbs(table).map((text) => [text])))(
    'is nobody’s to ask: %s',
    async (text) => {
      await asAdmin(database.adminUrl, async (client) => {
        for (const role of ['server', 'user', 'agent', 'auth', 'admin'] as const) {
          await client.query(`begin; set local role ${roles[role]}`)
          await expect(client.query(text), role).rejects.toMatchObject({ code: '42501' })
          await client.query('rollback')
        }
      })
    },
  )

  it('gives an address to nobody by the hand of somebody who is signed in, and none that is taken', async () => {
    const take = 'select ctx.take_email($1, $2, $3) as taken'
    const theirs = `${bob.userId}@example.com`
    for (const values of [
      [ada.userId, newEmail(), null],
      [ada.userId, theirs, null],
      [bob.userId, newEmail(), theirs],
    ])
      expect(await attempt('auth', ada, take, values)).toMatchObject({ code: 'NP403' })
    expect(await attempt('auth', null, take, [ada.userId, theirs, null])).toEqual({
      rows: [{ taken: false }],
    })
    expect(await attempt('auth', null, take, [ada.userId, newEmail(), null])).toEqual({
      rows: [{ taken: true }],
    })
    // In place of what is somebody else's, nothing goes away.
    await attempt('auth', null, take, [ada.userId, newEmail(), theirs])
    expect(await emailsOf(bob.userId)).toEqual([theirs])
  })

  it('gives an account at a provider to its owner only, who gives away their own only', async () => {
    const take = 'select ctx.take_identity($1, $2, $3) as taken'
    const theirs = `google-${bob.userId}`
    expect(await attempt('auth', ada, take, [bob.userId, 'oidc', 'x'])).toMatchObject({ code: 'NP403' })
    expect(await attempt('auth', ada, take, [ada.userId, 'google', theirs])).toEqual({
      rows: [{ taken: false }],
    })
    const drop = 'select ctx.drop_identity($1, $2, $3)'
    expect(await attempt('auth', ada, drop, [bob.userId, 'google', theirs])).toMatchObject({ code: 'NP403' })
    await attempt('auth', ada, drop, [ada.userId, 'google', theirs])
    expect(await identitiesOf(bob.userId)).toHaveLength(1)
  })

  it('is changed by an administrator for whom they invite and whom they delete, and by nobody else', async () => {
    const invite = 'select ctx.take_invited_email($1, $2) as taken'
    const remove = 'select ctx.delete_account($1)'
    for (const who of [null, ada]) {
      expect((await attempt('admin', who, invite, [randomUUID(), newEmail()])).code).toMatch(/^NP40[34]$/)
      expect((await attempt('admin', who, remove, [bob.userId])).code).toMatch(/^NP40[34]$/)
    }
    const root = await asAdmin(database.adminUrl, createUserWithAllRows)
    await rowsOf(`update users set role = 'admin' where id = $1`, [root.userId])
    expect(await attempt('admin', root, invite, [randomUUID(), newEmail()])).toEqual({
      rows: [{ taken: true }],
    })
    expect(await attempt('admin', root, invite, [randomUUID(), `${bob.userId}@example.com`])).toEqual({
      rows: [{ taken: false }],
    })
    expect(await attempt('admin', root, invite, [bob.userId, newEmail()])).toMatchObject({ code: 'NP403' })
    expect((await attempt('auth', ada, remove, [bob.userId])).code).toBe('NP403')
  })
})

const register = (email: string) =>
  world.send('POST', '/api/auth/register', { body: { email, password: `pw ${randomUUID()}` } })
const login = ({ email, password }: Pick<Person, 'email' | 'password'>) =>
  world.send('POST', '/api/auth/login', { body: { email, password } })

describe('an address', () => {
  it('is one account’s, however many register it at once', async () => {
    const email = newEmail()
    const answers = await Promise.all(Array.from({ length: 6 }, () => register(email)))
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([201, 409, 409, 409, 409, 409])
    expect(await rowsOf('select from users where email = $1', [email])).toHaveLength(1)
  })

  it('that is changed is found, and the one before is free', async () => {
    const person = await world.person()
    const to = newEmail()
    await person.call('POST', '/api/users/change-email', {
      body: { newEmail: to, password: person.password },
    })
    const mail = server.mails.findLast((each) => each.to === to)
    const verify = { body: { token: mail && tokenIn(mail) } }
    expect((await world.send('POST', '/api/auth/verify-email', verify)).statusCode).toBe(204)
    expect(await emailsOf(person.id)).toEqual([to])
    expect((await login({ email: to, password: person.password })).statusCode).toBe(200)
    expectProblem(await login(person), 401, 'invalid-credentials')
    expect((await register(person.email)).statusCode).toBe(201)
    expectProblem(await register(to), 409, 'email-taken')
  })

  it('goes to one of two who change to it at once', async () => {
    const people = [await world.person(), await world.person()]
    const to = newEmail()
    for (const person of people)
      await person.call('POST', '/api/users/change-email', {
        body: { newEmail: to, password: person.password },
      })
    const tokens = server.mails.filter((mail) => mail.to === to).map(tokenIn)
    const answers = await Promise.all(
      tokens.map((token) => world.send('POST', '/api/auth/verify-email', { body: { token } })),
    )
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([204, 409])
    for (const { id } of people) {
      const [user] = await rowsOf<{ email: string }>('select email from users where id = $1', [id])
      expect(await emailsOf(id)).toEqual([user?.email])
    }
  })

  it.each(['its owner', 'an administrator'])('is free again when %s deletes the account', async (who) => {
    const person = await world.person()
    await linkProvider(person.id, 'google', `of ${person.id}`)
    const answer =
      who === 'its owner'
        ? await person.call('DELETE', '/api/users/account', { body: { password: person.password } })
        : await (await world.administrator()).call('DELETE', `/api/admin/users/${person.id}`)
    expect(answer.statusCode, answer.body).toBe(204)
    expect([await emailsOf(person.id), await identitiesOf(person.id)]).toEqual([[], []])
    expect((await register(person.email)).statusCode).toBe(201)
  })

  it('leaves nothing behind when the account is deleted while it changes or is linked', async () => {
    const person = await world.person()
    const to = newEmail()
    const gone = await asAdmin(database.adminUrl, async (client) => {
      // As what changes an address and links an account does it, on the way to its COMMIT.
      await client.query('begin')
      await client.query('update user_emails set email = $2 where user_id = $1', [person.id, to])
      await client.query('update users set email = $2 where id = $1', [person.id, to])
      await client.query(`insert into user_identities values ('oidc', $1, $1::text::uuid)`, [person.id])
      await client.query(`insert into user_providers values ($1::text::uuid, 'oidc', $1)`, [person.id])
      const { rows } = await client.query('select pg_backend_pid() as pid')
      const answer = person.call('DELETE', '/api/users/account', { body: { password: person.password } })
      const waits = 'select 1 from pg_locks where not granted and $1 = any(pg_blocking_pids(pid))'
      while ((await client.query(waits, [rows[0].pid])).rowCount === 0);
      await client.query('commit')
      return answer
    })
    expect(gone.statusCode, gone.body).toBe(204)
    expect([await emailsOf(person.id), await identitiesOf(person.id)]).toEqual([[], []])
  })
})

describe('signing in', () => {
  it('of one person at once, while the password changes back and forth, ends in answers and no deadlock', async () => {
    const person = await world.person()
    const other = `pw ${randomUUID()}`
    const change = (currentPassword: string, newPassword: string) =>
      person.call('POST', '/api/users/change-password', {
        body: { currentPassword, newPassword, keepOtherSessions: true },
      })
    const logins = () => Array.from({ length: 6 }, () => login(person))
    const answers = await Promise.all([...logins(), change(person.password, other), ...logins()])
    const statuses = new Set(answers.map(({ statusCode }) => statusCode))
    expect([...statuses].filter((status) => ![200, 204, 401].includes(status))).toEqual([])
    const together = await Promise.all(
      Array.from({ length: 8 }, () => login({ email: person.email, password: other })),
    )
    expect(together.map(({ statusCode }) => statusCode)).toEqual(Array(8).fill(200))
  })
})

describe('personal keys', () => {
  const addKey = async (person: Person) =>
    (
      await person.call('POST', '/api/users/keys', {
        body: { scopes: ['devices:read'], password: person.password },
      })
    ).json()
  const use = ({ key }: { key: string }) =>
    world.send('GET', '/api/devices', { headers: { 'x-api-key': key } })

  it('end with a change of password that says so, without a write to any of them; later ones live', async () => {
    const person = await world.person()
    const [first, second] = [await addKey(person), await addKey(person)]
    const versions = () =>
      rowsOf('select id, xmin::text, revoked_at from user_api_keys where user_id = $1 order by id', [
        person.id,
      ])
    const before = await versions()
    const newPassword = `pw ${randomUUID()}`
    const changed = await person.call('POST', '/api/users/change-password', {
      body: { currentPassword: person.password, newPassword, revokeKeys: true },
    })
    expect(changed.statusCode, changed.body).toBe(204)
    expect(server.mails.findLast(({ to }) => to === person.email)?.text).toContain('2 personal keys')
    expect(await versions()).toEqual(before)
    for (const dead of [first, second]) expectProblem(await use(dead), 401, 'unauthenticated')
    expect((await person.call('GET', '/api/users/keys')).json().items).toEqual([])
    expectProblem(await person.call('DELETE', `/api/users/keys/${first.id}`), 404, 'not-found')

    const third = await addKey({ ...person, password: newPassword })
    expect((await use(third)).statusCode).toBe(200)
    expect((await person.call('GET', '/api/users/keys')).json().items).toMatchObject([{ id: third.id }])
  })
})
