/**
 * Whatever people ask at once, and wherever between two statements a connection is cut, a backend ended or a
 * statement cancelled: nobody is shown anybody else's row, no transaction and no identity stays behind, and
 * what was answered 2xx is stored, whole.
 */
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { prepare, separateDatabase, type TestDatabase } from '../support/database.ts'
import { type Fault, type FaultProxy, openFaultProxy } from '../support/fault-proxy.ts'
import {
  type Answer,
  newSecrets,
  openServer,
  type Person,
  type Router,
  type TestServer,
  worldOf,
} from '../support/world.ts'

const OPERATIONS = [
  'add',
  'rename',
  'remember',
  'list',
  'read',
  'peek',
  'scan',
  'poll',
  'nonsense',
  'stale',
] as const
type Step = {
  who: number
  operation: (typeof OPERATIONS)[number] /** Whether it waits for the steps before it. */
  inTurn: boolean
}
type Member = { person: Person; router: Router; staleToken: string }
type Asked = { member: Member; operation: Step['operation']; name: string; answer: Answer }

let database: TestDatabase
let proxy: FaultProxy
let servers: Map<number, TestServer>
let members: Member[]

let admin: pg.Client

/** Past row security. */
const sql = async <Row extends Record<string, unknown>>(text: string, values: unknown[] = []) =>
  (await admin.query<Row>(text, values)).rows

beforeAll(async () => {
  database = await separateDatabase(inject('database'), 'properties')
  await prepare(database)
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  proxy = await openFaultProxy(new URL(database.adminUrl).host, (harm, pid) =>
    sql(harm === 'cancel' ? 'select pg_cancel_backend($1)' : 'select pg_terminate_backend($1)', [pid]),
  )
  const url = new URL(database.adminUrl)
  url.host = proxy.address
  const behind: TestDatabase = {
    adminUrl: url.href,
    rolePrefix: database.rolePrefix,
    password: database.password,
  }
  const secrets = newSecrets()
  const nobodyListens = { listen: () => ({ close: async () => {} }) }
  const open = async (size: number) => {
    const env = {
      DATABASE_POOL_SIZE: String(size),
      DATABASE_AUTH_POOL_SIZE: '1',
      DATABASE_ACQUIRE_TIMEOUT_MS: '2000',
    }
    return [size, await openServer(env, behind, { secrets, ...nobodyListens })] as const
  }
  servers = new Map(await Promise.all([1, 2].map(open)))
  const { person, send } = worldOf(servers.get(1) as TestServer)
  members = []
  for (let n = 0; n < 3; n += 1) {
    const somebody = await person()
    const { accessToken: staleToken } = (
      await send('POST', '/api/auth/login', { body: { email: somebody.email, password: somebody.password } })
    ).json()
    await send('POST', '/api/auth/logout', { headers: { authorization: `Bearer ${staleToken}` } })
    members.push({
      person: somebody,
      router: await somebody.router({ name: `of ${somebody.id}` }),
      staleToken,
    })
  }
}, 60_000)
afterAll(async () => {
  for (const server of servers.values()) await server.close()
  await proxy.close()
  await admin.end()
})

function ask(
  server: TestServer,
  { person, router, staleToken }: Member,
  operation: Step['operation'],
  name: string,
  other: Member,
): Promise<Answer> {
  const { send } = worldOf(server)
  const as = (token: string, method: 'GET' | 'POST' | 'PATCH' | 'PUT', url: string, body?: object) =>
    send(method, url, { headers: { authorization: `Bearer ${token}` }, ...(body && { body }) })
  const me = person.accessToken
  switch (operation) {
    case 'add':
      return as(me, 'POST', '/api/routers', { name })
    case 'rename':
      return as(me, 'PATCH', `/api/routers/${router.id}`, { name })
    case 'remember':
      return as(me, 'PUT', `/api/settings/${name}`, { value: name })
    case 'list':
      return as(me, 'GET', '/api/routers?limit=200&sort=-createdAt')
    case 'read':
      return as(me, 'GET', `/api/routers/${router.id}`)
    case 'peek':
      return as(me, 'GET', `/api/routers/${other.router.id}`)
    case 'scan':
      return send('POST', '/api/agent/scans', {
        headers: { 'x-api-key': router.key },
        body: {
          scanId: name,
          takenAt: new Date().toISOString(),
          devices: [{ mac: '00:00:5e:00:53:57', hostname: `of-${person.id}` }],
        },
      })
    case 'poll':
      return send('GET', '/api/agent/devices', { headers: { 'x-api-key': router.key } })
    case 'nonsense':
      return as(me, 'POST', '/api/routers', { name, owner: other.person.id })
    case 'stale':
      return as(staleToken, 'POST', '/api/routers', { name })
  }
}

/** Statuses that each operation may have; 500 is none of them, whatever happens to the database. */
const EXPECTED: Record<Step['operation'], number[]> = {
  add: [201, 503],
  rename: [200, 503],
  remember: [200, 503],
  list: [200, 503],
  read: [200, 503],
  peek: [404, 503],
  scan: [200, 503],
  poll: [200, 503],
  nonsense: [400],
  stale: [401, 503],
}

/**
 * Whether what was asked for is in the database: with its line in the log, where it has one, or else it is
 * half.
 */
async function isStored({ member, operation, name }: Asked): Promise<boolean | 'half'> {
  const [found] = await sql<{ rows: number; acts: number }>(
    {
      add: `select (select count(*)::int from user_routers where user_id = $1 and router_name = $2) as rows,
        (select count(*)::int from user_audit_log l join user_routers r on (r.user_id, r.id) = (l.user_id, l.target_id)
          where l.user_id = $1 and act = 'addRouter' and r.router_name = $2) as acts`,
      remember: `select (select count(*)::int from user_settings where user_id = $1 and setting_key = $2) as rows,
        (select count(*)::int from user_settings where user_id = $1 and setting_key = $2) as acts`,
      scan: `select (select count(*)::int from user_scans where user_id = $1 and scan_id = $2) as rows,
        (select count(*)::int from user_scans where user_id = $1 and scan_id = $2 and answer is not null) as acts`,
    }[operation as 'add' | 'remember' | 'scan'],
    [member.person.id, name],
  )
  const { rows, acts } = found ?? { rows: 0, acts: 0 }
  return rows === acts ? rows > 0 : 'half'
}

/** What a connection of a pool is found with: nothing of anybody. */
async function leftovers({ pools }: TestServer): Promise<unknown[]> {
  const found = []
  for (const pool of Object.values(pools)) {
    const clients = await Promise.all(Array.from({ length: pool.options.max }, () => pool.connect()))
    for (const client of clients) {
      const status = client.getTransactionStatus()
      const { rows } = await client.query(
        `select nullif(current_setting('app.current_user_id', true), '') as identity, current_user = session_user as "isItself",
          (select count(*)::int from pg_locks where pid = pg_backend_pid() and locktype = 'advisory') as locks`,
      )
      const [{ identity, isItself, locks }] = rows as [
        { identity: string | null; isItself: boolean; locks: number },
      ]
      if (status !== 'I' || identity !== null || !isItself || locks > 0)
        found.push({ status, identity, isItself, locks })
      client.release()
    }
  }
  return found
}

let interleavings = 0
let harmed = 0

async function run(poolSize: number, steps: Step[], faults: Fault[]): Promise<void> {
  const server = servers.get(poolSize) as TestServer
  const asked: Asked[] = []
  let underWay: Promise<unknown>[] = []
  proxy.plan(faults)
  for (const { who, operation, inTurn } of steps) {
    if (inTurn) await Promise.all(underWay.splice(0))
    const [member, other] = [members[who], members[(who + 1) % members.length]] as [Member, Member]
    const name = `${operation}-${randomUUID()}`
    underWay.push(
      ask(server, member, operation, name, other).then((answer) =>
        asked.push({ member, operation, name, answer }),
      ),
    )
  }
  await Promise.all(underWay)
  underWay = []
  const { faults: met, lostCommits } = proxy.met()
  proxy.plan([])
  interleavings += steps.length
  harmed += met

  let unsureButStored = 0
  for (const each of asked) {
    const { member, operation, answer } = each
    const context = `${operation} of ${members.indexOf(member)}: ${answer.statusCode} ${answer.body}`
    expect(EXPECTED[operation], context).toContain(answer.statusCode)
    for (const other of members.filter((somebody) => somebody !== member))
      for (const theirs of [other.person.id, other.person.email, other.router.id])
        expect(answer.body, context).not.toContain(theirs)
    if (!['add', 'remember', 'scan'].includes(operation)) continue
    const stored = await isStored(each)
    expect(stored, context).not.toBe('half')
    if (answer.statusCode < 300) expect(stored, context).toBe(true)
    else if (stored) unsureButStored += 1
  }
  // A COMMIT whose answer was lost may have been carried out. Nothing else that was refused is there.
  expect(unsureButStored).toBeLessThanOrEqual(lostCommits)
  for (const { name } of asked.filter(({ operation }) => operation === 'nonsense' || operation === 'stale'))
    expect(await sql('select from user_routers where router_name = $1', [name])).toEqual([])
  expect(await leftovers(server)).toEqual([])
  const open = `select state, query from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state like 'idle in%'`
  expect(await sql(open)).toEqual([])
}

const step = fc.record({
  who: fc.integer({ min: 0, max: 2 }),
  operation: fc.constantFrom(...OPERATIONS),
  inTurn: fc.boolean(),
})
const fault = fc.record({
  at: fc.integer({ min: 0, max: 150 }),
  harm: fc.constantFrom('cut before' as const, 'cut after' as const, 'terminate' as const, 'cancel' as const),
})

describe('isolation', () => {
  it('holds for any interleaving of people, agents and failures, on pools of one and of two, R3 R4 R5 R6 L7', {
    timeout: 120_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(1, 2),
        fc.array(step, { minLength: 1, maxLength: 12 }),
        fc.array(fault, { maxLength: 4 }),
        (poolSize, steps, faults) => run(poolSize, steps, faults),
      ),
      { numRuns: 120, endOnFailure: false },
    )
    // So that it cannot pass by trying nothing.
    expect(interleavings).toBeGreaterThan(400)
    expect(harmed).toBeGreaterThan(60)
  })
})
