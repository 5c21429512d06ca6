/**
 * Measures the cost of running nothing before a policy, and what timing still reveals: `node
 * bench/policies.ts`, some minutes. It uses two databases of one PostgreSQL, each with 500 people and 50
 * devices per person. One is unchanged. The other has the policies of drizzle/0001_tables.sql and the
 * LEAKPROOF functions that PostgreSQL ships. They take short turns, in reverse order every other round.
 * Ratios compare neighbouring turns, and their median counts.
 */

import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { buildApp } from '../src/app.ts'
import { readConfig } from '../src/config/config.ts'
import { POLICIES } from '../src/database/catalogue/expected-tables.ts'
import { readMigrations } from '../src/database/migrations/runner.ts'
import { createPool } from '../src/database/pool.ts'
import { roleNames } from '../src/database/role-names.ts'
import { asAdmin, loginUrl, makeTestDatabase, prepare, separateDatabase } from '../test/support/database.ts'
import { createUserWithAllRows } from '../test/support/fixtures.ts'
import { newSecrets } from '../test/support/world.ts'
import { median } from './servers.ts'

/** The policies of requests, as they were. */
const BEFORE = {
  user: 'user_id = (select ctx.uid())',
  agent: 'user_id = (select ctx.agent_uid()) and router_id = (select ctx.agent_router())',
}
const DEVICES = 50
const OTHERS = 500
const ROUNDS = 41
const TIMES = 8
const LOOKS = 1_500

const { database, close } = await makeTestDatabase()

async function openSide(name: 'before' | 'now') {
  const own = await separateDatabase(database, name)
  const shipped = await asAdmin(
    own.adminUrl,
    async (client) =>
      (
        await client.query<{ signature: string }>(
          'select oid::regprocedure::text as signature from pg_proc where proleakproof',
        )
      ).rows,
  )
  await prepare(own)
  const pool = (role: 'server' | 'auth' | 'admin') =>
    createPool({
      url: loginUrl(own, role),
      size: 1,
      acquireTimeoutMs: 1_000,
      applicationName: 'bench',
      onIdleError: () => {},
    })
  const pools = { server: pool('server'), auth: pool('auth'), admin: pool('admin') }
  const secrets = newSecrets()
  const settings = {
    LOG_LEVEL: 'silent',
    BCRYPT_COST: '4',
    DATABASE_ROLE_PREFIX: own.rolePrefix,
    RATE_LIMIT_PERSON: '1000000',
  }
  const app = await buildApp({
    config: readConfig(settings),
    version: 'bench',
    secrets,
    pools,
    migrations: await readMigrations(),
  })
  const call = async (
    method: 'GET' | 'POST',
    url: string,
    headers: Record<string, string>,
    payload?: object,
  ) => {
    const answer = await app.inject({ method, url, headers, ...(payload && { payload }) })
    if (answer.statusCode >= 400) throw new Error(`${url} answered ${answer.statusCode}: ${answer.body}`)
    return answer.json()
  }
  const account = { email: 'bench@example.com', password: 'violet anchor pillow lantern' }
  const { accessToken } = await call('POST', '/api/auth/register', {}, account)
  const person = { authorization: `Bearer ${accessToken}` }
  const router = await call('POST', '/api/routers', person, { name: 'Home' })
  const { key } = await call('POST', `/api/routers/${router.id}/keys`, person, {})
  const agent = { 'x-api-key': key }
  const devices = Array.from({ length: DEVICES }, (_, n) => ({
    mac: `02:00:00:00:00:${n.toString(16).padStart(2, '0')}`,
    ip: `10.0.0.${n + 1}`,
  }))
  const scan = () =>
    call('POST', '/api/agent/scans', agent, {
      scanId: randomUUID(),
      takenAt: new Date().toISOString(),
      devices,
    })
  await scan()
  const { ada, bob } = await asAdmin(own.adminUrl, async (client) => {
    await client.query(`
      insert into users (email) select n || '@example.com' from generate_series(1, ${OTHERS}) n;
      insert into user_routers (user_id, router_name) select id, 'r' from users where email ~ '^[0-9]+@';
      insert into user_devices (user_id, router_id, device_name) select user_id, id, md5(n::text) from user_routers, generate_series(1, ${DEVICES}) n where router_name = 'r';
      insert into user_device_interfaces (user_id, router_id, device_id, mac) select user_id, router_id, id, substr(md5(id::text), 1, 12)::macaddr from user_devices where device_name is not null`)
    return { ada: await createUserWithAllRows(client), bob: await createUserWithAllRows(client) }
  })
  if (name === 'before') {
    await asAdmin(own.adminUrl, async (client) => {
      for (const [table, whose] of Object.entries(POLICIES))
        for (const who of whose.split(' ').filter((who) => who in BEFORE)) {
          const condition = BEFORE[who as keyof typeof BEFORE]
            .replace('user_id', table === 'users' ? 'id' : 'user_id')
            .replace('router_id', table === 'user_routers' ? 'id' : 'router_id')
          await client.query(
            `alter policy ${table}_${who} on ${table} using (${condition}) with check (${condition})`,
          )
        }
      await client.query(shipped.map(({ signature }) => `alter function ${signature} leakproof`).join(';'))
    })
  }
  await asAdmin(own.adminUrl, (client) => client.query('vacuum analyze'))
  const works = {
    'list of 50': () => call('GET', `/api/devices?limit=${DEVICES}`, person),
    search: () => call('GET', '/api/devices?search=0a', person),
    'scan of 50': scan,
    policy: () => call('GET', `/api/routers/${router.id}/policy`, person),
  }
  const end = () => Promise.all([app.close(), ...Object.values(pools).map((each) => each.end())])
  return { name, own, ada, bob, works, end }
}
type Side = Awaited<ReturnType<typeof openSide>>

const timed = async (work: () => Promise<unknown>) => {
  const began = performance.now()
  await work()
  return performance.now() - began
}

/**
 * How well time distinguishes a statement that another person's row meets from one that no row meets: 0.5 is
 * not at all, 1 is always.
 */
async function tellByClock({ own, ada, bob }: Side) {
  const place = await asAdmin(own.adminUrl, async (admin) => {
    const { rows } = await admin.query(
      `select ctid::text as place from user_devices where user_id = $1 and device_name = 'tablet'`,
      [bob.userId],
    )
    return rows[0].place as string
  })
  const client = new pg.Client({ connectionString: loginUrl(own, 'server') })
  await client.connect()
  const again = (condition: string) =>
    `select count(*) from generate_series(1, 200) n where exists (select from user_devices d where d.rate is distinct from n and ${condition})`
  const pairs: Record<string, [met: string, not: string]> = {
    'a name, at its place': [
      `d.device_name >= 'tablet' and ctid = '${place}'`,
      `d.device_name >= 'tablex' and ctid = '${place}'`,
    ],
    'an id that is known': [`d.id = '${bob.deviceId}'`, `d.id = '${randomUUID()}'`],
  }
  for (const [what, texts] of Object.entries(pairs)) {
    const times: [number[], number[]] = [[], []]
    for (let n = 0; n < LOOKS; n += 1) {
      await client.query('begin')
      await client.query('select ctx.begin_context($1, $2)', [ada.userId, ada.sessionId])
      await client.query(`set local role ${roleNames(own.rolePrefix).user}`)
      for (const side of n % 2 ? ([0, 1] as const) : ([1, 0] as const))
        times[side].push(await timed(() => client.query(again(texts[side]))))
      await client.query('rollback')
    }
    const [met, not] = times
    const share = met.reduce((sum, a) => sum + not.filter((b) => b < a).length / not.length, 0) / met.length
    const medians = [met, not].map((each) => (median(each) * 1_000).toFixed(0)).join(' and ')
    process.stdout.write(`  ${what.padEnd(24)} told in ${share.toFixed(3)} of pairs, medians ${medians} µs\n`)
  }
  await client.end()
}

try {
  const sides = [await openSide('before'), await openSide('now')]
  process.stdout.write(
    `${''.padEnd(14)}${['before ms', 'now ms', 'now of before'].map((cell) => cell.padStart(15)).join('')}\n`,
  )
  for (const work of ['list of 50', 'search', 'scan of 50', 'policy'] as const) {
    const turn = async (side: Side) => {
      const times: number[] = []
      for (let n = 0; n < TIMES; n += 1) times.push(await timed(side.works[work]))
      return median(times)
    }
    for (const side of sides) await turn(side)
    const ratios: number[] = []
    const all: [number[], number[]] = [[], []]
    for (let round = 0; round < ROUNDS; round += 1) {
      const order = round % 2 ? ([0, 1] as const) : ([1, 0] as const)
      for (const index of order) all[index].push(await turn(sides[index] as Side))
      ratios.push((all[1].at(-1) ?? 0) / (all[0].at(-1) ?? 1))
    }
    const cells = [median(all[0]).toFixed(2), median(all[1]).toFixed(2), median(ratios).toFixed(3)]
    process.stdout.write(`${work.padEnd(14)}${cells.map((cell) => cell.padStart(15)).join('')}\n`)
  }
  for (const side of sides) {
    process.stdout.write(`What a clock tells, ${side.name}:\n`)
    await tellByClock(side)
  }
  await Promise.all(sides.map(({ end }) => end()))
} finally {
  await close()
}
