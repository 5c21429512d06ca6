/** Routers: every field, lists, and that they are their owner's alone. */
import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { comparable, expectProblem } from '../support/problems.ts'
import { recordStatements } from '../support/statements.ts'
import {
  newMac,
  openServer,
  type Person,
  rowsOf,
  sharedWorld,
  type World,
  worldOf,
} from '../support/world.ts'

let world: World
let ada: Person
beforeAll(async () => {
  world = await sharedWorld()
  ada = await world.person()
})

const add = (body: object, owner = ada) => owner.call('POST', '/api/routers', { body })
const change = (id: string, body: object, owner = ada) => owner.call('PATCH', `/api/routers/${id}`, { body })
const find = (id: string, owner = ada) => owner.call('GET', `/api/routers/${id}`)

const EVERY_FIELD = {
  name: 'Büro 🏢',
  ip: '192.0.2.1',
  tunnelPort: 2222,
  isActive: false,
  timeZone: 'Europe/Berlin',
  mode: 'whitelist',
  limitRate: 512,
  action: 'limit',
  fullRate: 100_000,
  newDevices: 'hold',
}

describe('a router', () => {
  it('needs a name only, and has a default for everything else', async () => {
    const answer = await add({ name: 'Home' })
    expect(answer.statusCode).toBe(201)
    expect(answer.json()).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      name: 'Home',
      ip: null,
      tunnelPort: null,
      isActive: true,
      timeZone: 'UTC',
      mode: 'none',
      action: 'block',
      limitRate: null,
      fullRate: null,
      newDevices: 'allow',
      status: 'never-seen',
      lastSeen: null,
      desiredRevision: expect.any(String),
      appliedRevision: null,
      agentError: null,
      drift: true,
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    })
    expect((await find(answer.json().id)).json()).toEqual(answer.json())
  })

  it('keeps every field, as it was added and as it was changed, and leaves out what is not named', async () => {
    const added = (await add(EVERY_FIELD)).json()
    expect(added).toMatchObject(EVERY_FIELD)
    const plain = (await add({ name: 'Home' })).json()
    for (const [field, value] of Object.entries(EVERY_FIELD)) {
      const before = (await find(plain.id)).json()
      const answer = await change(plain.id, { [field]: value })
      expect(answer.statusCode, field).toBe(200)
      // What the agent should enforce follows from the fields.
      expect({ ...answer.json(), desiredRevision: before.desiredRevision }).toEqual({
        ...before,
        [field]: value,
      })
      expect((await find(plain.id)).json()).toEqual(answer.json())
    }
    const cleared = { ip: null, tunnelPort: null, action: 'block', limitRate: null, fullRate: null }
    expect((await change(added.id, cleared)).json()).toEqual({
      ...added,
      ...cleared,
      desiredRevision: expect.any(String),
    })
  })

  it.each([
    ['50mbit', 50_000],
    ['1.5 Mbit', 1_500],
    ['2gbit', 2_000_000],
    ['256kbit', 256],
    ['2000gbit', 2_000_000_000],
    [1, 1],
    [2_000_000_000, 2_000_000_000],
  ])('takes the rate %j as %i kbit/s', async (rate, kbit) => {
    expect((await add({ name: 'Home', limitRate: rate, fullRate: rate })).json()).toMatchObject({
      limitRate: kbit,
      fullRate: kbit,
    })
  })

  it.each([
    ['ip', '2001:DB8:0::1', '2001:db8::1'],
    ['ip', '::ffff:192.0.2.7', '192.0.2.7'],
    ['timeZone', 'America/Argentina/Buenos_Aires', 'America/Argentina/Buenos_Aires'],
    ['name', 'x'.repeat(100), 'x'.repeat(100)],
    ['tunnelPort', 65_535, 65_535],
  ])('takes the %s %j', async (field, given, kept) => {
    expect((await add({ name: 'Home', [field]: given })).json()).toMatchObject({ [field]: kept })
  })

  it.each([
    ['name', ['', 'x'.repeat(101), null]],
    ['ip', ['', '192.0.2.256', '192.0.2.1/24', '192.0.2', 'fe80::1%eth0', 'router.example', 3_221_225_985]],
    ['tunnelPort', [0, 65_536, 22.5, '22']],
    ['isActive', ['true', 1, null]],
    ['timeZone', ['Mars/Olympus', '+02:00', 'UTC+2', '', null]],
    ['mode', ['all', 'Whitelist', null]],
    ['action', ['drop', null]],
    [
      'limitRate',
      [0, -1, 1.5, 2_000_000_001, '50', '50mb', 'fast', '0kbit', '3000gbit', '-1mbit', '1e3kbit', true],
    ],
    ['fullRate', [0, '', '0.4kbit', []]],
    ['newDevices', ['block', null]],
  ])('takes no other %s, and says so by name', async (field, refused) => {
    const { id } = (await add({ name: 'Home' })).json()
    for (const value of refused) {
      for (const answer of [
        await add({ name: 'Home', [field]: value }),
        await change(id, { [field]: value }),
      ]) {
        const { errors = [] } = expectProblem(answer, 400, 'invalid-request')
        expect(new Set(errors.map(({ path }) => path)), JSON.stringify(value)).toEqual(
          new Set([`/body/${field}`]),
        )
      }
    }
    expectProblem(await change(id, {}), 400, 'invalid-request')
  })

  it('is online while its agent reported within fifteen minutes, then offline', async () => {
    const router = await ada.router()
    const statusOf = async () => (await find(router.id)).json().status
    await router.call('POST', '/api/agent/heartbeat', { body: {} })
    expect(await statusOf()).toBe('online')
    const age = (interval: string) =>
      rowsOf('update user_routers set last_seen = last_seen - $2::interval where id = $1', [
        router.id,
        interval,
      ])
    await age('14 minutes')
    expect(await statusOf()).toBe('online')
    await age('2 minutes')
    expect(await statusOf()).toBe('offline')
  })

  it('takes its devices and keys along when it goes', async () => {
    const [gone, kept] = await Promise.all([ada.router(), ada.router()])
    await Promise.all([gone, kept].map((router) => router.scan([newMac()])))
    const [device] = await gone.devices()
    const answer = await ada.call('DELETE', `/api/routers/${gone.id}`)
    expect([answer.statusCode, answer.body]).toEqual([204, ''])
    for (const url of [
      `/api/routers/${gone.id}`,
      `/api/routers/${gone.id}/keys`,
      `/api/devices/${device?.id}`,
    ])
      expectProblem(await ada.call('GET', url), 404, 'not-found')
    expectProblem(await ada.call('DELETE', `/api/routers/${gone.id}`), 404, 'not-found')
    expectProblem(await gone.call('GET', '/api/agent/verify'), 401, 'unauthenticated')
    for (const table of ['user_devices', 'user_device_interfaces', 'user_api_keys', 'user_scans'])
      expect(await rowsOf(`select from ${table} where router_id = $1`, [gone.id]), table).toEqual([])
    expect(await kept.devices()).toHaveLength(1)
    expect((await kept.call('GET', '/api/agent/verify')).statusCode).toBe(200)
  })
})

describe('somebody else’s router', () => {
  it.each([
    ['GET', undefined],
    ['PATCH', { name: 'Mine now' }],
    ['DELETE', undefined],
  ] as const)('does not exist: %s answers as for an id that nobody has, T30', async (method, body) => {
    const bob = await world.person()
    const { id } = (await add({ name: 'Home' })).json()
    const options = body ? { body } : {}
    const foreign = await bob.call(method, `/api/routers/${id}`, options)
    expectProblem(foreign, 404, 'not-found')
    expect(comparable(foreign)).toEqual(
      comparable(await bob.call(method, `/api/routers/${randomUUID()}`, options)),
    )
    expectProblem(await bob.call(method, '/api/routers/7', options), 400, 'invalid-request')
    expect((await find(id)).json()).toMatchObject({ id, name: 'Home' })
  })

  it('is in nobody’s list but the owner’s', async () => {
    const bob = await world.person()
    await add({ name: 'Home' })
    expect((await bob.call('GET', '/api/routers')).json()).toEqual({
      items: [],
      total: 0,
      limit: 50,
      offset: 0,
    })
  })
})

describe('the list of routers', () => {
  let eve: Person
  const list = async (query: Record<string, string> = {}) =>
    (await eve.call('GET', '/api/routers', { query })).json()
  const names = async (query: Record<string, string>) =>
    (await list(query)).items.map((router: { name: string }) => router.name)
  beforeAll(async () => {
    eve = await world.person()
    for (const name of ['delta', 'Alpha', 'charlie', 'Bravo 100%', 'charlie']) await add({ name }, eve)
    const [seen] = (await list({ search: 'delta' })).items
    await rowsOf('update user_routers set last_seen = now() where id = $1', [seen.id])
  })

  it('is sorted by name without regard to case, or as asked, the unseen last in both directions', async () => {
    const byName = ['Alpha', 'Bravo 100%', 'charlie', 'charlie', 'delta']
    const byAge = ['delta', 'Alpha', 'charlie', 'Bravo 100%', 'charlie']
    expect(await names({})).toEqual(byName)
    expect(await names({ sort: 'name' })).toEqual(byName)
    expect(await names({ sort: '-name' })).toEqual(byName.toReversed())
    expect(await names({ sort: 'createdAt' })).toEqual(byAge)
    expect(await names({ sort: '-createdAt' })).toEqual(byAge.toReversed())
    expect((await names({ sort: 'lastSeen' }))[0]).toBe('delta')
    expect((await names({ sort: '-lastSeen' }))[0]).toBe('delta')
  })

  it('comes in pages that neither repeat nor lose a router, also among equal names', async () => {
    const kim = await world.person()
    for (let count = 0; count < 12; count += 1) await add({ name: count % 3 ? 'Home' : 'Office' }, kim)
    const page = async (query: Record<string, string>) =>
      (await kim.call('GET', '/api/routers', { query })).json()
    const pages = await Promise.all(
      Array.from({ length: 13 }, (_, offset) => page({ limit: '1', offset: String(offset) })),
    )
    expect(pages.map(({ items, ...rest }) => rest)).toEqual(
      pages.map((_, offset) => ({ total: 12, limit: 1, offset })),
    )
    expect(pages.flatMap(({ items }) => items)).toEqual((await page({})).items)
  })

  it('is searched by a part of the name, in any case, without wildcards', async () => {
    expect(await names({ search: 'HA' })).toEqual(['Alpha', 'charlie', 'charlie'])
    expect(await names({ search: '%' })).toEqual(['Bravo 100%'])
    expect(await list({ search: 'charlie', limit: '1' })).toMatchObject({
      total: 2,
      items: [{ name: 'charlie' }],
    })
    expect(await list({ search: '_' })).toMatchObject({ total: 0, items: [] })
  })

  it.each([
    ['limit', ['0', '-1', '201', '1e9', '1.5', '', 'ten', 'NaN']],
    ['offset', ['-1', '0.5', '99999999999999999999', '']],
    ['sort', ['', 'id', 'NAME', '--name', 'name,createdAt', 'user_id']],
    ['search', ['', 'x'.repeat(101), '\0']],
  ])('refuses another %s, T34', async (name, refused) => {
    for (const value of refused) {
      const { errors = [] } = expectProblem(
        await eve.call('GET', '/api/routers', { query: { [name]: value } }),
        400,
        'invalid-request',
      )
      expect(new Set(errors.map(({ path }) => path)), value).toEqual(new Set([`/querystring/${name}`]))
    }
  })

  it('takes as many statements for a hundred routers as for one, and tells of each what it tells of it alone', {
    timeout: 60_000,
  }, async () => {
    const server = await openServer({ DATABASE_POOL_SIZE: '1' })
    onTestFinished(server.close)
    const sent = recordStatements(server.pools.server)
    const bob = await worldOf(server).person()
    const home = await bob.router()
    await home.scan([newMac(), newMac()])
    const list = async () => {
      sent.length = 0
      const { items } = (await bob.call('GET', '/api/routers', { query: { limit: '200' } })).json()
      return { items: items as { id: string; desiredRevision: string }[], statements: sent.length }
    }
    const one = await list()
    await rowsOf(
      `with added as (insert into user_routers (user_id, router_name, mode) select $1, 'R ' || n, case n % 2 when 0 then 'whitelist' else 'none' end
          from generate_series(1, 99) n returning id)
        insert into user_devices (user_id, router_id, hostname) select $1, added.id, 'd ' || n from added, generate_series(1, 3) n`,
      [bob.id],
    )
    const hundred = await list()
    expect(hundred.items).toHaveLength(100)
    expect(hundred.statements).toBe(one.statements)
    for (const router of hundred.items.filter((_, index) => index % 20 === 0))
      expect((await bob.call('GET', `/api/routers/${router.id}`)).json()).toEqual(router)
    expect(new Set(hundred.items.map(({ desiredRevision }) => desiredRevision)).size).toBeGreaterThan(2)
  })
})
