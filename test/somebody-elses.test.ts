/** What belongs to somebody else answers like what nobody has, whatever the route (T30): asked of each operation in the OpenAPI document. */
import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { listOperations, type Operation, sampleOf, urlOf } from './support/operations.ts'
import { comparable } from './support/problems.ts'
import { newMac, type Person, rowsOf, sharedWorld } from './support/world.ts'

/** What ids a request may name: one router's, and what it has. */
type Ids = Record<'routerId' | 'keyId' | 'deviceId' | 'otherId' | 'mac' | 'otherMac' | 'id' | 'key', string>

const world = await sharedWorld()

const nobodys = (): Ids => {
  const [routerId, keyId, deviceId, otherId, id] = Array.from({ length: 5 }, () => randomUUID()) as [string, string, string, string, string]
  return { routerId, keyId, deviceId, otherId, mac: newMac(), otherMac: newMac(), id, key: 'theme' }
}

/** A new router with two devices, and what the path of an operation is about: new each time, since the owner's own call may be its end. */
async function ownedBy(owner: Person, { path }: Operation): Promise<Ids> {
  const router = await owner.router()
  const [mac, otherMac] = [newMac(), newMac()]
  // One that comes as the other goes, under the same name: that may be the same device.
  await router.scan([{ mac, hostname: 'tablet' }], { takenAt: new Date(Date.now() - 60_000).toISOString() })
  await router.scan([{ mac: otherMac, hostname: 'tablet' }])
  const idOf = (wanted: string, devices: Record<string, unknown>[]) =>
    String(devices.find(({ macs }) => (macs as string[]).includes(wanted))?.id)
  const devices = await router.devices()
  const [deviceId, otherId, routerId] = [idOf(mac, devices), idOf(otherMac, devices), router.id]
  const make = async (method: 'POST' | 'PUT', url: string, body: object) => {
    const answer = await owner.call(method, url, { body })
    if (answer.statusCode > 299) throw new Error(`${method} ${url} answered ${answer.statusCode}: ${answer.body}`)
    return answer.json().id
  }
  const made: Record<string, () => Promise<string>> = {
    '/api/devices/merges': async () => {
      await make('POST', `/api/devices/${deviceId}/merge`, { from: [otherId] })
      return (await owner.call('GET', '/api/devices/merges', { query: { routerId } })).json().items[0].id
    },
    '/api/devices/{id}/split': async () => {
      await make('POST', `/api/devices/${deviceId}/merge`, { from: [otherId] })
      return deviceId
    },
    '/api/devices/{id}/override': async () => {
      await make('POST', '/api/schedules', { deviceId, kind: 'blocked-during', days: ['mon'], start: '21:00', end: '07:00' })
      await make('POST', `/api/devices/${deviceId}/override`, { decision: 'allow' })
      return deviceId
    },
    '/api/auth/sessions/': async () => (await owner.call('GET', '/api/auth/sessions')).json().items[0].id,
    '/api/devices/': async () => deviceId,
    '/api/routers/': async () => routerId,
    '/api/whitelist': () => make('POST', '/api/whitelist', { deviceId }),
    '/api/blacklist': () => make('POST', '/api/blacklist', { deviceId }),
    '/api/blocks': () => make('POST', '/api/blocks', { deviceId, minutes: 5 }),
    '/api/groups': () => make('POST', '/api/groups', { routerId, name: 'kids' }),
    '/api/schedules': () =>
      make('POST', '/api/schedules', { deviceId, kind: 'blocked-during', days: ['mon'], start: '21:00', end: '07:00' }),
    '/api/settings': () => make('PUT', `/api/settings/theme?routerId=${routerId}`, { value: 'dark' }),
  }
  const keyId = path.startsWith('/api/users/keys') ? await make('POST', '/api/users/keys', { scopes: ['devices:read'] }) : router.keyId
  const [, about] = Object.entries(made).find(([prefix]) => path.startsWith(prefix)) ?? []
  return { routerId, keyId, deviceId, otherId, mac, otherMac, id: String(await about?.()), key: 'theme' }
}

/** Bodies that name ids, or that a schema alone does not make sensible; any other body is made from its schema. */
const BODIES: Record<string, (ids: Ids) => object> = {
  'POST /api/devices/{id}/merge': ({ otherId }) => ({ from: [otherId] }),
  'POST /api/devices/{id}/split': ({ otherMac }) => ({ macs: [otherMac] }),
  'POST /api/whitelist': ({ otherId }) => ({ deviceId: otherId }),
  'POST /api/blacklist': ({ routerId, otherMac }) => ({ routerId, mac: otherMac }),
  'POST /api/whitelist/bulk': ({ id, otherId }) => ({ add: [{ deviceId: otherId }], remove: [id] }),
  'POST /api/blacklist/bulk': ({ id, routerId, otherMac }) => ({ add: [{ routerId, mac: otherMac }], remove: [id] }),
  'POST /api/blocks': ({ otherId }) => ({ deviceId: otherId }),
  'POST /api/blocks/reset': ({ routerId }) => ({ routerId }),
  'POST /api/groups': ({ routerId }) => ({ routerId, name: 'guests' }),
  'POST /api/groups/{id}/devices': ({ deviceId }) => ({ add: [deviceId] }),
  'POST /api/schedules': ({ deviceId }) => ({ deviceId, kind: 'blocked-during', days: ['mon'], start: '21:00', end: '07:00' }),
  'POST /api/routers/{id}/policy/preview': ({ deviceId }) => ({ change: { blocks: [{ deviceId }] } }),
}

/** Operations are compared under their names without the slash that may end a path. */
const nameOf = ({ name }: Operation) => name.replace(/\/$/, '')

function ask(person: Person, operation: Operation, ids: Ids) {
  const given = operation.parameters.filter(({ in: part, name }) => part === 'query' && name === 'routerId')
  const query = Object.fromEntries(given.map(({ name }) => [name, ids.routerId]))
  const body = BODIES[nameOf(operation)]?.(ids) ?? (operation.body && sampleOf(operation.body, { lean: true }))
  return person.call(operation.method, urlOf(operation, ids), { query, ...(body !== undefined && { body }) })
}

const namesAnId = (operation: Operation) =>
  operation.path.includes('{') || nameOf(operation) in BODIES || operation.parameters.some(({ name }) => name === 'routerId')

const asked = (await listOperations(world)).filter((operation) => operation.door === 'person' && namesAnId(operation))

describe.concurrent('what belongs to somebody else', () => {
  it.each(asked.map((operation) => [nameOf(operation), operation] as const))(
    'answers like what nobody has, to the byte, and is there for its owner: %s, T30',
    async (name, operation) => {
      const [ada, bob] = await Promise.all([world.person(), world.person()])
      const ids = await ownedBy(ada, operation)
      const unknown = comparable(await ask(bob, operation, nobodys()))
      expect(comparable(await ask(bob, operation, ids))).toEqual(unknown)
      // Nor does it help to name a router of one's own beside it.
      if (name.includes('{keyId}')) expect(comparable(await ask(bob, operation, { ...ids, id: (await bob.router()).id }))).toEqual(unknown)
      const owners = await ask(ada, operation, ids)
      expect(owners.statusCode, owners.body).toBeLessThan(300)
      expect(comparable(owners)).not.toEqual(unknown)
      // What changed something is on the record of who did it, and of nobody else.
      const recorded = (person: Person) =>
        rowsOf('select from user_audit_log where user_id = $1 and act = $2', [person.id, operation.operationId])
      const isAct = operation.method !== 'GET' && operation.operationId !== 'previewPolicy'
      expect((await recorded(ada)).length).toBeGreaterThanOrEqual(isAct ? 1 : 0)
      // (A bulk answers each entry by itself, and bob made a router of his own.)
      if (!/^(bulk|addRouter)/.test(String(operation.operationId))) expect(await recorded(bob)).toEqual([])
    },
  )

  it('was asked of every route that names an id', () => {
    expect(asked.length).toBeGreaterThan(12)
    expect(Object.keys(BODIES).filter((name) => !asked.some((operation) => nameOf(operation) === name))).toEqual([])
  })
})
