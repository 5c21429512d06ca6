/**
 * Devices through HTTP: lists, one device, the user's word against a scan's, and that they are their owner's
 * alone.
 */
import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { comparable, expectProblem } from '../support/problems.ts'
import { type Person, type Router, rowsOf, sharedWorld, type World } from '../support/world.ts'

type Device = { id: string; routerId: string } & Record<string, unknown>
type Query = Record<string, string>

let world: World
/** Somebody with the devices below on two routers; tests of lists only read them. */
let ada: Person
let home: Router
let shop: Router
let all: Device[]
/** Somebody to whom tests may do anything. */
let eve: Person
const PI = 'b8:27:eb:00:00:01'

const list = async (
  query: Query = {},
  owner = ada,
): Promise<{ items: Device[]; total: number; limit: number; offset: number }> =>
  (await owner.call('GET', '/api/devices', { query })).json()
const hostnames = async (query: Query) => (await list(query)).items.map(({ hostname }) => hostname).sort()
const change = (id: string, body: unknown, owner = eve) => owner.call('PATCH', `/api/devices/${id}`, { body })
const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString()
const addGroup = async (owner: Person, routerId: string) => {
  const text = `insert into user_device_groups (user_id, router_id, group_name) values ($1, $2, 'kids') returning id`
  return (await rowsOf<{ id: string }>(text, [owner.id, routerId]))[0]?.id ?? ''
}
const first = ([device]: Device[]) => device ?? expect.fail('there is no device')
const onlyDevice = async (router: Router) => first((await list({ routerId: router.id }, router.owner)).items)

beforeAll(async () => {
  world = await sharedWorld()
  ;[ada, eve] = (await Promise.all([world.person(), world.person()])) as [Person, Person]
  ;[home, shop] = (await Promise.all([ada.router(), ada.router()])) as [Router, Router]
  const found: [
    router: Router,
    minutes: number,
    entry: Record<string, unknown>,
    described?: Record<string, unknown>,
  ][] = [
    [home, 1, { mac: PI, ip: '192.0.2.11', hostname: 'alpha' }, { name: 'Kitchen', type: 'tv' }],
    [
      home,
      2,
      { mac: 'dc:a6:32:00:00:02', ips: ['192.0.2.12', 'fd00::12'], hostname: 'bravo' },
      { type: 'phone' },
    ],
    [
      home,
      20,
      { mac: '06:00:5e:00:00:03', ip: '192.0.2.13', hostname: 'alpha' },
      { manufacturer: 'Acme 100%', type: 'tv' },
    ],
    [home, 30, { ip: '192.0.2.14' }, { name: 'bath_room' }],
    [shop, 3, { mac: PI, ip: '192.0.2.11', hostname: 'zulu' }],
    [shop, 3, { mac: 'b8:27:eb:00:00:06', ip: '192.0.2.16', hostname: 'Mike' }, { type: 'phone' }],
  ]
  for (const [router, minutes, entry] of found) await router.scan([entry], { takenAt: ago(minutes) })
  const { items } = await list()
  for (const [router, , { mac, ip }, described] of found) {
    const { id } = first(
      items.filter(
        ({ routerId, macs, ips }) => routerId === router.id && [macs, ips].flat().includes(mac ?? ip),
      ),
    )
    if (described) await change(id, described, ada)
  }
  all = (await list()).items
})

describe('the list of devices', () => {
  it('has everything about each of them', () => {
    const [pi] = all.filter(({ hostname }) => hostname === 'bravo')
    expect(all).toHaveLength(6)
    expect(pi).toEqual({
      ...{
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        routerId: home.id,
        name: 'bravo',
        hostname: 'bravo',
        type: 'phone',
      },
      ...{
        manufacturer: 'Raspberry Pi Trading Ltd',
        macs: ['dc:a6:32:00:00:02'],
        ips: ['192.0.2.12', 'fd00::12'],
        randomMac: false,
      },
      ...{
        online: true,
        groupId: null,
        isInfrastructure: false,
        mine: false,
        rate: null,
        approval: 'approved',
      },
      ...{
        firstSeen: pi?.lastSeen,
        lastSeen: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      },
    })
  })

  it('is filtered by router, type, group and being online, in any combination', async () => {
    expect(await hostnames({ routerId: shop.id })).toEqual(['Mike', 'zulu'])
    expect(await hostnames({ type: 'tv' })).toEqual(['alpha', 'alpha'])
    expect(await hostnames({ type: 'TV' })).toEqual([])
    expect(await hostnames({ online: 'true' })).toEqual(['Mike', 'alpha', 'bravo', 'zulu'])
    expect(await hostnames({ online: 'false' })).toEqual(['alpha', null])
    expect(await hostnames({ type: 'phone', routerId: home.id, online: 'true' })).toEqual(['bravo'])
    const groupId = await addGroup(ada, shop.id)
    expect(await list({ groupId })).toMatchObject({ items: [], total: 0 })
    const [zulu] = all.filter(({ hostname }) => hostname === 'zulu')
    expect((await change(zulu?.id ?? '', { groupId }, ada)).json()).toEqual({ ...zulu, groupId })
    expect(await hostnames({ groupId })).toEqual(['zulu'])
    expect((await change(zulu?.id ?? '', { groupId: null }, ada)).json()).toEqual(zulu)
  })

  it.each([
    ['KITCH', 'alpha'], // name
    ['aLpH', 'alpha', 'alpha'], // host name, also of a device with a name
    ['acme', 'alpha'], // the user's manufacturer
    ['trading', 'bravo'], // the detected one
    ['B8-27-EB-00-00-01', 'alpha', 'zulu'],
    ['27:eb:00', 'Mike', 'alpha', 'zulu'],
    ['192.0.2.1', 'Mike', 'alpha', 'alpha', 'bravo', null, 'zulu'],
    ['FD00::', 'bravo'],
    ['%', 'alpha'], // text, no pattern
    ['_', null],
    ['nothing of the kind'],
  ])('is searched for %j', async (search, ...expected) => {
    expect(await hostnames({ search })).toEqual([...expected].sort())
    expect((await list({ search, limit: '1' })).total).toBe(expected.length)
  })

  const fields = ['name', 'hostname', 'type', 'manufacturer', 'firstSeen', 'lastSeen']
  it.each(fields.flatMap((field) => [[field], [`-${field}`]]))(
    'is sorted by %s, without a value last, and then by id',
    async (sort) => {
      const direction = sort.startsWith('-') ? -1 : 1
      const keyOf = (device: Device) => (device[sort.replace('-', '')] as string | null)?.toLowerCase()
      const compare = (a = '', b = '') => (a < b ? -1 : a > b ? 1 : 0)
      const expected = all.toSorted((a, b) => {
        const [one, other] = [keyOf(a), keyOf(b)]
        const missing = Number(one === undefined) - Number(other === undefined)
        return missing || direction * compare(one, other) || compare(a.id, b.id)
      })
      expect((await list({ sort })).items.map(({ id }) => id)).toEqual(expected.map(({ id }) => id))
      const pages = await Promise.all(
        [0, 2, 4].map((offset) => list({ sort, limit: '2', offset: String(offset) })),
      )
      expect(pages.flatMap(({ items }) => items)).toEqual((await list({ sort })).items)
    },
  )

  it('comes in pages that know the total, also behind the last one', async () => {
    expect(await list()).toMatchObject({ total: 6, limit: 50, offset: 0 })
    expect(await list({ limit: '4', offset: '4' })).toEqual({
      items: [expect.anything(), expect.anything()],
      total: 6,
      limit: 4,
      offset: 4,
    })
    expect(await list({ limit: '200', offset: '6' })).toEqual({ items: [], total: 6, limit: 200, offset: 6 })
    expect(await list({ type: 'tv', offset: '900000' })).toMatchObject({ items: [], total: 2 })
  })

  it.each<Query>([
    ...['0', '201', '-1', '1.5', 'x', ''].map((limit) => ({ limit })),
    ...['-1', '0.5', 'x'].map((offset) => ({ offset })),
    ...['id', 'Name', '--name', 'name,type'].map((sort) => ({ sort })),
    ...[
      { online: 'maybe' },
      { online: '1' },
      { routerId: 'x' },
      { groupId: '' },
      { search: 'x'.repeat(101) },
      { search: 'a\u0000' },
    ],
    { mac: PI },
  ])('refuses the query %j', async (query) => {
    expectProblem(await ada.call('GET', '/api/devices', { query }), 400, 'invalid-request')
  })
})

describe('a device', () => {
  it('is found by id, and by MAC in every spelling', async () => {
    const router = await eve.router()
    const mac = 'b8:27:eb:0a:0b:0c'
    await router.scan([mac])
    const device = await onlyDevice(router)
    const spellings = [
      device.id,
      `by-mac/${mac}`,
      'by-mac/B8-27-EB-0A-0B-0C',
      'by-mac/b827eb0a0b0c',
      'by-mac/B827.EB0A.0B0C',
      'by-mac/b8:27:eb:a:b:c',
    ]
    for (const path of spellings)
      expect((await eve.call('GET', `/api/devices/${path}`)).json()).toEqual(device)
    expectProblem(await eve.call('GET', '/api/devices/by-mac/b8:27:eb:0a:0b:0d'), 404, 'not-found')
    for (const wrong of [
      'x',
      'ff:ff:ff:ff:ff:ff',
      '01:00:5e:00:00:01',
      '00:00:00:00:00:00',
      'b8:27:eb:0a:0b',
    ])
      expectProblem(await eve.call('GET', `/api/devices/by-mac/${wrong}`), 400, 'invalid-request')
  })

  it('on two routers is ambiguous by MAC unless the router is named', async () => {
    const byMac = (query: Query = {}) => ada.call('GET', `/api/devices/by-mac/${PI}`, { query })
    expectProblem(await byMac(), 409, 'ambiguous')
    for (const { id } of [home, shop])
      expect((await byMac({ routerId: id })).json()).toMatchObject({ routerId: id, macs: [PI] })
    expectProblem(await byMac({ routerId: randomUUID() }), 404, 'not-found')
    expectProblem(await byMac({ routerId: 'x' }), 400, 'invalid-request')
  })

  it('shows its MACs oldest first, and whether the newest is random', async () => {
    const router = await eve.router()
    await router.scan([{ mac: PI, ips: ['192.0.2.30', '192.0.2.4', 'fd00::1'] }])
    const device = await onlyDevice(router)
    await rowsOf(
      `insert into user_device_interfaces (user_id, router_id, device_id, mac, ips, first_seen)
        values ($1, $2, $3, '06:00:5e:00:00:01', '{192.0.2.9}', now() + interval '1 minute')`,
      [eve.id, router.id, device.id],
    )
    const expected = {
      macs: [PI, '06:00:5e:00:00:01'],
      ips: ['192.0.2.4', '192.0.2.9', '192.0.2.30', 'fd00::1'],
      randomMac: true,
    }
    expect(await onlyDevice(router)).toEqual({ ...device, ...expected })
  })

  it('keeps what its user says through every scan, and gives it back for null', async () => {
    const router = await eve.router()
    await router.scan([{ mac: PI, ip: '192.0.2.7', hostname: 'one' }])
    const device = await onlyDevice(router)
    const word = {
      name: 'Büro 🖥',
      type: 'desktop',
      manufacturer: 'Me',
      isInfrastructure: true,
      mine: true,
      rate: 512,
    }
    expect((await change(device.id, word)).json()).toEqual({ ...device, ...word })
    await router.scan([{ mac: PI, ip: '192.0.2.8', hostname: 'two' }])
    const { lastSeen, ...rest } = await onlyDevice(router)
    expect({ ...rest, lastSeen }).toEqual({
      ...device,
      ...word,
      ips: ['192.0.2.8'],
      hostname: 'two',
      lastSeen,
    })
    const given = {
      name: null,
      type: null,
      manufacturer: null,
      isInfrastructure: false,
      mine: false,
      rate: null,
    }
    const scanned = { ...rest, ...given, lastSeen, name: 'two', manufacturer: 'Raspberry Pi Foundation' }
    expect((await change(device.id, given)).json()).toEqual(scanned)
    expect((await eve.call('GET', `/api/devices/${device.id}`)).json()).toEqual(scanned)
  })

  it('refuses changes that are none, unknown or of another type', async () => {
    const router = await eve.router()
    await router.scan([PI])
    const device = await onlyDevice(router)
    const wrong = [
      {},
      { hostname: 'x' },
      { macs: [] },
      { name: '' },
      { name: 5 },
      { name: 'x'.repeat(101) },
      { name: 'a\u0000b' },
      { type: '' },
    ]
    for (const body of [
      ...wrong,
      { isInfrastructure: null },
      { mine: 'true' },
      { groupId: 'x' },
      { manufacturer: ['x'] },
      [],
    ])
      expectProblem(await change(device.id, body), 400, 'invalid-request')
    expect(await onlyDevice(router)).toEqual(device)
  })

  it('goes into a group of its own router only: to any other it is 404', async () => {
    const [router, other, strange] = (await Promise.all([eve.router(), eve.router(), ada.router()])) as [
      Router,
      Router,
      Router,
    ]
    await router.scan([PI])
    const device = await onlyDevice(router)
    const groups = [randomUUID(), await addGroup(eve, other.id), await addGroup(ada, strange.id)]
    const answers = await Promise.all(groups.map((groupId) => change(device.id, { groupId })))
    for (const answer of answers) expectProblem(answer, 404, 'not-found')
    expect(new Set(answers.map((answer) => JSON.stringify(comparable(answer)))).size).toBe(1)
    expect(await onlyDevice(router)).toEqual(device)
  })

  it('is forgotten when deleted, until a scan sees it again', async () => {
    const router = await eve.router()
    await router.scan([PI, { mac: 'b8:27:eb:00:00:02', hostname: 'stays' }])
    const [gone, stays] = (await list({ routerId: router.id, sort: '-hostname' }, eve)).items.toReversed()
    await change(gone?.id ?? '', { name: 'Tablet' })
    const call = (method: 'GET' | 'DELETE') => eve.call(method, `/api/devices/${gone?.id}`)
    expect(await call('DELETE')).toMatchObject({ statusCode: 204, body: '' })
    for (const method of ['GET', 'DELETE'] as const) expectProblem(await call(method), 404, 'not-found')
    expect(await onlyDevice(router)).toEqual(stays)
    expect((await router.scan([PI])).json()).toMatchObject({ created: 1, total: 1 })
    const again = (await list({ routerId: router.id }, eve)).items.filter(({ hostname }) => hostname === null)
    expect(again).toMatchObject([{ name: null, macs: [PI] }])
    expect(again[0]?.id).not.toBe(gone?.id)
  })

  it('that became one with another does not exist any more', async () => {
    const router = await eve.router()
    await router.scan([{ ip: '192.0.2.7' }])
    const { id } = await onlyDevice(router)
    await router.scan([{ mac: PI, ip: '192.0.2.8' }])
    await router.scan([{ mac: PI, ip: '192.0.2.7' }])
    expect((await onlyDevice(router)).macs).toEqual([PI])
    const calls = [
      eve.call('GET', `/api/devices/${id}`),
      change(id, { name: 'x' }),
      eve.call('DELETE', `/api/devices/${id}`),
    ]
    for (const answer of await Promise.all(calls)) expectProblem(answer, 404, 'not-found')
    expect(await rowsOf('select device_name as name from user_devices where id = $1', [id])).toEqual([
      { name: null },
    ])
    const clear = () => eve.call('DELETE', '/api/devices', { query: { routerId: router.id } })
    expect((await clear()).json()).toEqual({ removed: 1 })
    expect(await rowsOf('select from user_devices where router_id = $1', [router.id])).toEqual([])
  })
})

describe('clearing', () => {
  it('forgets the devices of the router that is named, and says how many', async () => {
    const [router, other] = (await Promise.all([eve.router(), eve.router()])) as [Router, Router]
    await router.scan([PI, 'b8:27:eb:00:00:02'])
    await other.scan([PI])
    const clear = (query: Query) => eve.call('DELETE', '/api/devices', { query })
    for (const query of [{}, { routerId: 'x' }, { routerId: router.id, all: 'true' }] as Query[])
      expectProblem(await clear(query), 400, 'invalid-request')
    expect((await clear({ routerId: router.id })).json()).toEqual({ removed: 2 })
    expect((await clear({ routerId: router.id })).json()).toEqual({ removed: 0 })
    expect([await router.devices(), await other.devices()]).toEqual([
      [],
      [expect.objectContaining({ macs: [PI] })],
    ])
    expectProblem(await clear({ routerId: randomUUID() }), 404, 'not-found')
  })
})

describe('a device of somebody else', () => {
  it('does not exist: the answers are the same to the byte as for an id that nobody has', async () => {
    const bob = await world.person()
    const { id, macs } = first(all)
    const calls = (deviceId: string, routerId: string) => [
      bob.call('GET', `/api/devices/${deviceId}`),
      change(deviceId, { name: 'mine now' }, bob),
      bob.call('DELETE', `/api/devices/${deviceId}`),
      bob.call('DELETE', '/api/devices', { query: { routerId } }),
      bob.call('GET', `/api/devices/by-mac/${PI}`, { query: { routerId } }),
    ]
    const [foreign, unknown] = await Promise.all([
      Promise.all(calls(id, home.id)),
      Promise.all(calls(randomUUID(), randomUUID())),
    ])
    for (const answer of foreign) expectProblem(answer, 404, 'not-found')
    expect(foreign.map(comparable)).toEqual(unknown.map(comparable))
    for (const query of [{}, { routerId: home.id }, { search: String(macs) }] as Query[])
      expect(await list(query, bob)).toMatchObject({ items: [], total: 0 })
    expectProblem(await bob.call('GET', `/api/devices/by-mac/${PI}`), 404, 'not-found')
    expectProblem(await bob.call('GET', '/api/devices/1'), 400, 'invalid-request')
    expect((await list()).items).toEqual(all)
  })
})
