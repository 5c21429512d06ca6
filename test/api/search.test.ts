/** Finding things, changing many devices at once, and what is still known of a device. */
import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { expectProblem } from '../support/problems.ts'
import { newMac, type Person, type Router, rowsOf, sharedWorld, type World } from '../support/world.ts'

let world: World
let ada: Person
beforeAll(async () => {
  world = await sharedWorld()
  ada = await world.person()
})

async function devicesOf(router: Router, count: number): Promise<string[]> {
  const macs = Array.from({ length: count }, () => newMac())
  await router.scan(macs)
  const devices = await router.devices()
  return macs.map((mac) => String(devices.find((device) => (device.macs as string[]).includes(mac))?.id))
}

describe('search', () => {
  const search = async (person: Person, q: string, query: Record<string, string> = {}) =>
    (await person.call('GET', '/api/search', { query: { q, ...query } })).json()

  async function homeOf(person: Person, mark: string) {
    const router = await person.router({ name: `Router ${mark}` })
    const mac = newMac()
    await router.scan([{ mac, ip: '192.0.2.7', hostname: `host-${mark}` }])
    const [device] = await router.devices()
    const post = async (url: string, body: object) => (await person.call('POST', url, { body })).json().id
    const group = await post('/api/groups', { routerId: router.id, name: `Group ${mark}` })
    const white = await post('/api/whitelist', {
      routerId: router.id,
      mac: newMac(),
      name: `White ${mark}`,
      description: 'guest',
    })
    const black = await post('/api/blacklist', {
      routerId: router.id,
      ip: '192.0.2.99',
      reason: `Black ${mark}`,
    })
    return { router, mac, device: String(device?.id), group, white, black }
  }

  it('finds every kind of one’s own, and nothing of anybody else', async () => {
    const [mark, bob] = [randomUUID().slice(0, 8), await world.person()]
    const { router, mac, device, group, white, black } = await homeOf(ada, mark)
    await homeOf(bob, mark)
    const routerId = router.id
    expect(await search(ada, mark.toUpperCase())).toEqual({
      items: [
        { kind: 'router', id: routerId, routerId, name: `Router ${mark}`, detail: null },
        { kind: 'device', id: device, routerId, name: `host-${mark}`, detail: `${mac}, 192.0.2.7` },
        { kind: 'group', id: group, routerId, name: `Group ${mark}`, detail: '0 devices' },
        { kind: 'whitelist', id: white, routerId, name: `White ${mark}`, detail: 'guest' },
        { kind: 'blacklist', id: black, routerId, name: '192.0.2.99', detail: `Black ${mark}` },
      ],
      total: 5,
    })
    expect(await search(ada, mac)).toMatchObject({ items: [{ kind: 'device', id: device }], total: 1 })
    expect(await search(ada, randomUUID())).toEqual({ items: [], total: 0 })
  })

  it('shows so many of each kind, and says how many there are', async () => {
    const mark = randomUUID().slice(0, 8)
    for (let number = 0; number < 3; number += 1)
      await ada.call('POST', '/api/routers', { body: { name: `${mark} ${number}` } })
    const found = await search(ada, mark, { limit: '2' })
    expect(found.items.map(({ name }: { name: string }) => name)).toEqual([`${mark} 0`, `${mark} 1`])
    expect(found.total).toBe(3)
    for (const query of [{}, { q: '' }, { q: mark, limit: '51' }, { q: 'a'.repeat(101) }])
      expectProblem(
        await ada.call('GET', '/api/search', { query: query as Record<string, string> }),
        400,
        'invalid-request',
      )
  })

  it('shows a personal key the kinds that it may read', async () => {
    const mark = randomUUID().slice(0, 8)
    await homeOf(ada, mark)
    const ask = async (scopes: string[]) => {
      const { key } = (
        await ada.call('POST', '/api/users/keys', { body: { scopes, password: ada.password } })
      ).json()
      const answer = await world.send('GET', '/api/search', {
        query: { q: mark },
        headers: { 'x-api-key': key },
      })
      await ada.call(
        'DELETE',
        `/api/users/keys/${(await ada.call('GET', '/api/users/keys')).json().items[0].id}`,
      )
      return answer
    }
    for (const [scopes, kinds] of [
      [['routers:read'], ['router']],
      [['lists:read'], ['whitelist', 'blacklist']],
      [
        ['devices:read', 'groups:read', 'settings:read'],
        ['device', 'group'],
      ],
    ] as const) {
      const found = (await ask([...scopes])).json()
      expect(found.items.map(({ kind }: { kind: string }) => kind)).toEqual(kinds)
      expect(found.total).toBe(kinds.length)
    }
    expectProblem(await ask(['settings:read', 'routers:write']), 403, 'insufficient-scope')
  })
})

describe('a manufacturer', () => {
  const of = (mac: string) => ada.call('GET', `/api/manufacturers/${mac}`)
  it('is told of any MAC, in any spelling', async () => {
    const known = (await of('e8:6a:64:89:6c:bc')).json()
    expect(known).toEqual({ manufacturer: expect.stringMatching(/\w{3}/), randomMac: false })
    for (const mac of ['E8-6A-64-89-6C-BC', 'e86a.6489.6cbc']) expect((await of(mac)).json()).toEqual(known)
    expect((await of('02:6a:64:89:6c:bc')).json()).toEqual({ manufacturer: null, randomMac: true })
    for (const mac of ['ff:ff:ff:ff:ff:ff', 'nonsense', '00:00:00:00:00:00'])
      expectProblem(await of(mac), 400, 'invalid-request')
  })
})

describe('changing many devices', () => {
  const change = (changes: object[], person = ada) =>
    person.call('PATCH', '/api/devices', { body: { changes } })

  it('decides each for itself, in their order, and stores those that can be', async () => {
    const router = await ada.router()
    const [first = '', second = '', third = ''] = await devicesOf(router, 3)
    const [bobs = ''] = await devicesOf(await (await world.person()).router(), 1)
    const add = async (routerId: string) =>
      (await ada.call('POST', '/api/groups', { body: { routerId, name: 'kids' } })).json().id
    const [group, elsewhere] = [await add(router.id), await add((await ada.router()).id)]
    const answer = await change([
      { id: first, name: 'one', groupId: group },
      { id: bobs, name: 'not mine' },
      { id: randomUUID(), name: 'nobody’s' },
      { id: second.toUpperCase(), type: 'phone', rate: '5mbit' },
      { id: third, groupId: elsewhere, name: 'lost' },
      { id: third, rate: '0mbit' },
      { id: first, name: 'two' },
    ])
    expect(answer.statusCode, answer.body).toBe(200)
    expect(answer.json().results).toEqual([
      { index: 0, status: 200, id: first },
      { index: 1, status: 404, code: 'not-found' },
      { index: 2, status: 404, code: 'not-found' },
      { index: 3, status: 200, id: second },
      { index: 4, status: 404, code: 'not-found' },
      { index: 5, status: 400, code: 'invalid-request' },
      { index: 6, status: 200, id: first },
    ])
    const device = async (id: string) => (await ada.call('GET', `/api/devices/${id}`)).json()
    expect(await device(first)).toMatchObject({ name: 'two', groupId: group })
    expect(await device(second)).toMatchObject({ type: 'phone', rate: 5_000 })
    expect(await device(third)).toMatchObject({ name: null, groupId: null })
    expect(await rowsOf('select device_name from user_devices where id = $1', [bobs])).toEqual([
      { device_name: null },
    ])
    expect(
      await rowsOf(`select from user_audit_log where user_id = $1 and act = 'changeDevices'`, [ada.id]),
    ).toHaveLength(1)
  })

  it('takes two hundred, of several routers at once and from both ends, without a deadlock', async () => {
    const person = await world.person()
    const ids = [
      ...(await devicesOf(await person.router(), 100)),
      ...(await devicesOf(await person.router(), 100)),
    ]
    const answers = await Promise.all(
      [ids, ids.toReversed(), ids, ids.toReversed()].map((order) =>
        change(
          order.map((id) => ({ id, mine: true })),
          person,
        ),
      ),
    )
    for (const answer of answers)
      expect(answer.json().results.filter(({ status }: { status: number }) => status !== 200)).toEqual([])
    expectProblem(
      await change(
        [...ids, ids[0]].map((id) => ({ id, mine: true })),
        person,
      ),
      400,
      'invalid-request',
    )
    expectProblem(await change([{ id: ids[0] }], person), 400, 'invalid-request')
    expectProblem(await change([{ id: ids[0], lastSeen: null }], person), 400, 'invalid-request')
  })
})

describe('the history of a device', () => {
  it('has what is still known of it and of what was merged into it, the newest first, page by page', async () => {
    const router = await ada.router()
    const [mac, other] = [newMac(), newMac()]
    await router.scan([{ mac, hostname: 'tablet' }])
    await router.scan([{ mac: other, hostname: 'old-tablet' }])
    const idOf = async (wanted: string) =>
      String((await router.devices()).find((device) => (device.macs as string[]).includes(wanted))?.id)
    const [id, otherId] = [await idOf(mac), await idOf(other)]
    const { id: block } = (
      await ada.call('POST', '/api/blocks', { body: { deviceId: otherId, reason: 'homework' } })
    ).json()
    await ada.call('DELETE', `/api/blocks/${block}`)
    await ada.call('POST', `/api/devices/${id}/merge`, { body: { from: [otherId] } })
    await ada.call('POST', '/api/blocks', { body: { deviceId: id, minutes: 5, reason: 'bedtime' } })

    const page = async (query: Record<string, string> = {}) =>
      (await ada.call('GET', `/api/devices/${id}/history`, { query })).json()
    const { items, nextCursor } = await page()
    expect(nextCursor).toBeNull()
    const told = items.map(({ kind, detail }: { kind: string; detail: string | null }) => `${kind} ${detail}`)
    expect(told.slice(0, 4)).toEqual([
      'paused bedtime',
      'merged old-tablet',
      'unblocked homework',
      'blocked homework',
    ])
    expect(told.slice(4).sort()).toEqual(
      [`address ${mac}`, `address ${other}`, 'first-seen old-tablet', 'first-seen tablet'].sort(),
    )
    const times = items.map(({ at }: { at: string }) => at)
    expect(times).toEqual(times.toSorted().toReversed())

    const paged: unknown[] = []
    for (let cursor: string | undefined = ''; cursor !== undefined; ) {
      const next: { items: unknown[]; nextCursor: string | null } = await page({
        limit: '3',
        ...(cursor && { cursor }),
      })
      paged.push(...next.items)
      cursor = next.nextCursor ?? undefined
    }
    expect(paged).toEqual(items)
    for (const cursor of ['x', 'AAAA', '!'])
      expectProblem(
        await ada.call('GET', `/api/devices/${id}/history`, { query: { cursor } }),
        400,
        'invalid-request',
      )
    const bob = await world.person()
    expectProblem(await bob.call('GET', `/api/devices/${id}/history`), 404, 'not-found')
  })
})

describe('a filter', () => {
  it('of schedules can be whether they are enabled', async () => {
    const router = await ada.router()
    const [deviceId = ''] = await devicesOf(router, 1)
    for (const enabled of [true, false, false])
      await ada.call('POST', '/api/schedules', {
        body: { deviceId, kind: 'blocked-during', days: ['mon'], start: '21:00', end: '07:00', enabled },
      })
    const total = async (enabled: string) =>
      (await ada.call('GET', '/api/schedules', { query: { routerId: router.id, enabled } })).json().total
    expect([await total('true'), await total('false')]).toEqual([1, 2])
  })

  it('by a router that nobody has is an empty list', async () => {
    for (const url of [
      '/api/devices',
      '/api/groups',
      '/api/schedules',
      '/api/blocks',
      '/api/whitelist',
      '/api/blacklist',
    ])
      expect((await ada.call('GET', url, { query: { routerId: randomUUID() } })).json(), url).toMatchObject({
        items: [],
        total: 0,
      })
  })
})
