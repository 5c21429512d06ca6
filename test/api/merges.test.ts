/** A phone that changed its MAC: two devices become one, and two again. And the inbox of new devices. */
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { asAdmin } from '../support/database.ts'
import { newMac, type Person, type Router, sharedWorld, type World } from '../support/world.ts'

let world: World
let ada: Person
let bob: Person
beforeAll(async () => {
  world = await sharedWorld()
  ;[ada, bob] = await Promise.all([world.person(), world.person()])
})

type Shown = {
  id: string
  macs: string[]
  ips: string[]
  name: string | null
  firstSeen: string
  groupId: string | null
  [more: string]: unknown
}
const get = async (id: string): Promise<Shown> => (await ada.call('GET', `/api/devices/${id}`)).json()
const entryOf = async (id: string) => (await ada.call('GET', `/api/devices/${id}/policy`)).json()
const merge = (id: string, ...from: string[]) =>
  ada.call('POST', `/api/devices/${id}/merge`, { body: { from } })

/** A router with devices of one MAC each, in order. */
async function networkOf(
  count: number,
  fields: Record<string, unknown> = {},
): Promise<{ router: Router; macs: string[]; ids: string[] }> {
  const router = await ada.router(fields)
  const macs = Array.from({ length: count }, () => newMac()).sort()
  await router.scan(macs.map((mac, index) => ({ mac, ip: `192.0.2.${index + 10}`, hostname: 'phone' })))
  const devices = await router.devices()
  return {
    router,
    macs,
    ids: macs.map((mac) => devices.find((device) => (device.macs as string[]).includes(mac))?.id as string),
  }
}

/** Something for each field that the user says of a device. */
async function said({ id: routerId }: Router) {
  const group = await ada.call('POST', '/api/groups', { body: { routerId, name: newMac() } })
  return {
    ...{ name: 'Phone', type: 'phone', manufacturer: 'Ada', groupId: group.json().id as string },
    ...{ isInfrastructure: true, mine: true, rate: 5_000 },
  }
}

describe('devices that are merged', () => {
  it('become one with all MACs and addresses; names, blocks and list entries follow; later scans keep to it', async () => {
    const { router, macs, ids } = await networkOf(2, { mode: 'whitelist' })
    const [now, before] = [ids[1] as string, ids[0] as string]
    await ada.call('PATCH', `/api/devices/${before}`, { body: { name: "Ada's phone", type: 'phone' } })
    await ada.call('POST', '/api/whitelist', { body: { deviceId: before } })
    expect((await entryOf(now)).decision).toBe('block')

    const merged = await merge(now, before)
    expect(merged.statusCode).toBe(200)
    expect(merged.json()).toMatchObject({
      id: now,
      name: "Ada's phone",
      type: 'phone',
      macs: expect.arrayContaining(macs),
      mergeIds: [expect.any(String)],
    })
    expect((await get(now)).ips).toEqual(['192.0.2.10', '192.0.2.11'])
    expect((await ada.call('GET', `/api/devices/${before}`)).statusCode).toBe(404)
    expect(await entryOf(now)).toMatchObject({ decision: 'allow', reasons: [{ code: 'whitelisted' }] })

    expect((await router.scan(macs)).json()).toMatchObject({ unchanged: 1, created: 0, total: 1 })
    expect(await router.devices()).toHaveLength(1)
  })

  it('are two again after the undo, each with what it came with; a word said since stays', async () => {
    const { router, macs, ids } = await networkOf(2)
    const [now, before] = [ids[1] as string, ids[0] as string]
    await ada.call('PATCH', `/api/devices/${before}`, { body: { name: 'Old', type: 'phone' } })
    const [was, had] = [await get(now), await get(before)]
    const { mergeIds } = (await merge(now, before)).json()
    await ada.call('PATCH', `/api/devices/${now}`, { body: { type: 'tablet' } })

    const undone = await ada.call('POST', `/api/devices/merges/${mergeIds[0]}/undo`)
    expect(undone.statusCode).toBe(200)
    expect(undone.json()).toEqual(had)
    expect(await get(now)).toEqual({ ...was, type: 'tablet' })
    expect((await ada.call('POST', `/api/devices/merges/${mergeIds[0]}/undo`)).json().code).toBe('conflict')
    expect((await router.scan(macs)).json()).toMatchObject({ unchanged: 2, total: 2 })
    expect(
      (await ada.call('GET', '/api/devices/merges', { query: { routerId: router.id } })).json(),
    ).toMatchObject({
      total: 1,
      items: [{ id: mergeIds[0], deviceId: now, mergedDeviceId: before, undoneAt: expect.any(String) }],
    })
  })

  it('hand all on that the user said of them, where nothing else is said, and take it back with the undo', async () => {
    const { router, ids } = await networkOf(3)
    const [now, first, second] = ids as [string, string, string]
    const others = await said(router)
    for (const [id, body] of [
      [now, { type: 'tablet' }],
      [first, { name: 'First', mine: true }],
      [second, others],
    ] as const)
      expect((await ada.call('PATCH', `/api/devices/${id}`, { body })).statusCode).toBe(200)
    const was = await get(now)
    const { mergeIds } = (await merge(now, first, second)).json()
    const { manufacturer, groupId, rate } = others
    expect(await get(now)).toMatchObject({
      ...{ type: 'tablet', name: 'First', mine: true },
      ...{ manufacturer, groupId, rate, isInfrastructure: true },
    })
    for (const id of mergeIds.toReversed()) await ada.call('POST', `/api/devices/merges/${id}/undo`)
    expect(await get(now)).toEqual(was)
    expect(await get(second)).toMatchObject(others)
  })

  it('are never merged away by a scan once the user has said anything of them', async () => {
    const router = await ada.router()
    for (const [index, [field, value]] of Object.entries(await said(router)).entries()) {
      const [ip, mac] = [`198.51.100.${index + 1}`, newMac()]
      await router.scan([{ ip }])
      const known = (await router.devices()).find(({ ips }) => (ips as string[]).includes(ip))
      await ada.call('PATCH', `/api/devices/${known?.id}`, { body: { [field]: value } })
      await router.scan([mac])
      await router.scan([{ mac, ip }])
      expect(await get(String(known?.id)), field).toMatchObject({ macs: [mac], ips: [ip] })
    }
  })

  it('may be merged again: blocks of the first follow through to the last', async () => {
    const { ids } = await networkOf(3)
    const [first, second, third] = ids as [string, string, string]
    await ada.call('POST', '/api/blocks', { body: { deviceId: first } })
    await merge(second, first)
    await merge(third, second)
    expect(await entryOf(third)).toMatchObject({ decision: 'block', reasons: [{ code: 'manual-block' }] })
    expect((await get(third)).macs).toHaveLength(3)
  })

  it('are refused when they are on opposite lists, of different routers, the same, or somebody else’s, and stay as they were', async () => {
    const { ids } = await networkOf(2)
    const other = await networkOf(1)
    const [one, two] = ids as [string, string]
    await ada.call('POST', '/api/whitelist', { body: { deviceId: one } })
    const { id: entryId } = (await ada.call('POST', '/api/blacklist', { body: { deviceId: two } })).json()
    expect((await merge(one, two)).json()).toMatchObject({ status: 409, code: 'on-other-list', entryId })
    for (const same of [one, one.toUpperCase()]) expect((await merge(one, same)).statusCode).toBe(400)
    expect((await merge(one, other.ids[0] as string)).statusCode).toBe(404)
    expect((await bob.call('POST', `/api/devices/${one}/merge`, { body: { from: [two] } })).statusCode).toBe(
      404,
    )
    expect([(await get(one)).macs, (await get(two)).macs].map(({ length }) => length)).toEqual([1, 1])
  })

  it('are suggested, never merged by themselves: one host name, one vanished as the other appeared', async () => {
    const { router, ids } = await networkOf(2)
    const [before, now] = ids as [string, string]
    const suggestions = async (who = ada) =>
      (await who.call('GET', '/api/devices/suggestions', { query: { routerId: router.id } })).json()
    expect(await suggestions()).toEqual({ items: [], total: 0 })
    await asAdmin(inject('database').adminUrl, async (client) => {
      const age = `update user_devices set first_seen = now() - $2::interval, last_seen = now() - $3::interval where id = $1`
      await client.query(age, [before, '30 days', '2 days'])
      await client.query(age, [now, '2 days', '1 minute'])
    })
    expect(await suggestions()).toMatchObject({
      total: 1,
      items: [{ into: now, from: before, hostname: 'phone' }],
    })
    expect(await suggestions(bob)).toEqual({ items: [], total: 0 })
    expect(await router.devices()).toHaveLength(2)
  })
})

describe('a device that is split', () => {
  it('leaves the MACs that were named to a new device, and keeps at least one', async () => {
    const { macs, ids } = await networkOf(2)
    const [one, two] = ids as [string, string]
    await merge(one, two)
    const split = (body: unknown, who = ada) => who.call('POST', `/api/devices/${one}/split`, { body })
    expect((await split({ macs })).json().code).toBe('conflict')
    expect((await split({ macs: [newMac()] })).json().code).toBe('conflict')
    expect((await split({ macs: [macs[1], 'x'] })).json().errors).toMatchObject([{ path: '/body/macs/1' }])
    expect((await split({ macs: [macs[1]] }, bob)).statusCode).toBe(404)
    const made = await split({ macs: [macs[1]?.toUpperCase()] })
    expect(made.statusCode).toBe(201)
    expect(made.json()).toMatchObject({
      macs: [macs[1]],
      ips: ['192.0.2.11'],
      hostname: 'phone',
      name: 'phone',
    })
    expect((await get(one)).macs).toEqual([macs[0]])
  })
})

describe('the inbox', () => {
  it('holds new devices of a router that wants it, until somebody approves or dismisses them', async () => {
    const { router, ids } = await networkOf(3, { newDevices: 'hold' })
    const inbox = async () => (await ada.call('GET', `/api/routers/${router.id}/inbox`)).json()
    expect(await inbox()).toMatchObject({ total: 3 })
    expect((await ada.call('POST', `/api/devices/${ids[0]}/approve`)).json()).toMatchObject({
      id: ids[0],
      approval: 'approved',
    })
    expect((await ada.call('POST', `/api/devices/${ids[1]}/dismiss`)).json()).toMatchObject({
      id: ids[1],
      approval: 'dismissed',
    })
    expect((await inbox()).items.map(({ id }: Shown) => id)).toEqual([ids[2]])
    const decisions = await Promise.all(ids.map(async (id) => (await entryOf(id)).decision))
    expect(decisions).toEqual(['allow', 'block', 'block'])
    expect((await bob.call('GET', `/api/routers/${router.id}/inbox`)).statusCode).toBe(404)
    expect((await bob.call('POST', `/api/devices/${ids[2]}/approve`)).statusCode).toBe(404)
    await ada.call('PATCH', `/api/routers/${router.id}`, { body: { newDevices: 'allow' } })
    expect((await entryOf(ids[2] as string)).decision).toBe('allow')
  })
})
