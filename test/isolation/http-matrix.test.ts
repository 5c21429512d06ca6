/**
 * Every operation of the OpenAPI document, asked by everybody who should not be answered, about what somebody
 * has and about what nobody has: the answers are the same to the byte, but for the request id (T30). A new
 * route is covered as soon as it is documented; one that names ids in its body fails here until
 * `support/identified-requests.ts` says how.
 */
import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { makeApiKey } from '../../src/auth/api-keys/format.ts'
import { PERSONAL_SCOPES } from '../../src/auth/api-keys/schema.ts'
import {
  ask,
  BODIES,
  type Ids,
  nameOf,
  namesAnId,
  nobodys,
  ownedBy,
  placesNamed,
} from '../support/identified-requests.ts'
import type { Cell } from '../support/matrix.ts'
import { listOperations, type Operation, placesOf } from '../support/operations.ts'
import { comparable } from '../support/problems.ts'
import { type Answer, type Person, rowsOf, sharedWorld } from '../support/world.ts'

const world = await sharedWorld()
const operations = await listOperations(world)
const identified = operations.filter((operation) => operation.door === 'person' && namesAnId(operation))

/** What was tried, for `npm run verify:isolation` to print. */
const cells = new Map<string, Cell>()
function count(operation: Operation, column: string, isSame: boolean): void {
  const row = nameOf(operation)
  const cell = cells.get(`${row} ${column}`) ?? { row, column, tried: 0, open: 0, leaked: 0 }
  cells.set(`${row} ${column}`, { ...cell, tried: cell.tried + 1, leaked: cell.leaked + (isSame ? 0 : 1) })
}

/** Of everything that somebody owns: what nobody else's request may change. */
const OWNED = [
  'user_routers',
  'user_devices',
  'user_device_interfaces',
  'user_device_groups',
  'user_device_merges',
  'user_whitelists',
  'user_blacklists',
  'user_blocked_devices',
  'user_schedules',
  'user_schedule_overrides',
  'user_settings',
  'user_api_keys',
  'user_login_sessions',
  'user_audit_log',
]
const snapshotOf = async (owner: Person) => {
  const tables = OWNED.map(
    (table) =>
      `(select jsonb_agg(to_jsonb(t) - 'last_used_at' order by t::text) from ${table} t where t.user_id = $1)`,
  )
  return (await rowsOf(`select md5(concat(${tables.join(", '|', ")})) as digest`, [owner.id]))[0]?.digest
}

/** Everybody who must not be answered, as a way to ask. */
async function strangers(): Promise<
  Record<string, { call: Person['call']; own?: (operation: Operation) => Promise<Ids> }>
> {
  const [bob, gone] = await Promise.all([world.person(), world.person()])
  const router = await bob.router()
  const everything = [...PERSONAL_SCOPES]
  const { key: unscoped } = (
    await bob.call('POST', '/api/users/keys', { body: { scopes: ['settings:read'], password: bob.password } })
  ).json()
  const { key: scoped } = (
    await bob.call('POST', '/api/users/keys', { body: { scopes: everything, password: bob.password } })
  ).json()
  const { key: dead } = (
    await gone.call('POST', '/api/users/keys', { body: { scopes: everything, password: gone.password } })
  ).json()
  await rowsOf('update users set is_active = false where id = $1', [gone.id])
  const byKey =
    (key: string): Person['call'] =>
    (method, url, options = {}) =>
      world.send(method, url, { ...options, headers: { 'x-api-key': key } })
  return {
    nobody: { call: world.send },
    'another person': { call: bob.call, own: (operation) => ownedBy(bob, operation) },
    "another router's agent": { call: router.call },
    'a key of another person': { call: byKey(scoped) },
    'a key without the scope': { call: byKey(unscoped) },
    'a key that nobody made': { call: byKey(makeApiKey('personal', randomUUID()).key) },
    'a deactivated person': { call: gone.call },
    'a key of a deactivated person': { call: byKey(dead) },
  }
}

/** An answer without what is new each time: ids, times, MACs. */
const formOfAnswer = ({ statusCode, body }: Answer) => ({
  statusCode,
  body: body
    .replaceAll(/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/g, 'id')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'time')
    .replaceAll(/(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/g, 'mac')
    .replaceAll(/np[ap]_\w+/g, 'key'),
})

let asking: Awaited<ReturnType<typeof strangers>>
beforeAll(async () => {
  asking = await strangers()
})

describe.concurrent('what belongs to somebody else', () => {
  it.each(identified.map((operation) => [nameOf(operation), operation] as const))(
    'answers like what nobody has, to the byte, and is untouched, and is there for its owner: %s, T30',
    { timeout: 60_000 },
    async (_name, operation) => {
      const ada = await world.person()
      const ids = await ownedBy(ada, operation)
      const before = await snapshotOf(ada)
      const leaks: string[] = []
      const compare = (
        who: string,
        [real, made]: [Answer, Answer],
        what: string,
        formOf: (answer: Answer) => unknown,
      ) => {
        const isSame =
          isDeepStrictEqual(formOf(real), formOf(made)) &&
          !Object.values(ids).some((id) => id !== 'theme' && made.body.includes(id))
        count(operation, who, isSame)
        if (!isSame)
          leaks.push(
            `${who}, ${what}: ${real.statusCode} ${real.body} instead of ${made.statusCode} ${made.body}`,
          )
      }
      for (const [who, { call, own }] of Object.entries(asking)) {
        compare(
          who,
          [await ask(call, operation, ids), await ask(call, operation, nobodys())],
          'every id',
          comparable,
        )
        if (!own) continue
        // One of hers among one's own: no id vouches for another. What then happens to one's own is the same,
        // whatever its ids are.
        for (const place of placesNamed(operation)) {
          const askWith = async (id: string) =>
            ask(call, operation, { ...(await own(operation)), [place]: id })
          compare(who, [await askWith(ids[place]), await askWith(nobodys()[place])], place, formOfAnswer)
        }
      }
      expect(leaks).toEqual([])
      expect(await snapshotOf(ada)).toBe(before)

      const owners = await ask(ada.call, operation, ids)
      expect(owners.statusCode, owners.body).toBeLessThan(300)
      // What changed something is on the record of who did it.
      const recorded = await rowsOf('select from user_audit_log where user_id = $1 and act = $2', [
        ada.id,
        operation.operationId,
      ])
      const isAct = operation.method !== 'GET' && operation.operationId !== 'previewPolicy'
      expect(recorded.length).toBeGreaterThanOrEqual(isAct ? 1 : 0)
    },
  )

  it('was asked of every route that names an id, in its path, its query or its body', () => {
    expect(identified.length).toBeGreaterThan(60)
    expect(
      Object.keys(BODIES).filter((name) => !identified.some((operation) => nameOf(operation) === name)),
    ).toEqual([])
    const isId = /(^|\/)(from|ids?|[a-z]+Ids?)(\/0)?$/
    const silent = operations.filter(
      (operation) =>
        operation.door === 'person' &&
        operation.body &&
        !(nameOf(operation) in BODIES) &&
        placesOf(operation.body).some(({ pointer }) => isId.test(pointer)),
    )
    // A schedule's own target cannot be changed; what is previewed is named in BODIES.
    expect(silent.map(nameOf)).toEqual([])
  })
})

describe.concurrent('every other operation', () => {
  const others = operations.filter(
    (operation) => operation.path.startsWith('/api/') && !identified.includes(operation),
  )

  it.each(others.map((operation) => [nameOf(operation), operation] as const))(
    'shows nobody anything of anybody else: %s, T30',
    async (_name, operation) => {
      const ada = await world.person({ fullName: `Marker ${randomUUID()}` })
      const router = await ada.router({ name: `of ${ada.id}` })
      await router.scan(['00:00:5e:00:53:47'])
      const hers = [ada.id, ada.email, router.id, router.keyId]
      // Not through one's own door: each of these may do to their own account what the operation does.
      const closed = Object.entries(asking).filter(
        ([who]) => operation.door !== 'person' || !['another person'].includes(who),
      )
      const leaks: string[] = []
      for (const [who, { call }] of closed) {
        if (operation.door === 'anyone' && who !== 'nobody') continue
        const answer = await ask(call, operation, nobodys())
        const isSilent =
          !hers.some((id) => answer.body.includes(id)) &&
          (operation.door === 'anyone' || mayPass(operation, who) || answer.statusCode >= 400)
        count(operation, who, isSilent)
        if (!isSilent) leaks.push(`${who}: ${answer.statusCode} ${answer.body}`)
      }
      expect(leaks).toEqual([])
    },
  )
})

/** Who enters by their own right, and sees their own: an agent its router, a script its person's home. */
function mayPass({ door, doors }: Operation, who: string): boolean {
  if (who === "another router's agent") return door === 'agent'
  if (who === 'a key of another person') return doors.includes('script')
  return who === 'a key without the scope' && doors.includes('script')
}

describe('the matrix', () => {
  it('has every operation under /api, and no leak', ({ task }) => {
    const all = [...cells.values()]
    // For `npm run verify:isolation` to print.
    task.meta.matrices = [{ title: 'Operations, by who asks', cells: all }]
    expect(new Set(all.map(({ row }) => row))).toEqual(
      new Set(operations.filter(({ path }) => path.startsWith('/api/')).map(nameOf)),
    )
    expect(all.reduce((sum, { tried }) => sum + tried, 0)).toBeGreaterThan(900)
    expect(all.reduce((sum, { leaked }) => sum + leaked, 0)).toBe(0)
  })
})
