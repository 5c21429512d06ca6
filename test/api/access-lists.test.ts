/** Whitelist and blacklist: one implementation, so whatever holds is asked of both. */
import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { asAdmin } from '../support/database.ts'
import { comparable, expectProblem } from '../support/problems.ts'
import { wakeDigestOf } from '../support/wake-ups.ts'
import {
  type Answer,
  newMac,
  type Person,
  type Router,
  rowsOf,
  sharedWorld,
  type World,
} from '../support/world.ts'

type Body = Record<string, unknown>
type List = 'whitelist' | 'blacklist'
const LISTS = [
  { list: 'whitelist', other: 'blacklist', note: 'description' },
  { list: 'blacklist', other: 'whitelist', note: 'reason' },
] as const

let world: World
let ada: Person
let bob: Person
beforeAll(async () => {
  world = await sharedWorld()
  ;[ada, bob] = await Promise.all([world.person(), world.person()])
})

const add = (list: List, body: Body, who = ada) => who.call('POST', `/api/${list}`, { body })
const bulk = (list: List, body: Body, who = ada) => who.call('POST', `/api/${list}/bulk`, { body })
const entries = async (list: List, query: Record<string, string>, who = ada) =>
  (await who.call('GET', `/api/${list}`, { query })).json()

async function added(list: List, body: Body): Promise<Body & { id: string }> {
  const answer = await add(list, body)
  expect(answer.statusCode, answer.body).toBe(201)
  return answer.json()
}

let lastHost = 0
/** An address that no other test has. */
const newIp = () => {
  lastHost += 1
  return `198.18.${lastHost >> 8}.${lastHost & 255}`
}

/** A device that was seen, with a MAC and an address. */
async function seen(router: Router, hostname?: string) {
  const [mac, ip] = [newMac(), newIp()]
  await router.scan([{ mac, ip, ...(hostname && { hostname }) }])
  const device = (await router.devices()).find(({ macs }) => (macs as string[]).includes(mac))
  return { id: String(device?.id), mac, ip }
}
type Seen = Awaited<ReturnType<typeof seen>>

const WAYS = ['deviceId', 'mac', 'ip'] as const
const named = (router: Router, device: Seen, way: (typeof WAYS)[number]): Body =>
  way === 'deviceId' ? { deviceId: device.id } : { routerId: router.id, [way]: device[way] }

describe.each(LISTS)('the $list', ({ list, other, note }) => {
  it.each(WAYS)(
    'takes a device by %s, keeps it as given, and shows the device that it is about',
    async (way) => {
      const router = await ada.router()
      const device = await seen(router)
      const answer = await add(list, { ...named(router, device, way), name: 'Tablet', [note]: 'homework' })
      expect(answer.statusCode).toBe(201)
      expect(answer.json()).toEqual({
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        routerId: router.id,
        deviceId: device.id,
        mac: way === 'mac' ? device.mac : null,
        ip: way === 'ip' ? device.ip : null,
        name: 'Tablet',
        [note]: 'homework',
        createdAt: expect.stringMatching(/Z$/),
      })
      expect((await ada.call('GET', `/api/${list}/${answer.json().id}`)).json()).toEqual(answer.json())
      expect((await entries(list, { routerId: router.id })).items).toEqual([answer.json()])
      expect((await entries(other, { routerId: router.id })).items).toEqual([])
    },
  )

  it('takes what was never seen, in any spelling, and finds the device once it is', async () => {
    const router = await ada.router()
    const mac = newMac()
    const byMac = await added(list, {
      routerId: router.id.toUpperCase(),
      mac: mac.toUpperCase().replaceAll(':', '-'),
    })
    const byIp = await added(list, { routerId: router.id, ip: '2001:DB8:0::7' })
    expect([byMac, byIp]).toMatchObject([
      { deviceId: null, mac, ip: null, name: null, [note]: null },
      { deviceId: null, mac: null, ip: '2001:db8::7' },
    ])
    await router.scan([mac, { mac: newMac(), ips: ['2001:db8::7'] }])
    const devices = await router.devices()
    const holderOf = (field: string, value: string) =>
      devices.find((device) => (device[field] as string[]).includes(value))?.id
    const { items } = await entries(list, { routerId: router.id })
    expect(items.map(({ deviceId }: Body) => deviceId)).toEqual([
      holderOf('macs', mac),
      holderOf('ips', '2001:db8::7'),
    ])
    expect(new Set(items.map(({ deviceId }: Body) => deviceId)).size).toBe(2)
  })

  it('shows the device that an address belongs to now, and the one that a merged device has become', async () => {
    const router = await ada.router()
    const [first, second, third] = [await seen(router), await seen(router), await seen(router)]
    const byIp = await added(list, { routerId: router.id, ip: first.ip })
    const byDevice = await added(list, { deviceId: second.id })
    await router.scan([{ mac: third.mac, ip: first.ip }])
    const find = async (id: string) => (await ada.call('GET', `/api/${list}/${id}`)).json()
    expect(await find(byIp.id)).toMatchObject({ deviceId: third.id })
    // Two merges in a row.
    await rowsOf('update user_devices set merged_into = $2 where id = $1', [second.id, first.id])
    await rowsOf('update user_devices set merged_into = $2 where id = $1', [first.id, third.id])
    expect(await find(byDevice.id)).toMatchObject({ deviceId: third.id })
    expectProblem(await add(other, { deviceId: second.id }), 404, 'not-found')
    await ada.call('DELETE', `/api/${list}/${byIp.id}`)
    expect((await add(other, { deviceId: third.id })).json()).toMatchObject({
      code: 'on-other-list',
      entryId: byDevice.id,
    })
    expectProblem(await add(list, { routerId: router.id, mac: third.mac }), 409, 'conflict')
    expect((await entries(list, { search: third.mac, routerId: router.id })).items).toMatchObject([
      { id: byDevice.id },
    ])
  })

  it.each(WAYS.flatMap((first) => WAYS.map((second) => [first, second] as const)))(
    'has a device once, given by %s and again by %s',
    async (first, second) => {
      const router = await ada.router()
      const device = await seen(router)
      await added(list, named(router, device, first))
      expectProblem(await add(list, named(router, device, second)), 409, 'conflict')
      expectProblem(await add(list, { ...named(router, device, second), move: true }), 409, 'conflict')
      expect((await entries(list, { routerId: router.id })).total).toBe(1)
    },
  )

  it.each(WAYS.flatMap((first) => WAYS.map((second) => [first, second] as const)))(
    'takes nothing that is on the other list, there by %s and here by %s, unless it is to move',
    async (first, second) => {
      const router = await ada.router()
      const [device, bystander] = [await seen(router), await seen(router)]
      const there = await added(other, named(router, device, first))
      const stays = await added(other, { deviceId: bystander.id })
      const refused = await add(list, { ...named(router, device, second), move: false })
      expect(refused.json()).toMatchObject({ status: 409, code: 'on-other-list', entryId: there.id })
      expect((await entries(list, { routerId: router.id })).total).toBe(0)
      const moved = await added(list, { ...named(router, device, second), move: true })
      expect((await entries(list, { routerId: router.id })).items).toEqual([moved])
      expect((await entries(other, { routerId: router.id })).items).toMatchObject([{ id: stays.id }])
    },
  )

  it('moves what was never seen, and all that stands in the way once it turned out to be one device', async () => {
    const router = await ada.router()
    const [mac, ip] = [newMac(), newIp()]
    const byMac = await added(other, { routerId: router.id, mac })
    expect((await add(list, { routerId: router.id, mac })).json()).toMatchObject({
      code: 'on-other-list',
      entryId: byMac.id,
    })
    await added(other, { routerId: router.id, ip })
    await router.scan([{ mac, ip }])
    expect((await add(list, { routerId: router.id, ip })).json()).toMatchObject({
      code: 'on-other-list',
      entryId: byMac.id,
    })
    await added(list, { routerId: router.id, ip, move: true })
    expect((await entries(other, { routerId: router.id })).total).toBe(0)
  })

  it('minds its router only: the same MAC may be on the other list of another', async () => {
    const [home, office] = [await ada.router(), await ada.router()]
    const mac = newMac()
    await added(other, { routerId: home.id, mac })
    await added(list, { routerId: office.id, mac })
    expect((await entries(list, { search: mac })).items).toMatchObject([{ routerId: office.id }])
  })

  it('takes infrastructure too', async () => {
    const router = await ada.router()
    const device = await seen(router)
    await ada.call('PATCH', `/api/devices/${device.id}`, { body: { isInfrastructure: true } })
    await added(list, { deviceId: device.id })
  })

  it.each([
    ['nothing', {}, '/body'],
    ['a MAC without its router', { mac: '00:00:5e:00:53:01' }, '/body'],
    ['a MAC and an address', { routerId: randomUUID(), mac: '00:00:5e:00:53:01', ip: '192.0.2.1' }, '/body'],
    [
      'a device and a MAC',
      { deviceId: randomUUID(), routerId: randomUUID(), mac: '00:00:5e:00:53:01' },
      '/body',
    ],
    ['a malformed id', { deviceId: '7' }, '/body/deviceId'],
    ['no MAC', { routerId: randomUUID(), mac: 'router' }, '/body/mac'],
    ['a group address', { routerId: randomUUID(), mac: '01:00:5e:00:00:01' }, '/body/mac'],
    ['no address', { routerId: randomUUID(), ip: '192.0.2.300' }, '/body/ip'],
    ['a network', { routerId: randomUUID(), ip: '192.0.2.0/24' }, '/body/ip'],
    ['an address that no device has', { routerId: randomUUID(), ip: '127.0.0.1' }, '/body/ip'],
    ['an empty name', { deviceId: randomUUID(), name: '' }, '/body/name'],
    ['a move that is no yes or no', { deviceId: randomUUID(), move: 'true' }, '/body/move'],
  ])('refuses %s', async (_what, body, path) => {
    const { errors = [] } = expectProblem(await add(list, body), 400, 'invalid-request')
    expect(errors.map((fault) => fault.path)).toContain(path)
  })

  it('calls a note by its own name only', async () => {
    const foreign = note === 'reason' ? 'description' : 'reason'
    expectProblem(await add(list, { deviceId: randomUUID(), [foreign]: 'x' }), 400, 'invalid-request')
  })

  it('changes name and note, clears them with null, and leaves out what is not named', async () => {
    const router = await ada.router()
    const entry = await added(list, { routerId: router.id, mac: newMac(), name: 'TV', [note]: 'old' })
    const change = (body: Body) => ada.call('PATCH', `/api/${list}/${entry.id}`, { body })
    expect((await change({ name: 'Television' })).json()).toEqual({ ...entry, name: 'Television' })
    expect((await change({ [note]: null })).json()).toEqual({ ...entry, name: 'Television', [note]: null })
    expect((await change({ name: null, [note]: 'new' })).json()).toEqual({
      ...entry,
      name: null,
      [note]: 'new',
    })
    for (const body of [{}, { mac: newMac() }, { name: '' }, { [note]: 5 }])
      expectProblem(await change(body), 400, 'invalid-request')
  })

  it('removes one entry, and clears one router', async () => {
    const [home, office] = [await ada.router(), await ada.router()]
    const [one] = await Promise.all(
      [home, home, home, office].map((router) => added(list, { routerId: router.id, mac: newMac() })),
    )
    await added(other, { routerId: home.id, mac: newMac() })
    const gone = await ada.call('DELETE', `/api/${list}/${one?.id}`)
    expect([gone.statusCode, gone.body]).toEqual([204, ''])
    expectProblem(await ada.call('DELETE', `/api/${list}/${one?.id}`), 404, 'not-found')
    const clear = () => ada.call('DELETE', `/api/${list}`, { query: { routerId: home.id } })
    expect((await clear()).json()).toEqual({ removed: 2 })
    expect((await clear()).json()).toEqual({ removed: 0 })
    expect((await entries(list, { routerId: office.id })).total).toBe(1)
    expect((await entries(other, { routerId: home.id })).total).toBe(1)
    expectProblem(await ada.call('DELETE', `/api/${list}`), 400, 'invalid-request')
  })

  it('goes with its device, and with its router', async () => {
    const router = await ada.router()
    const device = await seen(router)
    const byDevice = await added(list, { deviceId: device.id })
    const byMac = await added(list, { routerId: router.id, mac: newMac() })
    await ada.call('DELETE', `/api/devices/${device.id}`)
    expectProblem(await ada.call('GET', `/api/${list}/${byDevice.id}`), 404, 'not-found')
    await ada.call('DELETE', `/api/routers/${router.id}`)
    expectProblem(await ada.call('GET', `/api/${list}/${byMac.id}`), 404, 'not-found')
  })

  it('does not exist for anyone else, nor do the devices and routers that one names, T30', async () => {
    const router = await ada.router()
    const [device, unlisted] = [await seen(router), await seen(router)]
    const entry = await added(list, { deviceId: device.id })
    const same = async (
      ask: (values: { router: string; device: string; entry: string }) => Promise<Answer>,
    ) => {
      const answer = await ask({ router: router.id, device: unlisted.id, entry: entry.id })
      expectProblem(answer, 404, 'not-found')
      expect(comparable(answer)).toEqual(
        comparable(await ask({ router: randomUUID(), device: randomUUID(), entry: randomUUID() })),
      )
    }
    await same((ids) => bob.call('GET', `/api/${list}/${ids.entry}`))
    await same((ids) => bob.call('PATCH', `/api/${list}/${ids.entry}`, { body: { name: 'Mine now' } }))
    await same((ids) => bob.call('DELETE', `/api/${list}/${ids.entry}`))
    await same((ids) => bob.call('DELETE', `/api/${list}`, { query: { routerId: ids.router } }))
    await same((ids) => add(list, { deviceId: ids.device }, bob))
    await same((ids) => add(list, { routerId: ids.router, mac: unlisted.mac }, bob))
    await same((ids) => add(list, { routerId: ids.router, ip: unlisted.ip }, bob))
    // One's own device on another router than its own.
    const office = await ada.router()
    expectProblem(await add(list, { deviceId: unlisted.id, routerId: office.id }), 404, 'not-found')
    expect(await entries(list, { routerId: router.id }, bob)).toEqual({
      items: [],
      total: 0,
      limit: 50,
      offset: 0,
    })
    const asked = {
      add: [{ deviceId: unlisted.id }, { routerId: router.id, mac: newMac() }],
      remove: [entry.id],
    }
    const { results } = (await bulk(list, asked, bob)).json()
    expect(results).toEqual([0, 1, 2].map((index) => ({ index, status: 404, code: 'not-found' })))
    expect((await entries(list, { routerId: router.id })).items).toEqual([entry])
  })

  it('tells the agents of a change, and of nothing that changes nothing', async () => {
    const router = await ada.router()
    await asAdmin(inject('database').adminUrl, async (client) => {
      const digest = await wakeDigestOf(client, router.id)
      let heard = 0
      client.on('notification', ({ payload }) => {
        if (payload === digest) heard += 1
      })
      await client.query('listen netpilot_policy')
      const hearsOf = async (call: () => Promise<Answer>) => {
        heard = 0
        const answer = await call()
        await client.query('select')
        return { heard, answer }
      }
      const mac = newMac()
      const { heard: ofAdding, answer } = await hearsOf(() => add(list, { routerId: router.id, mac }))
      expect(ofAdding).toBe(1)
      const { id } = answer.json()
      const mine = { routerId: router.id }
      expect((await hearsOf(() => add(list, { ...mine, mac }))).heard).toBe(0)
      expect(
        (await hearsOf(() => ada.call('PATCH', `/api/${list}/${id}`, { body: { name: 'TV' } }))).heard,
      ).toBe(0)
      expect(
        (
          await hearsOf(() =>
            bulk(list, {
              add: [
                { ...mine, mac: newMac() },
                { ...mine, mac: newMac() },
              ],
              remove: [id],
            }),
          )
        ).heard,
      ).toBe(1)
      expect((await hearsOf(() => bulk(list, { add: [], remove: [id] }))).heard).toBe(0)
      expect((await hearsOf(() => ada.call('DELETE', `/api/${list}`, { query: mine }))).heard).toBe(1)
      expect((await hearsOf(() => ada.call('DELETE', `/api/${list}`, { query: mine }))).heard).toBe(0)
    })
  })
})

describe.each(LISTS)('many changes to the $list at once', ({ list, other, note }) => {
  it('are each answered as alone, and what fails leaves the others be', async () => {
    const router = await ada.router()
    const [device, elsewhere] = [await seen(router), await seen(router)]
    const mine = { routerId: router.id }
    const old = await added(list, { ...mine, mac: newMac() })
    const blocker = await added(other, { ...mine, mac: elsewhere.mac })
    const items: [Body, number, string?][] = [
      [{ deviceId: device.id, name: `{"O'Brien", \\}`, [note]: 'NULL' }, 201],
      [{ ...mine, ip: device.ip }, 409, 'conflict'],
      [{ ...mine, mac: 'router' }, 400, 'invalid-request'],
      [{ deviceId: elsewhere.id }, 409, 'on-other-list'],
      [{ deviceId: randomUUID() }, 404, 'not-found'],
      [{ routerId: randomUUID(), mac: newMac() }, 404, 'not-found'],
      [{ ...mine, ip: elsewhere.ip, move: true }, 201],
      [{ ...mine, mac: elsewhere.mac, move: true }, 409, 'conflict'],
      [{ ...mine, mac: newMac() }, 201],
    ]
    const removes: [string, number, string?][] = [
      [old.id.toUpperCase(), 204],
      [old.id, 404, 'not-found'],
      [blocker.id, 404, 'not-found'],
    ]
    const answer = await bulk(list, { add: items.map(([item]) => item), remove: removes.map(([id]) => id) })
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual({
      results: [...items, ...removes].map(([, status, code], index) => ({
        index,
        status,
        ...(code ? { code } : { id: expect.stringMatching(/^[0-9a-f-]{36}$/) }),
      })),
    })
    const stored = (await entries(list, mine)).items
    const { results } = answer.json()
    expect(stored.map(({ id }: Body) => id).sort()).toEqual(
      [0, 6, 8].map((index) => results[index].id).sort(),
    )
    expect(stored.find(({ id }: Body) => id === results[0].id)).toMatchObject({
      name: `{"O'Brien", \\}`,
      [note]: 'NULL',
      deviceId: device.id,
    })
    expect((await entries(other, mine)).total).toBe(0)
    // Alone, each is answered the same.
    for (const [item, status, code] of items.filter(([, status]) => status !== 201 && status !== 409))
      expectProblem(await add(list, item), status, String(code))
  })

  it('reach over routers, and over 500 of each at most', async () => {
    const [home, office] = [await ada.router(), await ada.router()]
    const macs = Array.from({ length: 500 }, () => newMac())
    const items = macs.map((mac, index) => ({
      routerId: [home, office][index % 2]?.id,
      mac,
      [note]: 'ж'.repeat(500),
    }))
    const { results } = (await bulk(list, { add: items })).json()
    expect(results.map(({ status }: Body) => status)).toEqual(macs.map(() => 201))
    expect([
      await entries(list, { routerId: home.id }),
      await entries(list, { routerId: office.id }),
    ]).toMatchObject([{ total: 250 }, { total: 250 }])
    expectProblem(await bulk(list, { add: [...items, items[0]] }), 400, 'invalid-request')
    const ids = results.map(({ id }: Body) => id)
    expectProblem(await bulk(list, { remove: [...ids, ids[0]] }), 400, 'invalid-request')
    expect(
      (await bulk(list, { remove: ids })).json().results.every(({ status }: Body) => status === 204),
    ).toBe(true)
    expect((await entries(list, { routerId: home.id })).total).toBe(0)
    expect((await bulk(list, {})).json()).toEqual({ results: [] })
  })

  it('are refused as a whole only when the body is of the wrong form', async () => {
    const router = await ada.router()
    const good = { routerId: router.id, mac: newMac() }
    for (const wrong of [
      { add: [good, {}] },
      { add: [good, { ...good, ip: newIp() }] },
      { add: [good], remove: ['7'] },
      { add: [good], drop: [] },
    ])
      expectProblem(await bulk(list, wrong), 400, 'invalid-request')
    expect((await entries(list, { routerId: router.id })).total).toBe(0)
  })
})

describe('at the same time', () => {
  it('twenty adds of one device to both lists, in every way, leave it on exactly one', async () => {
    for (const _round of [1, 2, 3]) {
      const router = await ada.router()
      const device = await seen(router)
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, index) => {
          const way = WAYS[index % 3] ?? 'mac'
          return add(index % 2 ? 'whitelist' : 'blacklist', named(router, device, way))
        }),
      )
      expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([201, ...Array(19).fill(409)])
      expect(
        new Set(answers.filter(({ statusCode }) => statusCode === 409).map((answer) => answer.json().code)),
      ).toEqual(new Set(['conflict', 'on-other-list']))
      const totals = await Promise.all(
        LISTS.map(async ({ list }) => (await entries(list, { routerId: router.id })).total),
      )
      expect(totals.sort()).toEqual([0, 1])
    }
  })

  it('twenty moves to and fro leave a device on exactly one list', async () => {
    const router = await ada.router()
    const device = await seen(router)
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        add(index % 2 ? 'whitelist' : 'blacklist', {
          ...named(router, device, WAYS[index % 3] ?? 'mac'),
          move: true,
        }),
      ),
    )
    expect(
      answers.filter(({ statusCode }) => ![201, 409].includes(statusCode)).map(({ body }) => body),
    ).toEqual([])
    const totals = await Promise.all(
      LISTS.map(async ({ list }) => (await entries(list, { routerId: router.id })).total),
    )
    expect(totals.sort()).toEqual([0, 1])
  })

  it('changes to the same routers in opposite order do not block each other', async () => {
    const routers = await Promise.all([ada.router(), ada.router(), ada.router()])
    const calls = Array.from({ length: 12 }, (_, index) => {
      const targets = index % 2 ? routers : routers.toReversed()
      return bulk(index % 3 ? 'whitelist' : 'blacklist', {
        add: targets.map(({ id }) => ({ routerId: id, mac: newMac() })),
      })
    })
    const statuses = (await Promise.all(calls)).flatMap(
      (answer) => answer.json().results?.map(({ status }: Body) => status) ?? answer.body,
    )
    expect(statuses).toEqual(Array(36).fill(201))
  })

  it('an entry of a device and the end of that device leave no trace of either, and fail in no other way', async () => {
    const router = await ada.router()
    for (const _round of [1, 2, 3, 4, 5]) {
      const device = await seen(router)
      const mac = newMac()
      const [answer] = await Promise.all([
        bulk('whitelist', { add: [{ deviceId: device.id }, { routerId: router.id, mac }] }),
        ada.call('DELETE', `/api/devices/${device.id}`),
      ])
      const [ofDevice, ofMac] = answer.json().results
      expect([201, 404]).toContain(ofDevice.status)
      expect(ofMac.status).toBe(201)
      expect((await entries('whitelist', { routerId: router.id, search: mac })).total).toBe(1)
    }
    expect((await entries('whitelist', { routerId: router.id })).total).toBe(5)
  })

  it('somebody who writes past the lock is a conflict, and undoes nothing else', async () => {
    const router = await ada.router()
    const [mac, another] = [newMac(), newMac()]
    const there = await added('blacklist', { routerId: router.id, mac })
    await asAdmin(inject('database').adminUrl, async (client) => {
      await client.query('begin')
      await client.query('insert into user_whitelists (user_id, router_id, mac) values ($1, $2, $3)', [
        ada.id,
        router.id,
        mac,
      ])
      const call = bulk('whitelist', {
        add: [
          { routerId: router.id, mac, move: true },
          { routerId: router.id, mac: another },
        ],
      })
      const blocked = `select from pg_stat_activity where wait_event = 'transactionid' and query like 'insert into user_whitelists%' and datname = current_database()`
      await expect.poll(async () => (await rowsOf(blocked)).length).toBeGreaterThan(0)
      await client.query('commit')
      expect((await call).json().results).toMatchObject([{ status: 409, code: 'conflict' }, { status: 201 }])
    })
    expect((await entries('blacklist', { routerId: router.id })).items).toMatchObject([{ id: there.id }])
  })
})

describe.each(LISTS)('the list of the $list', ({ list, note }) => {
  let eve: Person
  let home: Router
  const ids: Record<string, string> = {}
  const find = async (query: Record<string, string>) => entries(list, query, eve)
  const names = async (query: Record<string, string>) =>
    (await find(query)).items.map(({ name }: Body) => name)
  beforeAll(async () => {
    eve = await world.person()
    home = await eve.router()
    const office = await eve.router()
    const tablet = await seen(home, 'Kids-Tablet')
    const phone = await seen(home, 'Grandma')
    Object.assign(ids, { tabletMac: tablet.mac, tabletIp: tablet.ip })
    for (const body of [
      { deviceId: tablet.id, name: 'charlie' },
      { routerId: home.id, mac: '00:00:5e:00:53:aa', name: 'Alpha', [note]: 'for school, 100%' },
      { routerId: home.id, ip: phone.ip, name: 'bravo' },
      { routerId: home.id, ip: '2001:db8::9' },
      { routerId: office.id, mac: '00:00:5e:00:53:ab', name: 'charlie' },
    ])
      expect((await add(list, body, eve)).statusCode).toBe(201)
  })

  it('is sorted by when entries were made, or as asked, what is unset last in both directions', async () => {
    const byAge = ['charlie', 'Alpha', 'bravo', null, 'charlie']
    expect(await names({})).toEqual(byAge)
    expect(await names({ sort: '-createdAt' })).toEqual(byAge.toReversed())
    expect(await names({ sort: 'name' })).toEqual(['Alpha', 'bravo', 'charlie', 'charlie', null])
    expect(await names({ sort: '-name' })).toEqual(['charlie', 'charlie', 'bravo', 'Alpha', null])
    expect((await names({ sort: '-mac' })).slice(0, 2)).toEqual(['charlie', 'Alpha'])
    expect((await names({ sort: 'ip' })).slice(0, 2)).toEqual(['bravo', null])
  })

  it('comes in pages that neither repeat nor lose an entry, and by router', async () => {
    const pages = await Promise.all(
      [0, 1, 2, 3, 4, 5].map((offset) => find({ limit: '1', offset: String(offset), sort: 'name' })),
    )
    expect(pages.map(({ items, ...page }) => page)).toEqual(
      pages.map((_, offset) => ({ total: 5, limit: 1, offset })),
    )
    expect(pages.flatMap(({ items }) => items)).toEqual((await find({ sort: 'name' })).items)
    expect((await find({ routerId: home.id })).total).toBe(4)
    expect((await find({ routerId: randomUUID() })).total).toBe(0)
  })

  it.each([
    ['a name', () => 'ALPH', ['Alpha']],
    ['the note, without wildcards', () => '0%', ['Alpha']],
    ['a MAC, with dashes', () => '5E-00-53-A', ['Alpha', 'charlie']],
    ['an address', () => '2001:db8::', [null]],
    ['the name of the device', () => 'kids', ['charlie']],
    ['the name of the device that has the address', () => 'grandma', ['bravo']],
    ['a MAC of the device', () => ids.tabletMac ?? '', ['charlie']],
    ['an address of the device', () => ids.tabletIp ?? '', ['charlie']],
    ['nothing that is there', () => '_', []],
  ])('is searched by a part of %s', async (_what, search, found) => {
    expect(await names({ search: search() })).toEqual(found)
    expect((await find({ search: search(), limit: '1' })).total).toBe(found.length)
  })

  it.each([
    ['limit', ['0', '201', 'ten']],
    ['offset', ['-1', '']],
    ['sort', ['id', '--name', 'user_id']],
    ['routerId', ['7', '']],
    ['search', ['', '\0']],
  ])('refuses another %s, T34', async (name, refused) => {
    for (const value of refused) {
      const { errors = [] } = expectProblem(
        await eve.call('GET', `/api/${list}`, { query: { [name]: value } }),
        400,
        'invalid-request',
      )
      expect(new Set(errors.map(({ path }) => path)), value).toEqual(new Set([`/querystring/${name}`]))
    }
  })
})
