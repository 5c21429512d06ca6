/** Blocks and pauses: what may be blocked, how they end, and that history stays. */
import { randomUUID } from 'node:crypto'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { changedWhileWaiting } from '../support/held-router.ts'
import { comparable, expectProblem } from '../support/problems.ts'
import { wakeUpsOf } from '../support/wake-ups.ts'
import {
  type Answer,
  newMac,
  type Person,
  type Router,
  rowsOf,
  sharedWorld,
  type World,
} from '../support/world.ts'

let world: World
let ada: Person
let home: Router
let deviceId: string
beforeAll(async () => {
  world = await sharedWorld()
})
beforeEach(async () => {
  ada = await world.person()
  home = await ada.router()
  deviceId = await addDevice()
})

const MINUTE = 60_000
const inMinutes = (minutes: number) => new Date(Date.now() + minutes * MINUTE).toISOString()

async function addDevice(entry: Record<string, unknown> = {}, router = home): Promise<string> {
  const mac = newMac()
  await router.scan([{ mac, ...entry }])
  const found = await router.owner.call('GET', `/api/devices/by-mac/${mac}`, {
    query: { routerId: router.id },
  })
  return found.json().id
}
const mark = (fields: object) => ada.call('PATCH', `/api/devices/${deviceId}`, { body: fields })
const addGroup = async (name = 'kids'): Promise<string> =>
  (await ada.call('POST', '/api/groups', { body: { routerId: home.id, name } })).json().id

const add = (body: object, person = ada) => person.call('POST', '/api/blocks', { body })
const find = (id: string, person = ada) => person.call('GET', `/api/blocks/${id}`)
const extend = (id: string, body: object, person = ada) => person.call('PATCH', `/api/blocks/${id}`, { body })
const end = (id: string, person = ada) => person.call('DELETE', `/api/blocks/${id}`)
const reset = (routerId: string, person = ada) =>
  person.call('POST', '/api/blocks/reset', { body: { routerId } })
const list = async (query: Record<string, string> = {}, person = ada) =>
  (await person.call('GET', '/api/blocks', { query })).json()

/** Time passes for a block: everything about it was so many minutes earlier. */
const age = (id: string, minutes: number) =>
  rowsOf(
    `update user_blocked_devices set blocked_at = blocked_at - make_interval(mins => $2), until = until - make_interval(mins => $2),
      unblocked_at = unblocked_at - make_interval(mins => $2) where id = $1`,
    [id, minutes],
  )

function expectFault(answer: Answer, path: string) {
  const { errors = [] } = expectProblem(answer, 400, 'invalid-request')
  expect(new Set(errors.map((error) => error.path))).toEqual(new Set([path]))
}

describe('a block', () => {
  it('of a device is manual and lasts until it is lifted', async () => {
    const answer = await add({ deviceId })
    expect(answer.statusCode).toBe(201)
    expect(answer.json()).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      routerId: home.id,
      deviceId,
      groupId: null,
      type: 'manual',
      reason: null,
      blockedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      until: null,
      unblockedAt: null,
      isActive: true,
    })
    await age(answer.json().id, 5_000_000)
    expect((await find(answer.json().id)).json()).toMatchObject({ isActive: true, unblockedAt: null })
  })

  it.each([
    ['minutes', () => ({ minutes: 30 })],
    ['a time', () => ({ until: inMinutes(30) })],
    ['a time elsewhere', () => ({ until: inMinutes(30 + 120).replace('Z', '+02:00') })],
    ['minutes, said to be one', () => ({ minutes: 30, type: 'pause', reason: 'Homework first' })],
  ])('with %s is a pause', async (_what, endOf) => {
    const asked = endOf()
    const { type, until, blockedAt, reason, isActive } = (await add({ deviceId, ...asked })).json()
    expect({ type, reason, isActive }).toEqual({
      type: 'pause',
      reason: 'reason' in asked ? asked.reason : null,
      isActive: true,
    })
    expect(Math.abs(Date.parse(until) - Date.parse(blockedAt) - 30 * MINUTE)).toBeLessThan(MINUTE / 2)
  })

  it('is of a group or of a whole router as well', async () => {
    const groupId = await addGroup()
    for (const body of [{ minutes: 5 }, { type: 'manual' }]) {
      expect((await add({ groupId, ...body })).json()).toMatchObject({
        routerId: home.id,
        deviceId: null,
        groupId,
        isActive: true,
      })
      expect((await add({ routerId: home.id, ...body })).json()).toMatchObject({
        routerId: home.id,
        deviceId: null,
        groupId: null,
      })
    }
    expect((await list({ active: 'true' })).total).toBe(4)
  })

  it.each([
    ['no minutes', { minutes: 0 }, '/body/minutes'],
    ['more than a year', { minutes: 525_601 }, '/body/minutes'],
    ['half a minute', { minutes: 0.5 }, '/body/minutes'],
    ['minutes as text', { minutes: '5' }, '/body/minutes'],
    ['a time without a zone', { until: '2100-01-01T00:00:00' }, '/body/until'],
    ['a leap second', { until: '2098-12-31T23:59:60Z' }, '/body/until'],
    ['the past', { until: inMinutes(-1) }, '/body/until'],
    ['the year 0', { until: '0000-01-01T00:00:00Z' }, '/body/until'],
    ['two ends', { minutes: 5, until: inMinutes(5) }, '/body/until'],
    ['a pause without an end', { type: 'pause' }, '/body/type'],
    ['a manual block with minutes', { type: 'manual', minutes: 5 }, '/body/type'],
    ['a manual block with a time', { type: 'manual', until: inMinutes(5) }, '/body/type'],
    ['another type', { type: 'schedule' }, '/body/type'],
    ['too long a reason', { reason: 'x'.repeat(501) }, '/body/reason'],
    ['force as text', { force: 'true' }, '/body/force'],
  ])('cannot have %s', async (_what, fields, path) => {
    expectFault(await add({ deviceId, ...fields }), path)
    expect((await list()).total).toBe(0)
  })

  it('has one target', async () => {
    for (const body of [
      {},
      { minutes: 5 },
      { deviceId, routerId: home.id },
      { deviceId, groupId: await addGroup() },
      { deviceId: null },
    ])
      expectProblem(await add(body), 400, 'invalid-request')
  })

  it('cannot be of what is not there, or was merged into another', async () => {
    const merged = await addDevice()
    await rowsOf('update user_devices set merged_into = $2 where id = $1', [merged, deviceId])
    for (const body of [
      { deviceId: merged },
      { deviceId: randomUUID() },
      { groupId: deviceId },
      { routerId: deviceId },
      { deviceId: home.id },
    ])
      expectProblem(await add(body), 404, 'not-found')
  })
})

describe('protected devices', () => {
  it('are infrastructure and whatever has the router’s own address: 409, also with force', async () => {
    await mark({ isInfrastructure: true, mine: true })
    const itself = await addDevice({ ips: ['192.0.2.1', '192.0.2.77'] })
    await ada.call('PATCH', `/api/routers/${home.id}`, { body: { ip: '192.0.2.77' } })
    for (const target of [deviceId, itself])
      for (const fields of [{}, { minutes: 5 }, { force: true }])
        expectProblem(await add({ deviceId: target, ...fields }), 409, 'protected')
    expect((await list()).total).toBe(0)
    await mark({ isInfrastructure: false, mine: false })
    expect((await add({ deviceId })).statusCode).toBe(201)
  })

  it('are not those that have the address of another router', async () => {
    await ada.router({ ip: '192.0.2.9' })
    expect((await add({ deviceId: await addDevice({ ip: '192.0.2.9' }) })).statusCode).toBe(201)
  })

  it('do not spare their group or their router from being paused', async () => {
    await mark({ isInfrastructure: true, groupId: await addGroup() })
    expect((await add({ routerId: home.id, minutes: 5 })).statusCode).toBe(201)
  })

  it('are one’s own as long as it is not forced', async () => {
    await mark({ mine: true })
    for (const fields of [{}, { minutes: 5 }, { force: false }])
      expectProblem(await add({ deviceId, ...fields }), 409, 'own-device')
    expect((await add({ deviceId, force: true })).statusCode).toBe(201)
  })
})

describe('one active block of each type', () => {
  it('is what a target has, however many are asked for at once', async () => {
    const groupId = await addGroup()
    for (const target of [{ deviceId }, { groupId }, { routerId: home.id }]) {
      for (const fields of [{}, { minutes: 5 }]) {
        const answers = await Promise.all(Array.from({ length: 10 }, () => add({ ...target, ...fields })))
        expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([201, ...Array(9).fill(409)])
        for (const answer of answers.filter(({ statusCode }) => statusCode === 409))
          expectProblem(answer, 409, 'conflict')
      }
    }
    expect((await list()).total).toBe(6)
  })

  it('makes room for the next when it ended, by time or early, and stays in the history', async () => {
    const lapsed = (await add({ deviceId, minutes: 5 })).json()
    await age(lapsed.id, 10)
    const asEnded = (await find(lapsed.id)).json()
    expect(asEnded).toMatchObject({ isActive: false, unblockedAt: asEnded.until })
    const stopped = (await add({ deviceId, minutes: 5 })).json()
    expect((await find(lapsed.id)).json()).toEqual(asEnded)
    await end(stopped.id)
    const active = (await add({ deviceId, minutes: 5 })).json()
    expect((await list({ deviceId })).items.map(({ id }: { id: string }) => id)).toEqual([
      active.id,
      stopped.id,
      lapsed.id,
    ])
    expect(
      await rowsOf('select unblocked_at = until as "isClosed" from user_blocked_devices where id = $1', [
        lapsed.id,
      ]),
    ).toEqual([{ isClosed: true }])
  })

  it('stands when the next one is refused for its end', async () => {
    const lapsed = (await add({ deviceId, minutes: 5 })).json()
    await age(lapsed.id, 10)
    expectFault(await add({ deviceId, until: inMinutes(-1) }), '/body/until')
    expect((await list()).items).toHaveLength(1)
  })
})

describe('a target that goes while a block is on its way', () => {
  it.each([
    ['a device that is merged', 'update user_devices set merged_into = $2 where id = $1'],
    ['a device that is removed', 'delete from user_devices where id = $1 and id <> $2'],
  ])('gets none: %s', async (_what, change) => {
    const asked = () => add({ deviceId })
    const answer = await changedWhileWaiting(home.id, asked, [change, [deviceId, await addDevice()]])
    expectProblem(answer, 404, 'not-found')
    expect(await list()).toMatchObject({ total: 0 })
  })

  it('gets none: a group that is removed', async () => {
    const groupId = await addGroup()
    const change = 'delete from user_device_groups where id = $1'
    expectProblem(
      await changedWhileWaiting(home.id, () => add({ groupId }), [change, [groupId]]),
      404,
      'not-found',
    )
  })
})

describe('the blocks of a device that was merged', () => {
  it('are not previewed for it, as they cannot be added', async () => {
    const merged = await addDevice()
    await ada.call('POST', `/api/devices/${deviceId}/merge`, { body: { from: [merged] } })
    const preview = (id: string) =>
      ada.call('POST', `/api/routers/${home.id}/policy/preview`, {
        body: { change: { blocks: [{ deviceId: id }] } },
      })
    expect((await preview(deviceId)).statusCode).toBe(200)
    expectProblem(await preview(merged), 404, 'not-found')
  })

  it('are those of the device that goes on, however often it was merged', async () => {
    const [part, last] = [await addDevice(), await addDevice()]
    const merge = async (into: string, from: string) =>
      expect(
        (await ada.call('POST', `/api/devices/${into}/merge`, { body: { from: [from] } })).statusCode,
      ).toBe(200)
    const { id } = (await add({ deviceId: part, minutes: 5 })).json()
    await merge(deviceId, part)
    await merge(last, deviceId)
    expect((await find(id)).json()).toMatchObject({ deviceId: last, isActive: true })
    expect((await list({ deviceId: last })).items).toEqual([(await find(id)).json()])
    for (const gone of [part, deviceId]) expect((await list({ deviceId: gone })).items).toEqual([])
    expectProblem(await add({ deviceId: last, minutes: 5 }), 409, 'conflict')
    expect((await add({ deviceId: last })).statusCode).toBe(201)
    expect((await extend(id, { minutes: 10 })).json()).toMatchObject({ id, deviceId: last })
    await end(id)
    expect((await add({ deviceId: last, minutes: 5 })).statusCode).toBe(201)
  })
})

describe('a pause', () => {
  it('ends by time alone, on the database’s clock', async () => {
    const { id } = (await add({ deviceId, minutes: 10 })).json()
    await age(id, 9)
    expect((await find(id)).json()).toMatchObject({ isActive: true, unblockedAt: null })
    await age(id, 1)
    const ended = (await find(id)).json()
    expect(ended).toMatchObject({ isActive: false, unblockedAt: ended.until })
    expect(
      await rowsOf('select unblocked_at as "unblockedAt" from user_blocked_devices where id = $1', [id]),
    ).toEqual([{ unblockedAt: null }])
  })

  it('is extended from now, or to a time, and nothing else about it changes', async () => {
    const pause = (await add({ deviceId, minutes: 10, reason: 'Supper' })).json()
    await age(pause.id, 8)
    const before = (await find(pause.id)).json()
    const answer = await extend(pause.id, { minutes: 20 })
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual({ ...before, until: expect.any(String) })
    expect(Math.abs(Date.parse(answer.json().until) - Date.now() - 20 * MINUTE)).toBeLessThan(MINUTE / 2)
    const until = inMinutes(40)
    expect((await extend(pause.id, { until })).json()).toEqual({ ...before, until })
    expect((await find(pause.id)).json()).toEqual({ ...before, until })
  })

  it('cannot be extended into the past, beyond a year of minutes, or without saying for how long', async () => {
    const pause = (await add({ deviceId, minutes: 10 })).json()
    expectFault(await extend(pause.id, { until: inMinutes(-1) }), '/body/until')
    expectFault(await extend(pause.id, { until: '2098-12-31T23:59:60Z' }), '/body/until')
    for (const body of [
      {},
      { minutes: 0 },
      { minutes: 525_601 },
      { minutes: 5, until: inMinutes(5) },
      { reason: 'x' },
      { minutes: null },
    ])
      expectProblem(await extend(pause.id, body), 400, 'invalid-request')
    expect((await find(pause.id)).json()).toEqual(pause)
  })

  it('that has ended, and a manual block, cannot be extended', async () => {
    const [lapsed, stopped, manual] = [
      (await add({ deviceId, minutes: 5 })).json().id,
      (await add({ routerId: home.id, minutes: 5 })).json().id,
      (await add({ deviceId })).json().id,
    ]
    await age(lapsed, 10)
    await end(stopped)
    for (const id of [lapsed, stopped, manual]) {
      const before = (await find(id)).json()
      expectProblem(await extend(id, { minutes: 5 }), 409, 'conflict')
      expect((await find(id)).json()).toEqual(before)
    }
  })
})

describe('ending a block', () => {
  it('leaves it in the history; ending it again changes nothing', async () => {
    const block = (await add({ deviceId, reason: 'Bedtime' })).json()
    const answer = await end(block.id)
    expect([answer.statusCode, answer.body]).toEqual([204, ''])
    const ended = (await find(block.id)).json()
    expect(ended).toEqual({ ...block, isActive: false, unblockedAt: expect.any(String) })
    await age(block.id, 10)
    const before = (await find(block.id)).json()
    expect((await end(block.id)).statusCode).toBe(204)
    expect((await find(block.id)).json()).toEqual(before)
  })

  it('does not make a pause that time has ended longer', async () => {
    const { id } = (await add({ deviceId, minutes: 5 })).json()
    await age(id, 10)
    const before = (await find(id)).json()
    expect((await end(id)).statusCode).toBe(204)
    expect((await find(id)).json()).toEqual(before)
  })

  it('and adding one at the same time leave one active at most, and none lost', async () => {
    let { id } = (await add({ deviceId })).json()
    for (let round = 0; round < 5; round += 1) {
      const [, next] = await Promise.all([end(id), add({ deviceId })])
      expect([201, 409]).toContain(next.statusCode)
      expect((await list({ active: 'true' })).total).toBe(next.statusCode === 201 ? 1 : 0)
      id = (next.statusCode === 201 ? next : await add({ deviceId })).json().id
    }
    expect((await list()).total).toBe(6)
  })

  it('of every kind on a router is one call, which says how many were active', async () => {
    const office = await ada.router()
    await add({ routerId: office.id })
    const { id: lapsed } = (await add({ deviceId, minutes: 5 })).json()
    await age(lapsed, 10)
    const before = (await find(lapsed)).json()
    for (const body of [
      { deviceId },
      { groupId: await addGroup(), minutes: 5 },
      { routerId: home.id, minutes: 5 },
    ])
      await add(body)
    const answer = await reset(home.id)
    expect([answer.statusCode, answer.json()]).toEqual([200, { ended: 3 }])
    expect((await reset(home.id)).json()).toEqual({ ended: 0 })
    expect((await find(lapsed)).json()).toEqual(before)
    expect(await list({ routerId: home.id })).toMatchObject({ total: 4 })
    expect(await list({ active: 'true' })).toMatchObject({ total: 1, items: [{ routerId: office.id }] })
    expectProblem(await reset(randomUUID()), 404, 'not-found')
    expectProblem(await ada.call('POST', '/api/blocks/reset', { body: {} }), 400, 'invalid-request')
  })
})

describe('waiting agents', () => {
  it('are told once of each change, and of no refusal', async () => {
    const wakeUps = (work: () => Promise<unknown>) => wakeUpsOf(home.id, work)
    expect(await wakeUps(() => add({ deviceId, minutes: 5 }))).toBe(1)
    expect(await wakeUps(() => add({ deviceId, minutes: 5 }))).toBe(0)
    const { id } = (await list()).items[0]
    expect(await wakeUps(() => extend(id, { minutes: 10 }))).toBe(1)
    expect(await wakeUps(() => extend(id, { until: inMinutes(-5) }))).toBe(0)
    expect(await wakeUps(() => end(id))).toBe(1)
    await add({ routerId: home.id })
    expect(await wakeUps(() => reset(home.id))).toBe(1)
  })
})

describe('the list of blocks', () => {
  it('is the newest first, of what is active, of what is past, or of both; by router, device and group', async () => {
    const [office, groupId] = [await ada.router(), await addGroup()]
    const ids: string[] = []
    for (const body of [
      { deviceId, minutes: 5 },
      { deviceId },
      { groupId, minutes: 50 },
      { routerId: office.id, minutes: 20 },
    ])
      ids.push((await add(body)).json().id)
    const [lapsed = '', manual, group, whole] = ids
    await age(lapsed, 10)
    const idsOf = async (query: Record<string, string>) =>
      (await list(query)).items.map(({ id }: { id: string }) => id)
    expect(await idsOf({})).toEqual([whole, group, manual, lapsed])
    expect(await idsOf({ active: 'true' })).toEqual([whole, group, manual])
    expect(await idsOf({ active: 'false' })).toEqual([lapsed])
    expect(await idsOf({ routerId: home.id })).toEqual([group, manual, lapsed])
    expect(await idsOf({ deviceId })).toEqual([manual, lapsed])
    expect(await idsOf({ groupId })).toEqual([group])
    expect(await idsOf({ sort: 'until' })).toEqual([lapsed, whole, group, manual])
    expect(await idsOf({ sort: '-until' })).toEqual([group, whole, lapsed, manual])
    expect(await idsOf({ sort: 'blockedAt' })).toEqual([lapsed, manual, group, whole])
    expect(await list({ limit: '1', offset: '1' })).toMatchObject({
      items: [{ id: group }],
      total: 4,
      limit: 1,
      offset: 1,
    })
    expect(await list({ offset: '9', active: 'true' })).toEqual({ items: [], total: 3, limit: 50, offset: 9 })
    for (const query of [
      { active: 'yes' },
      { limit: '201' },
      { sort: 'reason' },
      { deviceId: '7' },
      { cursor: 'x' },
    ])
      expectProblem(
        await ada.call('GET', '/api/blocks', { query: query as unknown as Record<string, string> }),
        400,
        'invalid-request',
      )
  })
})

describe('somebody else’s block', () => {
  it('does not exist: every verb answers as for an id that nobody has', async () => {
    const bob = await world.person()
    const block = (await add({ deviceId, minutes: 5 })).json()
    const asks = [
      (id: string) => find(id, bob),
      (id: string) => extend(id, { minutes: 60 }, bob),
      (id: string) => end(id, bob),
    ]
    for (const ask of asks) {
      const foreign = await ask(block.id)
      expectProblem(foreign, 404, 'not-found')
      expect(comparable(foreign)).toEqual(comparable(await ask(randomUUID())))
      expectProblem(await ask('7'), 400, 'invalid-request')
    }
    const groupId = await addGroup()
    for (const [foreign, nobodys] of [
      [await add({ deviceId }, bob), await add({ deviceId: randomUUID() }, bob)],
      [await add({ groupId }, bob), await add({ groupId: randomUUID() }, bob)],
      [await add({ routerId: home.id }, bob), await add({ routerId: randomUUID() }, bob)],
      [await reset(home.id, bob), await reset(randomUUID(), bob)],
    ] as const) {
      expectProblem(foreign, 404, 'not-found')
      expect(comparable(foreign)).toEqual(comparable(nobodys))
    }
    for (const query of [{}, { routerId: home.id }, { deviceId }])
      expect(await list(query as Record<string, string>, bob)).toEqual({
        items: [],
        total: 0,
        limit: 50,
        offset: 0,
      })
    expect((await find(block.id)).json()).toEqual(block)
  })
})
