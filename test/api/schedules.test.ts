/** Schedules and overrides: every field, whose they are, how many there may be, and when an override ends. */
import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { DAYS } from '../../src/network/windows.ts'
import { changedWhileWaiting } from '../support/held-router.ts'
import { comparable, expectProblem } from '../support/problems.ts'
import { wakeUpsOf } from '../support/wake-ups.ts'
import { newMac, type Person, type Router, rowsOf, sharedWorld, type World } from '../support/world.ts'

let world: World
let ada: Person
let bob: Person
beforeAll(async () => {
  world = await sharedWorld()
  ;[ada, bob] = await Promise.all([world.person(), world.person()])
})

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const NIGHT = { kind: 'blocked-during', days: ['mon', 'sun'], start: '21:00', end: '07:00' }

const addDevice = async (router: Router): Promise<string> => {
  const mac = newMac()
  await router.scan([mac])
  const devices = await router.devices()
  return String(devices.find(({ macs }) => (macs as string[]).includes(mac))?.id)
}
const addGroup = async ({ id, owner }: Router): Promise<string> =>
  (await owner.call('POST', '/api/groups', { body: { routerId: id, name: randomUUID() } })).json().id
/** A router with a device and a group that it is in. */
const home = async (owner = ada, fields = {}) => {
  const router = await owner.router(fields)
  const [deviceId, groupId] = [await addDevice(router), await addGroup(router)]
  await owner.call('PATCH', `/api/devices/${deviceId}`, { body: { groupId } })
  return { router, deviceId, groupId }
}
const merge = (from: string, into: string) =>
  rowsOf('update user_devices set merged_into = $2 where id = $1', [from, into])

const add = (body: object, owner = ada) => owner.call('POST', '/api/schedules', { body })
const find = (id: string, owner = ada) => owner.call('GET', `/api/schedules/${id}`)
const change = (id: string, body: object, owner = ada) =>
  owner.call('PATCH', `/api/schedules/${id}`, { body })
const remove = (id: string, owner = ada) => owner.call('DELETE', `/api/schedules/${id}`)
const list = async (query: Record<string, string>, owner = ada) =>
  (await owner.call('GET', '/api/schedules', { query })).json()
const override = (deviceId: string, body: object, owner = ada) =>
  owner.call('POST', `/api/devices/${deviceId}/override`, { body })
const overrideOf = (deviceId: string, owner = ada) => owner.call('GET', `/api/devices/${deviceId}/override`)

describe('a schedule', () => {
  it('is of a device or of a group, and of its router', async () => {
    const { router, deviceId, groupId } = await home()
    for (const target of [{ deviceId }, { groupId }]) {
      const answer = await add({ ...target, ...NIGHT })
      expect(answer.statusCode).toBe(201)
      expect(answer.json()).toEqual({
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        routerId: router.id,
        deviceId: null,
        groupId: null,
        ...target,
        ...NIGHT,
        enabled: true,
        createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      })
      expect((await find(answer.json().id)).json()).toEqual(answer.json())
    }
    for (const target of [{}, { deviceId, groupId }])
      expectProblem(await add({ ...target, ...NIGHT }), 400, 'invalid-request')
  })

  it('changes field by field, and goes', async () => {
    const { deviceId } = await home()
    let kept = (await add({ deviceId, ...NIGHT, enabled: false })).json()
    expect(kept.enabled).toBe(false)
    const changes = {
      kind: 'allowed-only-during',
      days: ['sat', 'tue'],
      start: '00:00',
      end: '23:59',
      enabled: true,
    }
    for (const [field, value] of Object.entries(changes)) {
      const answer = await change(kept.id, { [field]: value })
      expect(answer.statusCode, field).toBe(200)
      expect(answer.json()).toEqual({ ...kept, [field]: value })
      kept = (await find(kept.id)).json()
      expect(kept).toEqual(answer.json())
    }
    const gone = await remove(kept.id)
    expect([gone.statusCode, gone.body]).toEqual([204, ''])
    for (const answer of [
      await find(kept.id),
      await change(kept.id, { enabled: false }),
      await remove(kept.id),
    ])
      expectProblem(answer, 404, 'not-found')
  })

  it.each([
    ['kind', ['blocked', '', null]],
    ['days', [[], ['mon', 'mon'], ['Mon'], ['monday'], [...DAYS, 'mon'], 'mon', null]],
    ['start', ['24:00', '7:00', '07:60', '07:00:00', '0700', '', 700, null]],
    ['end', ['24:00', ' 7:00', '-1:00', '07:00Z', null]],
    ['enabled', ['true', 1, null]],
  ])('takes no other %s, and says so by name', async (field, refused) => {
    const { deviceId } = await home()
    const { id } = (await add({ deviceId, ...NIGHT })).json()
    for (const value of refused) {
      for (const answer of [
        await add({ deviceId, ...NIGHT, [field]: value }),
        await change(id, { [field]: value }),
      ]) {
        const { errors = [] } = expectProblem(answer, 400, 'invalid-request')
        const [path] = errors.map((error) => error.path)
        expect(path, JSON.stringify(value)).toMatch(new RegExp(`^/body/${field}(/\\d)?$`))
      }
    }
    for (const body of [{}, { deviceId }]) expectProblem(await change(id, body), 400, 'invalid-request')
  })

  it('goes with its device, its group and its router', async () => {
    const { router, deviceId, groupId } = await home()
    const [own, groups, other] = await Promise.all(
      [{ deviceId }, { groupId }, { deviceId: await addDevice(router) }].map((target) =>
        add({ ...target, ...NIGHT }),
      ),
    )
    await override(deviceId, { decision: 'allow', until: '2100-01-01T00:00:00Z' })
    await ada.call('DELETE', `/api/devices/${deviceId}`)
    await rowsOf('delete from user_device_groups where id = $1', [groupId])
    expect((await find(own?.json().id)).statusCode).toBe(404)
    expect((await find(groups?.json().id)).statusCode).toBe(404)
    expect(await rowsOf('select from user_schedule_overrides where device_id = $1', [deviceId])).toEqual([])
    expect((await find(other?.json().id)).statusCode).toBe(200)
    await ada.call('DELETE', `/api/routers/${router.id}`)
    expect((await find(other?.json().id)).statusCode).toBe(404)
  })

  it('wakes the agents of its router when it comes, changes and goes, once each', async () => {
    const { router, deviceId } = await home()
    let id = ''
    const steps = [
      async () => (id = (await add({ deviceId, ...NIGHT })).json().id),
      () => change(id, { enabled: false }),
      () => remove(id),
    ]
    for (const step of steps) expect(await wakeUpsOf(router.id, step)).toBe(1)
    const refused = async () => [await add({ deviceId: randomUUID(), ...NIGHT }), await remove(id)]
    expect(await wakeUpsOf(router.id, refused)).toBe(0)
  })
})

describe('the list of schedules', () => {
  it('is found by router, device and group, in the order asked for, page by page', async () => {
    const owner = await world.person()
    const [first, second] = [await home(owner), await home(owner)]
    const ids: string[] = []
    for (const [target, start, end, kind] of [
      [{ deviceId: first.deviceId }, '21:00', '06:00', 'blocked-during'],
      [{ groupId: first.groupId }, '08:00', '12:00', 'allowed-only-during'],
      [{ deviceId: second.deviceId }, '12:30', '09:00', 'blocked-during'],
    ] as const)
      ids.push((await add({ ...target, ...NIGHT, start, end, kind }, owner)).json().id)
    const found = async (query: Record<string, string>) =>
      (await list(query, owner)).items.map(({ id }: { id: string }) => ids.indexOf(id))
    expect(await found({})).toEqual([0, 1, 2])
    expect(await found({ sort: '-createdAt' })).toEqual([2, 1, 0])
    expect(await found({ sort: 'start' })).toEqual([1, 2, 0])
    expect(await found({ sort: '-end' })).toEqual([1, 2, 0])
    expect((await found({ sort: 'kind' }))[0]).toBe(1)
    expect(await found({ routerId: first.router.id })).toEqual([0, 1])
    expect(await found({ deviceId: first.deviceId })).toEqual([0])
    expect(await found({ groupId: first.groupId })).toEqual([1])
    expect(await found({ groupId: first.groupId, deviceId: first.deviceId })).toEqual([])
    expect(await list({ limit: '1', offset: '1' }, owner)).toMatchObject({
      items: [{ id: ids[1] }],
      total: 3,
      limit: 1,
      offset: 1,
    })
    expect(await list({ offset: '5' }, owner)).toMatchObject({ items: [], total: 3 })
    expectProblem(
      await owner.call('GET', '/api/schedules', { query: { sort: 'days' } }),
      400,
      'invalid-request',
    )
  })
})

describe('the schedules of a device or a group', () => {
  const fill = (
    { router, deviceId, groupId }: Awaited<ReturnType<typeof home>>,
    column: 'device' | 'group',
    count: number,
  ) =>
    rowsOf(
      `insert into user_schedules (user_id, router_id, ${column}_id, schedule_kind, days, start_time, end_time)
        select $1, $2, $3, 'blocked-during', '{mon}', '21:00', '07:00' from generate_series(1, $4)`,
      [router.owner.id, router.id, column === 'device' ? deviceId : groupId, count],
    )

  it.each(['device', 'group'] as const)(
    'are 50 of a %s at most, also when many come at once',
    async (column) => {
      const place = await home()
      const target = column === 'device' ? { deviceId: place.deviceId } : { groupId: place.groupId }
      await fill(place, column, 47)
      const answers = await Promise.all(Array.from({ length: 8 }, () => add({ ...target, ...NIGHT })))
      expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([
        201, 201, 201, 409, 409, 409, 409, 409,
      ])
      expectProblem(await add({ ...target, ...NIGHT }), 409, 'conflict')
      expect((await list({ routerId: place.router.id })).total).toBe(50)
      const other = column === 'device' ? { groupId: place.groupId } : { deviceId: place.deviceId }
      expect((await add({ ...other, ...NIGHT })).statusCode).toBe(201)
    },
  )
})

describe('somebody else’s schedules and overrides', () => {
  it('do not exist: each answer is that for an id that nobody has, T30', async () => {
    const { router, deviceId, groupId } = await home()
    const { id } = (await add({ deviceId, ...NIGHT })).json()
    await override(deviceId, { decision: 'allow', until: '2100-01-01T00:00:00Z' })
    const asks: ((id: string) => ReturnType<typeof add>)[] = [
      (other) => find(other, bob),
      (other) => change(other, { enabled: false }, bob),
      (other) => remove(other, bob),
    ]
    const deviceAsks: typeof asks = [
      (other) => add({ deviceId: other, ...NIGHT }, bob),
      (other) => override(other, { decision: 'allow' }, bob),
      (other) => override(other, { decision: 'allow', until: '2100-01-01T00:00:00Z' }, bob),
      (other) => overrideOf(other, bob),
      (other) => bob.call('DELETE', `/api/devices/${other}/override`),
    ]
    const cases = [
      ...asks.map((ask) => [ask, id] as const),
      ...deviceAsks.map((ask) => [ask, deviceId] as const),
    ]
    for (const [ask, theirs] of [
      ...cases,
      [(other: string) => add({ groupId: other, ...NIGHT }, bob), groupId] as const,
    ]) {
      const answer = await ask(theirs)
      expectProblem(answer, 404, 'not-found')
      expect(comparable(answer)).toEqual(comparable(await ask(randomUUID())))
    }
    for (const query of [{}, { routerId: router.id }, { deviceId }, { groupId }] as Record<string, string>[])
      expect(await list(query, bob)).toMatchObject({ items: [], total: 0 })
    expect((await find(id)).json()).toMatchObject({ enabled: true })
    expect((await overrideOf(deviceId)).statusCode).toBe(200)
    expect(await list({ routerId: router.id })).toMatchObject({ total: 1 })
  })

  it('cannot be an agent’s to change', async () => {
    const { router, deviceId } = await home()
    for (const answer of [
      await router.call('POST', '/api/schedules', { body: { deviceId, ...NIGHT } }),
      await router.call('POST', `/api/devices/${deviceId}/override`, { body: { decision: 'allow' } }),
    ])
      expectProblem(answer, 401, 'unauthenticated')
  })
})

describe('a device that was merged', () => {
  it('does not exist, and its schedules and overrides are those of the device that it ended in', async () => {
    const { router, deviceId: first } = await home()
    const [second, third] = [await addDevice(router), await addDevice(router)]
    const { id } = (await add({ deviceId: first, ...NIGHT })).json()
    await override(first, { decision: 'block', until: '2100-01-01T00:00:00Z' })
    await merge(first, second)
    await merge(second, third)
    for (const gone of [first, second]) {
      for (const answer of [
        await add({ deviceId: gone, ...NIGHT }),
        await override(gone, { decision: 'allow', until: '2100-01-01T00:00:00Z' }),
        await overrideOf(gone),
        await ada.call('DELETE', `/api/devices/${gone}/override`),
      ])
        expectProblem(answer, 404, 'not-found')
    }
    expect((await find(id)).json()).toMatchObject({ deviceId: third })
    expect(await list({ deviceId: third })).toMatchObject({ items: [{ id }], total: 1 })
    expect(await list({ deviceId: first })).toMatchObject({ total: 0 })
    expect((await change(id, { enabled: false })).json()).toMatchObject({ deviceId: third, enabled: false })
    expect((await overrideOf(third)).json()).toMatchObject({ deviceId: third, decision: 'block' })
    expect((await override(third, { decision: 'allow', until: '2100-01-01T00:00:00Z' })).statusCode).toBe(201)
    expect(
      await rowsOf('select from user_schedule_overrides where router_id = $1', [router.id]),
    ).toHaveLength(1)
  })

  it.each([
    ['schedule', (deviceId: string) => add({ deviceId, ...NIGHT })],
    [
      'override',
      (deviceId: string) => override(deviceId, { decision: 'allow', until: '2100-01-01T00:00:00Z' }),
    ],
  ])('gets no %s that was on its way while it was merged', async (_what, ask) => {
    const { router, deviceId } = await home()
    const survivor = await addDevice(router)
    const answer = await changedWhileWaiting(router.id, () => ask(deviceId), [
      'update user_devices set merged_into = $2 where id = $1',
      [deviceId, survivor],
    ])
    expectProblem(answer, 404, 'not-found')
  })
})

describe('an override', () => {
  it('is until a time, takes the place of the one before, and ends early', async () => {
    const { router, deviceId } = await home()
    const until = '2100-01-01T12:00:00.500Z'
    const first = await override(deviceId, { decision: 'allow', until: '2100-01-01T14:00:00.5+02:00' })
    expect(first.statusCode).toBe(201)
    expect(first.json()).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      deviceId,
      decision: 'allow',
      until,
      createdAt: expect.stringMatching(/Z$/),
    })
    expect((await overrideOf(deviceId)).json()).toEqual(first.json())
    const second = await override(deviceId, { decision: 'block', until: '2099-01-01T00:00:00Z' })
    expect((await overrideOf(deviceId)).json()).toEqual(second.json())
    expect(await rowsOf('select id from user_schedule_overrides where router_id = $1', [router.id])).toEqual([
      { id: second.json().id },
    ])
    const end = () => ada.call('DELETE', `/api/devices/${deviceId}/override`)
    const ended = await end()
    expect([ended.statusCode, ended.body]).toEqual([204, ''])
    for (const answer of [await overrideOf(deviceId), await end()]) expectProblem(answer, 404, 'not-found')
  })

  it('is the only one of its device, also when several come at once', async () => {
    const { router, deviceId } = await home()
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        override(deviceId, { decision: 'allow', until: `210${index}-01-01T00:00:00Z` }),
      ),
    )
    expect(answers.map(({ statusCode }) => statusCode)).toEqual(Array(6).fill(201))
    expect(
      await rowsOf('select from user_schedule_overrides where router_id = $1', [router.id]),
    ).toHaveLength(1)
  })

  it('is over by itself when its time has come', async () => {
    const { deviceId } = await home()
    await override(deviceId, { decision: 'allow', until: '2100-01-01T00:00:00Z' })
    await rowsOf(
      "update user_schedule_overrides set until = now() - interval '1 second' where device_id = $1",
      [deviceId],
    )
    expectProblem(await overrideOf(deviceId), 404, 'not-found')
    expectProblem(await ada.call('DELETE', `/api/devices/${deviceId}/override`), 404, 'not-found')
    expect((await override(deviceId, { decision: 'block', until: '2100-01-01T00:00:00Z' })).statusCode).toBe(
      201,
    )
    expect(await rowsOf('select from user_schedule_overrides where device_id = $1', [deviceId])).toHaveLength(
      1,
    )
  })

  it.each([
    ['decision', ['limit', '', null, undefined]],
    [
      'until',
      [
        '2020-01-01T00:00:00Z',
        '2100-01-01',
        '2100-01-01T00:00:00',
        'next',
        '',
        '2100-02-30T00:00:00Z',
        '2099-12-31T23:59:60Z',
        4_102_444_800,
        null,
      ],
    ],
  ])('takes no other %s, and says so by name', async (field, refused) => {
    const { deviceId } = await home()
    for (const value of refused) {
      const answer = await override(deviceId, {
        decision: 'allow',
        until: '2100-01-01T00:00:00Z',
        [field]: value,
      })
      const { errors = [] } = expectProblem(answer, 400, 'invalid-request')
      const [path] = errors.map((error) => error.path)
      expect(path, JSON.stringify(value)).toBe(`/body/${field}`)
    }
    expectProblem(await overrideOf(deviceId), 404, 'not-found')
  })

  it('wakes the agents of the router when it comes and when it is ended, once each', async () => {
    const { router, deviceId } = await home()
    const steps = [
      () => override(deviceId, { decision: 'allow', until: '2100-01-01T00:00:00Z' }),
      () => override(deviceId, { decision: 'block', until: '2100-01-01T00:00:00Z' }),
      () => ada.call('DELETE', `/api/devices/${deviceId}/override`),
    ]
    for (const step of steps) expect(await wakeUpsOf(router.id, step)).toBe(1)
    expect(await wakeUpsOf(router.id, () => override(deviceId, { decision: 'allow' }))).toBe(0)
  })
})

describe('an override until the next change', () => {
  /**
   * So many hours from now in Kolkata, which is 5.5 hours ahead all year: the moment, and what the clock
   * there shows.
   */
  const inHours = (hours: number) => {
    const moment = new Date(Math.floor((Date.now() + hours * HOUR) / MINUTE) * MINUTE)
    return {
      moment: moment.toISOString(),
      clock: new Date(moment.getTime() + 5.5 * HOUR).toISOString().slice(11, 16),
    }
  }
  const daily = (from: { clock: string }, to: { clock: string }) => ({
    ...NIGHT,
    days: DAYS,
    start: from.clock,
    end: to.clock,
  })
  const inKolkata = () => home(ada, { timeZone: 'Asia/Kolkata' })

  it.each([
    ['starts', 2, 5, 2],
    ['ends', -3, 4, 4],
  ])('ends when a window of the device %s, in the zone of its router', async (_what, from, to, expected) => {
    const { deviceId } = await inKolkata()
    await add({ deviceId, ...daily(inHours(from), inHours(to)) })
    for (const body of [{ decision: 'allow' }, { decision: 'block', until: 'next-change' }])
      expect((await override(deviceId, body)).json()).toMatchObject({
        ...{ decision: body.decision },
        until: inHours(expected).moment,
      })
  })

  it('ends with the first of the windows of the device and its group, and heeds none that is disabled or of another', async () => {
    const { router, deviceId, groupId } = await inKolkata()
    const other = await addDevice(router)
    await add({ deviceId, ...daily(inHours(6), inHours(9)) })
    await add({ groupId, ...daily(inHours(-1), inHours(5)) })
    await add({ groupId, ...daily(inHours(2), inHours(3)), enabled: false })
    await add({ groupId: await addGroup(router), ...daily(inHours(2), inHours(3)) })
    await add({ deviceId: other, ...daily(inHours(2), inHours(3)) })
    expect((await override(deviceId, { decision: 'allow' })).json()).toMatchObject({
      until: inHours(5).moment,
    })
    await ada.call('PATCH', `/api/devices/${deviceId}`, { body: { groupId: null } })
    expect((await override(deviceId, { decision: 'allow' })).json()).toMatchObject({
      until: inHours(6).moment,
    })
  })

  it('heeds the windows of what was merged into the device', async () => {
    const { router, deviceId } = await inKolkata()
    const survivor = await addDevice(router)
    await add({ deviceId, ...daily(inHours(2), inHours(3)) })
    await merge(deviceId, survivor)
    expect((await override(survivor, { decision: 'allow' })).json()).toMatchObject({
      until: inHours(2).moment,
    })
  })

  it('is refused when nothing changes within eight days, and the earlier one stays', async () => {
    const { deviceId } = await inKolkata()
    const earlier = (await override(deviceId, { decision: 'block', until: '2100-01-01T00:00:00Z' })).json()
    const always = { ...NIGHT, days: DAYS, start: '07:00', end: '07:00' }
    for (const schedule of [undefined, { ...NIGHT, enabled: false }, always]) {
      if (schedule) await add({ deviceId, ...schedule })
      const { errors } = expectProblem(
        await override(deviceId, { decision: 'allow', until: 'next-change' }),
        400,
        'invalid-request',
      )
      expect(errors).toEqual([
        { path: '/body/until', code: 'not-permitted', message: expect.stringMatching(/within 8 days/) },
      ])
    }
    expect((await overrideOf(deviceId)).json()).toEqual(earlier)
  })
})
