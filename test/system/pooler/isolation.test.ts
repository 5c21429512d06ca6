/** R46: many clients, two connections. What one leaves in a connection, the next must not find. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { roleNames } from '../../../src/database/role-names.ts'
import { asAdmin } from '../../support/database.ts'
import { createUserWithAllRows } from '../../support/fixtures.ts'
import { openServer, type Person, type TestServer, worldOf } from '../../support/world.ts'
import { type Pooler, startPooler } from './pgbouncer.ts'

const database = inject('database')
const roles = roleNames(database.rolePrefix)
const CLIENTS = 100
let pooler: Pooler
let server: TestServer
let people: Person[]

beforeAll(async () => {
  pooler = await startPooler(database)
  server = await openServer({ DATABASE_POOL_SIZE: `${CLIENTS}` }, { ...database, pooler: pooler.address })
  const { person } = worldOf(server)
  people = await Promise.all(Array.from({ length: 8 }, () => person()))
  await Promise.all(people.map((somebody) => somebody.router({ name: somebody.id })))
})
afterAll(async () => {
  await server.close()
  await pooler.stop()
})

/** What statements find that nobody has opened a session for. */
async function withoutIdentity() {
  const { rows } = await server.pools.server.query<{ role: string; identity: string }>(
    `select current_user as role, coalesce(current_setting('app.current_user_id', true), '') as identity`,
  )
  return rows[0]
}
const nothing = { role: roles.server, identity: '' }

describe('two connections that many clients share', () => {
  it.each(['server', 'auth', 'admin'] as const)(
    'are where the %s pool leads, with the limits of its role, L11',
    async (role) => {
      const clients = await Promise.all(
        Array.from({ length: role === 'server' ? 6 : 2 }, () => server.pools[role].connect()),
      )
      const states = await Promise.all(
        clients.map(async (client) => {
          const { rows } =
            await client.query(`select pg_backend_pid() as pid, current_setting('statement_timeout') as statement,
          current_setting('lock_timeout') as lock, current_setting('idle_in_transaction_session_timeout') as idle`)
          return { ...rows[0], client: (client as unknown as { processID: number }).processID }
        }),
      )
      for (const client of clients) client.release()
      for (const { pid, client, ...limits } of states) {
        expect(pid).not.toBe(client)
        expect(limits).toEqual({ statement: '5s', lock: '2s', idle: '10s' })
      }
      expect(new Set(states.map(({ client }) => client)).size).toBe(clients.length)
      expect(new Set(states.map(({ pid }) => pid)).size).toBeLessThanOrEqual(2)
    },
  )

  it('show each person their own rows, and nothing to whoever has no identity in between, R3, R46', async () => {
    await Promise.all(
      Array.from({ length: 400 }, async (_, turn) => {
        const somebody = people[turn % people.length] as Person
        if (turn % 5 === 3) return expect(await withoutIdentity()).toEqual(nothing)
        if (turn % 5 === 4)
          return expect(
            server.pools.server.query('select from user_routers where user_id = $1', [somebody.id]),
          ).rejects.toMatchObject({
            code: '42501',
          })
        const { items } = (await somebody.call('GET', '/api/routers')).json()
        return expect(items.map(({ name }: { name: string }) => name)).toEqual([somebody.id])
      }),
    )
  })

  it('keep nothing of a client that is refused, or fails, or goes away in the middle, R3, R46', async () => {
    const [ada, bob] = await Promise.all([worldOf(server).person(), worldOf(server).person()])
    const router = await ada.router()
    const addGroup = () => ada.call('POST', '/api/groups', { body: { routerId: router.id, name: 'kids' } })
    await addGroup()
    await bob.call('POST', '/api/auth/logout')
    const { userId, sessionId } = await asAdmin(database.adminUrl, createUserWithAllRows)
    const leave = async () => {
      const client = await server.pools.server.connect()
      try {
        await client.query('begin')
        await client.query('select ctx.begin_context($1, $2)', [userId, sessionId])
        await client.query(`set local role ${roles.user}`)
        const { rows } = await client.query('select user_id from user_routers where user_id = $1', [userId])
        expect(rows).toEqual([{ user_id: userId }])
      } finally {
        client.release(new Error('gone'))
      }
    }
    for (let round = 0; round < 10; round += 1) {
      const [refused, failed] = await Promise.all([
        bob.call('GET', '/api/routers'),
        addGroup(),
        leave(),
        leave(),
      ])
      expect([refused.statusCode, failed.statusCode]).toEqual([401, 409])
      for (const state of await Promise.all(Array.from({ length: 6 }, withoutIdentity)))
        expect(state).toEqual(nothing)
    }
    expect((await ada.call('GET', '/api/routers')).json()).toMatchObject({ total: 1 })
  })
})
