/**
 * Measures the cost of the identity's seal: `node bench/seal.ts [file.sql …]`, two minutes. Servers on
 * databases of one PostgreSQL answer the same list of devices. One database is unchanged, one has the
 * identity as a bare setting that nothing verifies, and one exists for each file of other functions to
 * compare. They take short turns, so that a change of the machine's speed affects all. Ratios compare
 * neighbouring turns, and their median counts. It exits with 1 when a list request spends 15 % of its time or
 * more on the seal.
 */
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { createPool } from '../src/database/pool.ts'
import { roleNames, withPrefix } from '../src/database/role-names.ts'
import { listDevices } from '../src/modules/devices/repository.ts'
import { createTransactions } from '../src/rls/transaction.ts'
import {
  asAdmin,
  loginUrl,
  makeTestDatabase,
  prepare,
  separateDatabase,
  type TestDatabase,
} from '../test/support/database.ts'
import { openConnection } from './connection.ts'
import { countCpu } from './cpu-time.ts'
import { median, openServers, personWith } from './servers.ts'

const DEVICES = 50
const CONNECTIONS = 8
const CHECKS = 100
const ROUNDS = 31
const ROUND_MS = 400
const PROMISE = 0.15

/** The functions of drizzle/0000_identity.sql in the place of those of drizzle/0003_seal.sql. */
const BARE = `
  create or replace function ctx.mac(p_body text) returns text
  language sql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
  as $$ select '' $$;

  create or replace function ctx.assume(p_kind text, p_user uuid, p_role text, p_router uuid, p_scopes text[], p_proof uuid) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp
  as $$
  begin
    if nullif(current_setting('app.current_user_id', true), '') is not null then
      raise exception 'this transaction already has an identity' using errcode = 'NP403';
    end if;
    set local citus.propagate_set_commands = 'local';
    execute format('set local app.current_user_id = %L', concat_ws('|', p_kind, p_user, coalesce(p_role, ''),
      coalesce(p_router::text, ''), array_to_string(coalesce(p_scopes, '{}'), ' ')));
  end
  $$;

  create or replace function ctx.identity() returns text[]
  language sql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
  as $$ select string_to_array(nullif(current_setting('app.current_user_id', true), ''), '|') $$;`

const files = process.argv
  .slice(2)
  .map(async (file) => ({ name: basename(file, '.sql'), sql: await readFile(file, 'utf8') }))
const variants = [{ name: 'bare', sql: BARE }, { name: 'sealed', sql: '' }, ...(await Promise.all(files))]

/**
 * A server on a separate database. The functions are replaced after its start, because it would refuse to
 * serve from such a database.
 */
async function openSide({ name, sql }: (typeof variants)[number]) {
  const own = await separateDatabase(database, name.replaceAll(/\W/g, '_'))
  await prepare(own)
  const { child, url } = await servers.start(own)
  const { accessToken, call } = await personWith(url, DEVICES)
  await asAdmin(own.adminUrl, async (client) => {
    await client.query(`begin; ${withPrefix(sql, own.rolePrefix)}; commit`)
    await client.query('vacuum analyze')
  })
  const { items } = await call<{ items: unknown[] }>('GET', `/api/devices?limit=${DEVICES}`)
  if (items.length !== DEVICES) throw new Error(`${name} lists ${items.length} devices`)
  const connecting = Array.from({ length: CONNECTIONS }, () =>
    openConnection(new URL(`/api/devices?limit=${DEVICES}`, url), accessToken),
  )
  const connections = await Promise.all(connecting)
  const overHttp = connections.map(({ send }) => async () => {
    const status = await send()
    if (status !== 200) throw new Error(`the list of ${name} was answered ${status}`)
  })
  const inProcess = openTransactions(own, accessToken)
  const end = () => {
    for (const connection of connections) connection.close()
    return inProcess.end()
  }
  return { name, own, server: child.pid ?? 0, overHttp, inProcess, end }
}
type Side = Awaited<ReturnType<typeof openSide>>

/** Transactions of the same person without a server. */
function openTransactions(own: TestDatabase, accessToken: string) {
  const url = loginUrl(own, 'server')
  const pool = createPool({
    url,
    size: 1,
    acquireTimeoutMs: 1_000,
    applicationName: 'bench',
    onIdleError: () => {},
  })
  const { sub, sid } = JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString())
  const identity = { kind: 'user', userId: sub, sessionId: sid } as const
  const withTransaction = createTransactions({
    server: pool,
    auth: pool,
    admin: pool,
    roles: roleNames(own.rolePrefix),
    namedStatements: true,
  })
  const checks = { name: 'checks', text: `select count(ctx.uid()) from generate_series(1, ${CHECKS})` }
  return {
    list: () =>
      withTransaction(identity, (tx) => listDevices(tx, { limit: DEVICES, offset: 0 }, 15), {
        readOnly: true,
      }),
    nothing: () => withTransaction(identity, async () => undefined, { readOnly: true }),
    checks: () => withTransaction(identity, (tx) => tx.query(checks), { readOnly: true }),
    end: () => pool.end(),
  }
}

type Work = {
  name: string
  isPromised?: true
  of: (side: Side) => (() => Promise<unknown>)[] /** The process that queries the database. */
  node: (side: Side) => number
}
const works: Work[] = [
  {
    name: `list over HTTP, ${CONNECTIONS} at once`,
    isPromised: true,
    of: ({ overHttp }) => overHttp,
    node: ({ server }) => server,
  },
  {
    name: 'list over HTTP, one at a time',
    isPromised: true,
    of: ({ overHttp }) => overHttp.slice(0, 1),
    node: ({ server }) => server,
  },
  { name: 'transaction with the list', of: ({ inProcess }) => [inProcess.list], node: () => process.pid },
  {
    name: 'transaction with nothing in it',
    of: ({ inProcess }) => [inProcess.nothing],
    node: () => process.pid,
  },
  {
    name: `transaction with ${CHECKS} checks`,
    of: ({ inProcess }) => [inProcess.checks],
    node: () => process.pid,
  },
]

/** One turn. Times are in ms each, CPU times in seconds together. */
async function measure(side: Side, { of, node }: Work) {
  const backends = await asAdmin(side.own.adminUrl, async (client) => {
    const others =
      'select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()'
    return (await client.query<{ pid: number }>(others)).rows.map(({ pid }) => pid)
  })
  const [nodeCpu, postgresCpu] = [countCpu([node(side)]), countCpu(backends)]
  const times: number[] = []
  const began = performance.now()
  await Promise.all(
    of(side).map(async (once) => {
      for (let last = began; last - began < ROUND_MS; ) {
        await once()
        const now = performance.now()
        times.push(now - last)
        last = now
      }
    }),
  )
  const rate = (times.length / (performance.now() - began)) * 1_000
  return { times, rate, node: nodeCpu(), postgres: postgresCpu() }
}
type Measured = Awaited<ReturnType<typeof measure>>

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)
const print = (name: string, cells: (string | number)[]) =>
  process.stdout.write(`${name.padEnd(34)}${cells.map((cell) => String(cell).padStart(15)).join('')}\n`)

const { database, close } = await makeTestDatabase()
const servers = openServers()
try {
  const sides: Side[] = []
  for (const variant of variants) sides.push(await openSide(variant))
  print('', ['a second', 'of bare', 'median ms', 'Node µs', 'PostgreSQL µs'])
  for (const work of works) {
    for (const side of sides) await measure(side, work)
    const turns = sides.map((): Measured[] => [])
    for (let round = 0; round < ROUNDS; round += 1) {
      // Every other round runs in reverse order, so that the order does not matter.
      const order = [...sides.entries()]
      for (const [index, side] of round % 2 ? order.reverse() : order)
        turns[index]?.push(await measure(side, work))
    }
    print(work.name, [])
    for (const [index, { name }] of sides.entries()) {
      const own = turns[index] ?? []
      const times = own.flatMap((turn) => turn.times)
      const ratio = median(own.map(({ rate }, round) => rate / (turns[0]?.[round]?.rate ?? rate)))
      const each = (part: 'node' | 'postgres') =>
        ((sum(own.map((turn) => turn[part])) / times.length) * 1e6).toFixed(0)
      const rate = median(own.map((turn) => turn.rate)).toFixed(0)
      print(`  ${name}`, [rate, ratio.toFixed(3), median(times).toFixed(2), each('node'), each('postgres')])
      if (work.isPromised && name === 'sealed' && 1 - ratio >= PROMISE) process.exitCode = 1
    }
  }
  await Promise.all(sides.map(({ end }) => end()))
} finally {
  servers.killAll()
  await close()
}
