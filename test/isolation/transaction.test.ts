/**
 * The only door: what it hands out, what it takes back, and that nothing of one session reaches the next. A
 * pool of one makes it visible.
 */
import { randomUUID } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { sql } from '../../src/database/drizzle.ts'
import { createPool } from '../../src/database/pool.ts'
import { roleNames } from '../../src/database/role-names.ts'
import { Problem } from '../../src/http/problem.ts'
import { addRouter, listRouters } from '../../src/modules/routers/repository.ts'
import type { UserIdentity } from '../../src/rls/identity.ts'
import { createTransactions, type Tx, type WithTransaction } from '../../src/rls/transaction.ts'
import { asAdmin, loginUrl } from '../support/database.ts'
import { createUserWithAllRows, type Somebody } from '../support/fixtures.ts'

const database = inject('database')
const roles = roleNames(database.rolePrefix)
const page = { limit: 50, offset: 0 }

const open = (size: number, acquireTimeoutMs = 500) =>
  createPool({
    url: loginUrl(database, 'server'),
    size,
    acquireTimeoutMs,
    applicationName: `session ${randomUUID()}`,
    onIdleError: () => {},
  })
const server = open(1)
const auth = createPool({
  url: loginUrl(database, 'auth'),
  size: 1,
  acquireTimeoutMs: 500,
  applicationName: 'session auth',
  onIdleError: () => {},
})
const admin = createPool({
  url: loginUrl(database, 'admin'),
  size: 1,
  acquireTimeoutMs: 500,
  applicationName: 'session admin',
  onIdleError: () => {},
})
const withTransaction: WithTransaction = createTransactions({
  server,
  auth,
  admin,
  roles,
  namedStatements: true,
})

let ada: Somebody
let bob: Somebody
const asUser = ({ userId, sessionId }: Somebody): UserIdentity => ({ kind: 'user', userId, sessionId })
const namesSeen = async (somebody: Somebody) =>
  (await withTransaction(asUser(somebody), (tx) => listRouters(tx, page, 15))).items.map(({ name }) => name)

beforeAll(() =>
  asAdmin(database.adminUrl, async (client) => {
    ada = await createUserWithAllRows(client)
    bob = await createUserWithAllRows(client)
    await client.query(`update user_routers set router_name = 'of ada' where user_id = $1`, [ada.userId])
    await client.query(`update user_routers set router_name = 'of bob' where user_id = $1`, [bob.userId])
  }),
)
afterAll(() => Promise.all([server, auth, admin].map((pool) => pool.end())))

/** The identity, the role and the connection that statements have right now, without a session. */
async function leftovers() {
  const client = await server.connect()
  const { rows } = await client.query(
    `select current_user as role, coalesce(current_setting('app.current_user_id', true), '') as identity`,
  )
  client.release()
  return rows[0]
}
const nothingLeft = { role: roles.server, identity: '' }
const pidOf = async (tx: Tx) =>
  (await tx.query<{ pid: number }>({ name: 'pid', text: 'select pg_backend_pid() as pid' }))[0]?.pid

describe('a session', () => {
  // Whatever a test did to the one connection: the next person is served, as themselves, and nothing is left
  // behind.
  beforeEach(() => async () => {
    expect(await namesSeen(bob)).toEqual(['of bob'])
    expect(await leftovers()).toEqual(nothingLeft)
    expect(server.totalCount).toBe(1)
    expect(server.idleCount).toBe(1)
  })

  it('shows each person their own rows, one after the other on one connection', async () => {
    for (let round = 0; round < 3; round += 1) {
      expect(await namesSeen(ada)).toEqual(['of ada'])
      expect(await namesSeen(bob)).toEqual(['of bob'])
    }
  })

  it('commits what the work did', async () => {
    const name = randomUUID()
    await withTransaction(asUser(ada), (tx) => addRouter(tx, { name }, 15))
    expect(await namesSeen(ada)).toContain(name)
  })

  it('rolls back what the work did when it throws, at once or later', async () => {
    const name = randomUUID()
    const work = async (tx: Tx) => {
      await addRouter(tx, { name }, 15)
      throw new Error('changed my mind')
    }
    await expect(withTransaction(asUser(ada), work)).rejects.toThrow('changed my mind')
    const sync = () => {
      throw new Error('at once')
    }
    await expect(withTransaction(asUser(ada), sync)).rejects.toThrow('at once')
    expect(await namesSeen(ada)).not.toContain(name)
  })

  it('is 401 for nobody, for an ended login session and for a session of somebody else, whatever the work does with its errors', async () => {
    const works: ((tx: Tx) => Promise<unknown>)[] = [
      (tx) => listRouters(tx, page, 15),
      async (tx) => listRouters(tx, page, 15).catch(() => 'swallowed'),
      async () => 'no query at all',
    ]
    for (const work of works) {
      await expect(withTransaction(null, work)).rejects.toMatchObject({ code: 'unauthenticated' })
      await expect(withTransaction({ ...asUser(ada), sessionId: randomUUID() }, work)).rejects.toMatchObject({
        code: 'unauthenticated',
      })
      await expect(withTransaction({ ...asUser(ada), sessionId: bob.sessionId }, work)).rejects.toMatchObject(
        {
          code: 'unauthenticated',
        },
      )
    }
  })

  it('keeps its connection after a refused identity', async () => {
    const before = await withTransaction(asUser(ada), pidOf)
    await expect(withTransaction({ ...asUser(ada), sessionId: randomUUID() }, pidOf)).rejects.toMatchObject({
      code: 'unauthenticated',
    })
    expect(await withTransaction(asUser(ada), pidOf)).toBe(before)
  })

  it('does not report success when a failed statement was swallowed: nothing was stored', async () => {
    const name = randomUUID()
    const work = async (tx: Tx) => {
      await addRouter(tx, { name }, 15)
      await tx.execute(sql`select 1 / 0`).catch(() => {})
      return 'done'
    }
    await expect(withTransaction(asUser(ada), work)).rejects.toThrow('commit answered ROLLBACK')
    expect(await namesSeen(ada)).not.toContain(name)
  })

  it('gives errors of the database unwrapped, without the statement and its parameters', async () => {
    const failure = await withTransaction(asUser(ada), (tx) =>
      tx.execute(sql`select ${'my secret'}::int`),
    ).catch((error: Error) => error)
    expect(failure).toBeInstanceOf(pg.DatabaseError)
    expect(failure).toMatchObject({ code: '22P02' })
    expect(failure).not.toHaveProperty('params')
    expect(failure).not.toHaveProperty('query')
  })

  it('refuses to write when it is read only', async () => {
    const work = (tx: Tx) => addRouter(tx, { name: 'x' }, 15)
    await expect(withTransaction(asUser(ada), work, { readOnly: true })).rejects.toMatchObject({
      code: '25006',
    })
  })

  it('takes only statements that read or change rows', async () => {
    const statements = [
      'set role postgres',
      'reset role',
      `set local app.current_user_id = 'user|x'`,
      'commit',
      'begin',
      'lock table user_devices',
      'do $$ begin end $$',
      'copy users to stdout',
      'listen x',
      'savepoint s',
      'declare c cursor with hold for select 1',
      'alter role x password null',
      '/* */ select 1',
      '-- x\nselect 1',
    ]
    for (const text of statements) {
      await expect(
        withTransaction(asUser(ada), (tx) => tx.execute(sql.raw(text))),
        text,
      ).rejects.toThrow('only statements that read or change rows')
    }
  })

  it('runs one statement at a time: stacked ones are refused, with values and without', async () => {
    await expect(
      withTransaction(asUser(ada), (tx) => tx.execute(sql.raw('select 1; select 2'))),
    ).rejects.toMatchObject({ code: '42601' })
    const client = await server.connect()
    await expect(client.query('select 1; select 2')).rejects.toMatchObject({ code: '42601' })
    await expect(client.query('select 1; select 2', [])).rejects.toMatchObject({ code: '42601' })
    client.release()
  })

  it('is over when it is over: a transaction that outlives it answers nothing', async () => {
    let escaped: Tx | undefined
    await withTransaction(asUser(ada), async (tx) => {
      escaped = tx
    })
    await expect((escaped as Tx).query({ name: 'late', text: 'select 1' })).rejects.toThrow(
      'the session is over',
    )
    await expect(listRouters(escaped as Tx, page, 15)).rejects.toMatchObject({
      cause: { message: 'the session is over' },
    })
  })

  it('fails when a query was sent and not awaited, and stores nothing of it', async () => {
    const name = randomUUID()
    const work = async (tx: Tx) => {
      await pidOf(tx)
      const text = 'insert into user_routers (user_id, router_name) values ($1, $2)'
      tx.query({ name: 'not awaited', text, values: [ada.userId, name] }).catch(() => {})
    }
    await expect(withTransaction(asUser(ada), work)).rejects.toThrow('still under way')
    expect(await namesSeen(ada)).not.toContain(name)
  })

  it('is 503 when its connection dies in the middle, and the next one gets another', async () => {
    const work = async (tx: Tx) => {
      const pid = await pidOf(tx)
      await asAdmin(database.adminUrl, (client) => client.query('select pg_terminate_backend($1)', [pid]))
      return pidOf(tx)
    }
    await expect(withTransaction(asUser(ada), work)).rejects.toSatisfy((error) => {
      const { code } = error as Problem & pg.DatabaseError
      return (error instanceof Problem && code === 'unavailable') || (code as string) === '57P01'
    })
  })

  it('survives the death of an idle connection', async () => {
    const pid = await withTransaction(asUser(ada), pidOf)
    const noticed = new Promise((resolve) => server.once('remove', resolve))
    await asAdmin(database.adminUrl, (client) => client.query('select pg_terminate_backend($1)', [pid]))
    await noticed
    expect(await withTransaction(asUser(ada), pidOf)).not.toBe(pid)
  })

  it('destroys a connection on which a value could not be sent, since named statements are then in doubt', async () => {
    const query = (values: unknown[]) => (tx: Tx) =>
      tx.query({ name: 'poison', text: 'select $1::jsonb as value', values })
    const before = await withTransaction(asUser(ada), pidOf)
    await expect(withTransaction(asUser(ada), query([{ big: 1n }]))).rejects.toThrow()
    expect(await withTransaction(asUser(ada), query([{ fine: 1 }]))).toEqual([{ value: { fine: 1 } }])
    expect(await withTransaction(asUser(ada), pidOf)).not.toBe(before)
  })

  it('is cut off by the time limit of its login, and answers 57014', async () => {
    const text =
      'select count(*) from pg_attribute a, pg_attribute b, pg_attribute c where a.attnum + b.attnum > c.attnum'
    await expect(
      withTransaction(asUser(ada), (tx) => tx.query({ name: 'endless', text })),
    ).rejects.toMatchObject({ code: '57014' })
  })
})

describe('the pool', () => {
  it('turns away who would wait too long, with 503, and serves on', async () => {
    const narrow = open(1, 2_000)
    const session = createTransactions({ server: narrow, auth, admin, roles, namedStatements: true })
    let finish = () => {}
    const holding = session(asUser(ada), async (tx) => {
      await pidOf(tx)
      await new Promise<void>((resolve) => {
        finish = resolve
      })
    })
    await setImmediate()
    const waiting = Array.from({ length: 30 }, () => session(asUser(bob), pidOf))
    const outcomes = await Promise.allSettled(waiting)
    expect(
      outcomes.every((outcome) => outcome.status === 'rejected' && outcome.reason.code === 'unavailable'),
    ).toBe(true)
    // Beyond the bound on waiters nobody waits at all.
    expect(
      outcomes.some(
        (outcome) => outcome.status === 'rejected' && outcome.reason.options.detail === 'The server is busy',
      ),
    ).toBe(true)
    finish()
    await holding
    expect(await session(asUser(bob), pidOf)).toEqual(expect.any(Number))
    await narrow.end()
  })

  it('keeps two people apart who use one named statement under a generic plan, each as user and as agent', async () => {
    const list = (tx: Tx) =>
      tx.query<{ user_id: string }>({ name: 'shared', text: 'select user_id from user_devices' })
    for (let round = 0; round < 12; round += 1) {
      for (const somebody of [ada, bob]) {
        const agent = {
          kind: 'agent',
          userId: somebody.userId,
          keyId: somebody.keyId,
          sha256: somebody.sha256,
        } as const
        for (const identity of [asUser(somebody), agent]) {
          const rows = await withTransaction(identity, list)
          expect(rows.length).toBeGreaterThan(0)
          expect(rows.every((row) => row.user_id === somebody.userId)).toBe(true)
        }
      }
    }
  })
})
