/**
 * What somebody with a login's password leaves on the pooled connections meets nobody's request twice, and is
 * gone by itself.
 */
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { roleNames } from '../../../src/database/role-names.ts'
import { servingUrl, type TestDatabase } from '../../support/database.ts'
import { openServer, type Person, type Router, type TestServer, worldOf } from '../../support/world.ts'
import { type Pooler, startPooler } from './pgbouncer.ts'

const roles = roleNames(inject('database').rolePrefix)
/** Of the pooler, for each role. */
const CONNECTIONS = 2

let pooler: Pooler
let database: TestDatabase
let server: TestServer
let ada: Person
let router: Router
beforeAll(async () => {
  pooler = await startPooler(inject('database'))
  database = { ...inject('database'), pooler: pooler.address }
  server = await openServer({}, database)
  ada = await worldOf(server).person()
  router = await ada.router()
})
afterAll(async () => {
  await server.close()
  await pooler.stop()
})

/** Runs the statement on each of the pooler's connections, and leaves. */
async function leave(statement: string): Promise<void> {
  const clients = Array.from(
    { length: CONNECTIONS },
    () => new pg.Client({ connectionString: servingUrl(database, 'server') }),
  )
  const pids = new Set<number>()
  for (const client of clients) {
    client.on('error', () => {})
    await client.connect()
    // An open transaction keeps its connection, so that the next client gets another.
    await client.query('begin')
    pids.add((await client.query('select pg_backend_pid() as pid')).rows[0].pid)
  }
  expect(pids.size).toBe(CONNECTIONS)
  for (const client of clients) await client.query(`commit; ${statement}`)
  await Promise.all(clients.map((client) => client.end()))
}

/** Reads and writes. @returns the statuses of those that failed */
async function failures(): Promise<number[]> {
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, turn) =>
      turn % 2 === 0
        ? ada.call('GET', '/api/routers')
        : ada.call('PATCH', `/api/routers/${router.id}`, { body: { name: `${turn}` } }),
    ),
  )
  return answers.map(({ statusCode }) => statusCode).filter((status) => status !== 200)
}

/** What fails every request that meets it, and at the end what would not be noticed. */
const LEFT_OVER = [
  `set role ${roles.user}`,
  `set role ${roles.agent}`,
  `set session authorization ${roles.server}`,
  `set app.current_user_id = 'x'`,
  `set statement_timeout = '1ms'`,
  `set lock_timeout = '1ms'`,
  `set idle_session_timeout = '1ms'`,
  `set idle_in_transaction_session_timeout = '1ms'`,
  'set row_security = off',
  'set search_path = pg_catalog',
  'set default_transaction_read_only = on',
  `set default_transaction_isolation = 'serializable'`,
  'set statement_timeout = 0',
  'set synchronous_commit = off',
  `set timezone = 'Asia/Tokyo'`,
]

describe('what is left on every connection of the pooler', () => {
  it.each(LEFT_OVER)(
    'fails no more requests than there are connections, and is gone then: %s',
    async (statement) => {
      expect(await failures()).toEqual([])
      await leave(statement)
      expect((await failures()).length).toBeLessThanOrEqual(CONNECTIONS)
      expect(await failures()).toEqual([])
      const { rows } = await server.pools.server.query(
        `select name, setting from pg_settings where source = 'session' and name not in ('application_name', 'client_encoding')`,
      )
      expect(rows).toEqual([])
    },
  )
})
