/** Every list by `limit` and `offset`: its pages are the list, and each says how much there is. */
import { beforeAll, expect, it } from 'vitest'
import { listOperations, type Operation, urlOf } from '../support/operations.ts'
import { newMac, type Person, type Router, sharedWorld, type World } from '../support/world.ts'

let world: World
let lists: Operation[]
let admin: Person
let router: Router
/** Three of everything, of one person. */
beforeAll(async () => {
  world = await sharedWorld()
  lists = (await listOperations(world)).filter(({ parameters }) =>
    parameters.some(({ name }) => name === 'offset'),
  )
  const ada = await world.person()
  admin = await world.administrator()
  const make = async (url: string, body: object, method: 'POST' | 'PUT' = 'POST') => {
    const answer = await ada.call(method, url, { body })
    expect([200, 201], answer.body).toContain(answer.statusCode)
  }
  router = await ada.router()
  const routerId = router.id
  const macs = [newMac(), newMac(), newMac()]
  await router.scan(macs)
  const ids = (await router.devices()).map(({ id }) => id)
  await ada.call('PATCH', `/api/routers/${routerId}`, { body: { newDevices: 'hold' } })
  await router.scan([newMac(), newMac(), newMac()])
  for (const [index, mac] of macs.entries()) {
    await make('/api/whitelist', { routerId, mac: newMac() })
    await make('/api/blacklist', { routerId, mac })
    await make('/api/blocks', { deviceId: ids[index] })
    await make('/api/groups', { routerId, name: `Group ${index}` })
    const night = { kind: 'blocked-during', days: ['mon'], start: '21:00', end: '07:00' }
    await make('/api/schedules', { deviceId: ids[index], ...night })
    await make(`/api/settings/theme-${index}`, { value: index }, 'PUT')
    await make('/api/users/keys', { scopes: ['devices:read'], password: ada.password })
    await world.send('POST', '/api/auth/login', { body: { email: ada.email, password: ada.password } })
    if (index > 0) await ada.router()
  }
  await make(`/api/routers/${routerId}/keys`, {})
})

it('is every list of the API document', () => {
  expect(lists.length).toBeGreaterThan(14)
})

it('shows on its pages what is in it, in one order, and counts all of it on each, also past the end', async () => {
  for (const operation of lists) {
    const { door, path, parameters, name } = operation
    const call = { person: router.owner.call, admin: admin.call, agent: router.call, anyone: world.send }[
      door
    ]
    const page = async (limit: number, offset: number) => {
      const optional = parameters.some((each) => each.name === 'userId') ? { userId: router.owner.id } : {}
      const search = path.endsWith('/admin/users') ? { search: router.owner.email } : {}
      const answer = await call('GET', urlOf(operation, { id: router.id }), {
        query: { ...optional, ...search, limit: String(limit), offset: String(offset) },
      })
      expect(answer.statusCode, `${name}: ${answer.body}`).toBe(200)
      return answer.json()
    }
    const all = await page(200, 0)
    expect(all, name).toMatchObject({ total: all.items.length, limit: 200, offset: 0 })
    expect(all.items.length, name).toBeGreaterThan(path.endsWith('/admin/users') ? 0 : 1)
    const shown: unknown[] = []
    for (const offset of all.items.keys()) {
      const { items, ...rest } = await page(1, offset)
      expect(rest, name).toEqual({ total: all.total, limit: 1, offset })
      shown.push(...items)
    }
    expect(shown, name).toEqual(all.items)
    for (const item of all.items) expect(Object.keys(item), name).not.toContain('total')
    for (const offset of [all.total, all.total + 7])
      expect(await page(2, offset), name).toEqual({ items: [], total: all.total, limit: 2, offset })
  }
})
