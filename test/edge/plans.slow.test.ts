/**
 * What the statements of every operation read, as PostgreSQL runs them (auto_explain), for somebody who has
 * as much as hundreds of people, in a database of many people. Only equality of uuids goes into an index
 * under row security: each statement gets along with that.
 */
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { roleNames } from '../../src/database/role-names.ts'
import { asAdmin, prepare, separateDatabase, type TestDatabase } from '../support/database.ts'
import { ask, type Ids, ownedBy } from '../support/identified-requests.ts'
import { fillLargeCatalogue } from '../support/large-catalogue.ts'
import { listOperations, type Operation } from '../support/operations.ts'
import {
  newMac,
  openServer,
  type Person,
  type Router,
  type TestServer,
  type World,
  worldOf,
} from '../support/world.ts'

type Plan = {
  'Node Type': string
  'Relation Name'?: string
  'Index Cond'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  Plans?: Plan[]
}
type Statement = { 'Query Text': string; Plan: Plan }

const SETTINGS = {
  session_preload_libraries: 'auto_explain',
  'auto_explain.log_min_duration': '0',
  'auto_explain.log_analyze': 'on',
  'auto_explain.log_timing': 'off',
  'auto_explain.log_nested_statements': 'on',
  'auto_explain.log_format': 'json',
  'auto_explain.log_level': 'notice',
}
/** They end what the next operation needs: the password, or the account. */
const LAST = ['changePassword', 'deactivate', 'deleteAccount']
/** What reads all that somebody has may read the table as well. */
const READS_ALL = ['exportAccount']
/**
 * Conditions other than on the owner that find rows of whoever, by functions that answer nobody but those who
 * sign people in.
 */
const ANONYMOUS = ['(email = ', '((provider = ']

let server: TestServer
let world: World
let owner: Person
let large: Router
let database: TestDatabase
/** Of the request under way. */
const statements: Statement[] = []

beforeAll(async () => {
  const main = inject('database')
  const { adminUrl, password } = await separateDatabase(main, 'plans')
  // Reached directly: how a statement is planned belongs to the connection.
  database = { adminUrl, password, rolePrefix: `${main.rolePrefix}plans_` }
  await prepare(database)
  server = await openServer({ LOCKOUT_FAILURES: '1000' }, database)
  world = worldOf(server)
  owner = await world.person()
  large = await owner.router({ name: 'Large' })
  await asAdmin(database.adminUrl, async (client) => {
    await fillLargeCatalogue(client, owner.id)
  })
  for (const pool of [server.pools.server, server.pools.auth])
    pool.on('connect', (client: pg.Client) =>
      client.on('notice', ({ message = '' }) => {
        if (message.startsWith('duration: ')) statements.push(JSON.parse(message.slice(message.indexOf('{'))))
      }),
    )
}, 120_000)
afterAll(() => server.close())

/** Connections made from now on explain what they run, and plan in this way. */
async function planAs(mode: string): Promise<void> {
  const { server: requests, auth } = roleNames(database.rolePrefix)
  await asAdmin(database.adminUrl, async (client) => {
    await client.query(`load 'auto_explain'`)
    for (const role of [requests, auth])
      for (const [name, value] of Object.entries({ ...SETTINGS, plan_cache_mode: mode }))
        await client.query(`alter role ${role} set ${name} = '${value}'`)
  })
  for (const pool of [server.pools.server, server.pools.auth])
    for (const client of await Promise.all(Array.from({ length: pool.totalCount }, () => pool.connect())))
      client.release(true)
}

function* nodesOf(plan: Plan): Iterable<Plan> {
  yield plan
  for (const each of plan.Plans ?? []) yield* nodesOf(each)
}
const isTenants = (table: string | undefined): table is string => /^user(s$|_)/.test(table ?? '')

/** Where a statement finds rows of people otherwise than by whose they are. */
function strays({ 'Query Text': text, Plan: plan }: Statement): string[] {
  return [...nodesOf(plan)].flatMap(
    ({ 'Node Type': node, 'Relation Name': table, 'Index Cond': condition = '' }) => {
      if (!isTenants(table) || !node.endsWith('Scan') || node === 'Bitmap Heap Scan') return []
      const isOwners =
        /\(\(?(user_id|id) = /.test(condition) || ANONYMOUS.some((known) => condition.startsWith(known))
      return isOwners
        ? []
        : [`${node} of ${table} by ${condition || 'nothing'}: ${text.replaceAll(/\s+/g, ' ')}`]
    },
  )
}

/** Rows of a table that statements looked at. */
const looksAt = (table: string) =>
  statements
    .flatMap(({ Plan: plan }) => [...nodesOf(plan)])
    .filter((node) => node['Relation Name'] === table && node['Node Type'].endsWith('Scan'))
    .reduce(
      (sum, node) =>
        sum + (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'],
      0,
    )

/** Asks about the owner's own things, signed in anew: an operation may end sessions. */
async function askAsOwner(operation: Operation): Promise<number> {
  const signedIn = await world.send('POST', '/api/auth/login', {
    body: { email: owner.email, password: owner.password },
  })
  owner.accessToken = signedIn.json().accessToken
  const ids: Ids = await ownedBy(owner, operation)
  statements.length = 0
  return (await ask(operation.door === 'agent' ? large.call : owner.call, operation, ids)).statusCode
}

describe.each(['force_custom_plan', 'force_generic_plan'])(
  'somebody with much among many people, %s',
  (mode) => {
    beforeAll(() => planAs(mode))

    it('is answered by statements that find rows by their owner, whatever the operation', {
      timeout: 300_000,
    }, async () => {
      const all = (await listOperations(world)).filter(
        ({ door, operationId = '' }) => door !== 'admin' && !READS_ALL.includes(operationId),
      )
      const inOrder = [
        ...all.filter(({ operationId = '' }) => !LAST.includes(operationId)),
        ...all.filter(({ operationId = '' }) => LAST.includes(operationId)),
      ]
      const found = new Map<string, string>()
      const texts = new Set<string>()
      let answered = 0
      for (const operation of inOrder) {
        if ((await askAsOwner(operation)) < 300) answered += 1
        for (const statement of statements) {
          texts.add(statement['Query Text'])
          for (const stray of strays(statement)) found.set(stray, operation.name)
        }
      }
      expect([...found]).toEqual([])
      expect(answered).toBeGreaterThan(90)
      expect(texts.size).toBeGreaterThan(150)
    })

    it('turns the pages of a log of many thousand acts, and looks at one page for each', async () => {
      const page = async (query: Record<string, string>) => {
        statements.length = 0
        const { items, nextCursor } = (
          await owner.call('GET', '/api/users/audit-logs', { query: { limit: '50', ...query } })
        ).json()
        expect(items).toHaveLength(50)
        expect(looksAt('user_audit_log')).toBeLessThanOrEqual(51)
        return String(nextCursor)
      }
      const to = new Date(Date.now() - 20 * 24 * 3_600_000).toISOString()
      await page({ to, cursor: await page({ to }) })
      await page({ from: to, cursor: await page({}) })
    })

    it('has a scan of a router with a long ledger, and looks at one entry of it', async () => {
      const scan = { scanId: mode }
      for (const _ of ['new', 'posted again']) {
        statements.length = 0
        expect((await large.scan([newMac()], scan)).statusCode).toBe(_ === 'new' ? 200 : 409)
        expect(looksAt('user_scans')).toBeGreaterThan(0)
        expect(looksAt('user_scans')).toBeLessThanOrEqual(1)
      }
    })
  },
)
