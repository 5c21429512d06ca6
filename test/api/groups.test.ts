/** Groups of devices: who is in them, names, rates, and that they are their owner's alone. */
import { randomUUID } from 'node:crypto'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { comparable, expectProblem } from '../support/problems.ts'
import { wakeUpsOf } from '../support/wake-ups.ts'
import { newMac, type Person, type Router, rowsOf, sharedWorld, type World } from '../support/world.ts'

let world: World
let ada: Person
let home: Router
beforeAll(async () => {
  world = await sharedWorld()
})
beforeEach(async () => {
  ada = await world.person()
  home = await ada.router()
})

const add = (fields: Record<string, unknown> = {}, person = ada) =>
  person.call('POST', '/api/groups', { body: { routerId: home.id, name: 'kids', ...fields } })
const addGroup = async (fields: Record<string, unknown> = {}): Promise<string> =>
  (await add(fields)).json().id
const find = (id: string, person = ada) => person.call('GET', `/api/groups/${id}`)
const change = (id: string, body: object, person = ada) => person.call('PATCH', `/api/groups/${id}`, { body })
const remove = (id: string, person = ada) => person.call('DELETE', `/api/groups/${id}`)
const move = (id: string, body: object, person = ada) =>
  person.call('POST', `/api/groups/${id}/devices`, { body })
const list = async (query: Record<string, string> = {}, person = ada) =>
  (await person.call('GET', '/api/groups', { query })).json()

/** So many new devices of a router. */
async function devicesOf(router: Router, count: number): Promise<string[]> {
  await router.scan(Array.from({ length: count }, () => newMac()))
  return (await router.devices()).map(({ id }) => String(id))
}
const membersOf = async (group: string) =>
  (await ada.call('GET', '/api/devices', { query: { groupId: group } }))
    .json()
    .items.map(({ id }: { id: string }) => id)
    .sort()

describe('a group', () => {
  it('is made with a name on a router, and has no rate and no devices', async () => {
    const answer = await add()
    expect(answer.statusCode).toBe(201)
    expect(answer.json()).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      routerId: home.id,
      name: 'kids',
      rate: null,
      deviceCount: 0,
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    })
    expect((await find(answer.json().id)).json()).toEqual(answer.json())
  })

  it('changes its name and its rate, one without the other', async () => {
    const made = (await add({ rate: '1.5mbit' })).json()
    expect(made.rate).toBe(1_500)
    expect((await change(made.id, { name: 'Kinder 🧒' })).json()).toEqual({ ...made, name: 'Kinder 🧒' })
    expect((await change(made.id, { rate: 64 })).json()).toEqual({ ...made, name: 'Kinder 🧒', rate: 64 })
    expect((await change(made.id, { rate: null })).json()).toMatchObject({ rate: null })
    expect((await find(made.id)).json()).toMatchObject({ name: 'Kinder 🧒', rate: null })
  })

  it.each([
    ['name', ['', 'x'.repeat(101), null, 5, 'a\0']],
    ['rate', [0, -1, 1.5, 2_000_000_001, '0kbit', '3000gbit', '50', 'fast', '', true]],
  ])('takes no other %s, and says so by name', async (field, refused) => {
    const id = await addGroup()
    for (const value of refused) {
      for (const answer of [
        await add({ name: 'guests', [field]: value }),
        await change(id, { [field]: value }),
      ]) {
        const { errors = [] } = expectProblem(answer, 400, 'invalid-request')
        expect(new Set(errors.map(({ path }) => path)), JSON.stringify(value)).toEqual(
          new Set([`/body/${field}`]),
        )
      }
    }
    expectProblem(await change(id, {}), 400, 'invalid-request')
    expectProblem(await change(id, { routerId: home.id }), 400, 'invalid-request')
    expect((await list()).total).toBe(1)
  })

  it('has a name that no other group of the router has, also when many are made at once', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => add()))
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([201, ...Array(9).fill(409)])
    for (const answer of answers.filter(({ statusCode }) => statusCode === 409))
      expectProblem(answer, 409, 'conflict')
    const id = await addGroup({ name: 'guests' })
    expectProblem(await change(id, { name: 'kids' }), 409, 'conflict')
    expect((await change(id, { name: 'guests', rate: 1 })).statusCode).toBe(200)
    expect((await add({ routerId: (await ada.router()).id })).statusCode).toBe(201)
  })

  it('lets its devices fall back to none when it goes, and takes its pauses along', async () => {
    const [id, other] = [await addGroup(), await addGroup({ name: 'guests' })]
    const [first = '', second = '', third = ''] = await devicesOf(home, 3)
    await move(id, { add: [first, second] })
    await move(other, { add: [third] })
    await ada.call('POST', '/api/blocks', { body: { groupId: id, minutes: 5 } })
    const answer = await remove(id)
    expect([answer.statusCode, answer.body]).toEqual([204, ''])
    expectProblem(await find(id), 404, 'not-found')
    expectProblem(await remove(id), 404, 'not-found')
    const groups = (await home.devices()).map((device) => [device.id, device.groupId])
    expect(Object.fromEntries(groups)).toEqual({ [first]: null, [second]: null, [third]: other })
    expect((await ada.call('GET', '/api/blocks')).json().items).toEqual([])
  })

  it('goes whatever enters it at the same moment', async () => {
    const devices = await devicesOf(home, 10)
    for (let round = 0; round < 5; round += 1) {
      const id = await addGroup({ name: `round ${round}` })
      const [removed, ...entered] = await Promise.all([
        remove(id),
        ...devices.map((device) => ada.call('PATCH', `/api/devices/${device}`, { body: { groupId: id } })),
      ])
      expect(removed?.statusCode).toBe(204)
      for (const { statusCode } of entered) expect([200, 404]).toContain(statusCode)
      expect(new Set((await home.devices()).map(({ groupId }) => groupId))).toEqual(new Set([null]))
    }
  })
})

describe('moving devices', () => {
  it('brings them in and takes them out in one step, out of other groups too, and counts what changed', async () => {
    const [kids, guests] = [await addGroup(), await addGroup({ name: 'guests' })]
    const [first = '', second = '', third = ''] = await devicesOf(home, 3)
    expect((await move(kids, { add: [first, second] })).json()).toEqual({ added: 2, removed: 0 })
    expect((await move(guests, { add: [second, third], remove: [first] })).json()).toEqual({
      added: 2,
      removed: 0,
    })
    expect(await membersOf(kids)).toEqual([first])
    expect((await move(kids, { add: [first, third, third.toUpperCase()], remove: [] })).json()).toEqual({
      added: 1,
      removed: 0,
    })
    expect((await move(kids, { add: [second], remove: [first, third] })).json()).toEqual({
      added: 1,
      removed: 2,
    })
    expect(await membersOf(kids)).toEqual([second])
    expect(await membersOf(guests)).toEqual([])
    expect((await find(kids)).json().deviceCount).toBe(1)
    expect((await move(kids, { add: [] })).json()).toEqual({ added: 0, removed: 0 })
  })

  it('is all or nothing: a device of another router, of another person, of nobody, or merged into another is 404', async () => {
    const id = await addGroup()
    const [mine = '', stays = '', merged = ''] = await devicesOf(home, 3)
    await move(id, { add: [stays] })
    await rowsOf('update user_devices set merged_into = $2 where id = $1', [merged, stays])
    const [elsewhere = ''] = await devicesOf(await ada.router(), 1)
    const [bobs = ''] = await devicesOf(await (await world.person()).router(), 1)
    for (const stranger of [elsewhere, bobs, merged, randomUUID()]) {
      for (const body of [
        { add: [mine, stranger], remove: [stays] },
        { add: [mine], remove: [stays, stranger] },
      ]) {
        const answer = await move(id, body)
        expectProblem(answer, 404, 'not-found')
        const field = body.add.includes(stranger) ? 'add' : 'remove'
        expect(comparable(answer)).toEqual(comparable(await move(id, { [field]: [randomUUID()] })))
      }
    }
    expect(await membersOf(id)).toEqual([stays])
  })

  it('is not both ways for one device, and names up to a thousand', async () => {
    const id = await addGroup()
    const [device = ''] = await devicesOf(home, 1)
    for (const body of [
      { add: [device], remove: [device.toUpperCase()] },
      {},
      { add: [7] },
      { add: device },
      { deviceIds: [device] },
      { add: Array(1_001).fill(device) },
    ])
      expectProblem(await move(id, body), 400, 'invalid-request')
    expect(await membersOf(id)).toEqual([])
  })

  it('leaves a device in one group however many take it at once', async () => {
    const groups = await Promise.all(Array.from({ length: 8 }, (_, n) => addGroup({ name: `group ${n}` })))
    const devices = await devicesOf(home, 5)
    const answers = await Promise.all(groups.map((id) => move(id, { add: devices })))
    expect(answers.map((answer) => [answer.statusCode, answer.json().added])).toEqual(
      groups.map(() => [200, 5]),
    )
    expect(
      (await list()).items.map(({ deviceCount }: { deviceCount: number }) => deviceCount).sort(),
    ).toEqual([0, 0, 0, 0, 0, 0, 0, 5])
  })
})

describe('waiting agents', () => {
  it('are told once of each change that can matter to them, and of no refusal', async () => {
    const id = await addGroup()
    const [device = ''] = await devicesOf(home, 1)
    expect(await wakeUpsOf(home.id, () => move(id, { add: [device] }))).toBe(1)
    expect(await wakeUpsOf(home.id, () => change(id, { rate: 100 }))).toBe(1)
    expect(await wakeUpsOf(home.id, () => move(id, { add: [randomUUID()] }))).toBe(0)
    expect(await wakeUpsOf(home.id, () => remove(id))).toBe(1)
    expect(await wakeUpsOf(home.id, () => remove(id))).toBe(0)
  })
})

describe('the list of groups', () => {
  it('is of all routers or of one, sorted, searched and in pages', async () => {
    const office = await ada.router()
    for (const name of ['things', 'Kids', 'guests 100%']) await add({ name })
    await add({ routerId: office.id, name: 'staff' })
    const names = async (query: Record<string, string>) =>
      (await list(query)).items.map(({ name }: { name: string }) => name)
    expect(await names({})).toEqual(['guests 100%', 'Kids', 'staff', 'things'])
    expect(await names({ sort: '-name' })).toEqual(['things', 'staff', 'Kids', 'guests 100%'])
    expect(await names({ sort: 'createdAt' })).toEqual(['things', 'Kids', 'guests 100%', 'staff'])
    expect(await names({ routerId: home.id })).toEqual(['guests 100%', 'Kids', 'things'])
    expect(await names({ search: 'S' })).toHaveLength(4)
    expect(await names({ search: '%' })).toEqual(['guests 100%'])
    expect(await list({ limit: '1', offset: '1' })).toMatchObject({
      items: [{ name: 'Kids' }],
      total: 4,
      limit: 1,
      offset: 1,
    })
    expect(Object.keys((await list({ limit: '1' })).items[0])).toEqual([
      'id',
      'routerId',
      'name',
      'rate',
      'deviceCount',
      'createdAt',
    ])
    expect(await list({ offset: '9' })).toEqual({ items: [], total: 4, limit: 50, offset: 9 })
    for (const query of [{ limit: '0' }, { sort: 'rate' }, { routerId: '7' }, { search: '' }])
      expectProblem(
        await ada.call('GET', '/api/groups', { query: query as Record<string, string> }),
        400,
        'invalid-request',
      )
  })
})

describe('somebody else’s group', () => {
  it('does not exist: every verb answers as for an id that nobody has', async () => {
    const bob = await world.person()
    const id = await addGroup()
    const asks = [
      (target: string) => find(target, bob),
      (target: string) => change(target, { name: 'bob' }, bob),
      (target: string) => move(target, { add: [] }, bob),
      (target: string) => remove(target, bob),
    ]
    for (const ask of asks) {
      const foreign = await ask(id)
      expectProblem(foreign, 404, 'not-found')
      expect(comparable(foreign)).toEqual(comparable(await ask(randomUUID())))
      expectProblem(await ask('7'), 400, 'invalid-request')
    }
    const onForeignRouter = await add({}, bob)
    expectProblem(onForeignRouter, 404, 'not-found')
    expect(comparable(onForeignRouter)).toEqual(comparable(await add({ routerId: randomUUID() }, bob)))
    expect(await list({}, bob)).toEqual({ items: [], total: 0, limit: 50, offset: 0 })
    expect(await list({ routerId: home.id }, bob)).toEqual({ items: [], total: 0, limit: 50, offset: 0 })
    expect((await find(id)).json()).toMatchObject({ name: 'kids' })
  })
})
