/**
 * Requests that name ids, made for every operation of the OpenAPI document: ids of a person's rows, and ids
 * without a row.
 */
import { randomUUID } from 'node:crypto'
import { type Operation, sampleOf, urlOf } from './operations.ts'
import { type Answer, newMac, type Person } from './world.ts'

/** The ids that a request may name: those of one router and of its rows. */
export type Ids = Record<
  'routerId' | 'keyId' | 'deviceId' | 'otherId' | 'groupId' | 'mac' | 'otherMac' | 'id' | 'key',
  string
>

/** Ids without a row. */
export const nobodys = (): Ids => {
  const [routerId = '', keyId = '', deviceId = '', otherId = '', groupId = '', id = ''] = Array.from(
    { length: 6 },
    () => randomUUID(),
  )
  return { routerId, keyId, deviceId, otherId, groupId, mac: newMac(), otherMac: newMac(), id, key: 'theme' }
}

/**
 * A new router with two devices, and the target that an operation's path names. It is new each time, because
 * the owner's own request may delete it.
 */
export async function ownedBy(owner: Person, { path, operationId }: Operation): Promise<Ids> {
  const router = await owner.router()
  const [mac, otherMac] = [newMac(), newMac()]
  // A device appears as another disappears, under the same name: that may be the same device.
  await router.scan([{ mac, hostname: 'tablet' }], { takenAt: new Date(Date.now() - 60_000).toISOString() })
  await router.scan([{ mac: otherMac, hostname: 'tablet' }])
  const idOf = (wanted: string, devices: Record<string, unknown>[]) =>
    String(devices.find(({ macs }) => (macs as string[]).includes(wanted))?.id)
  const devices = await router.devices()
  const [deviceId, otherId, routerId] = [idOf(mac, devices), idOf(otherMac, devices), router.id]
  const make = async (method: 'POST' | 'PUT', url: string, body: object) => {
    const answer = await owner.call(method, url, { body })
    if (answer.statusCode > 299)
      throw new Error(`${method} ${url} answered ${answer.statusCode}: ${answer.body}`)
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
      await make('POST', '/api/schedules', {
        deviceId,
        kind: 'blocked-during',
        days: ['mon'],
        start: '21:00',
        end: '07:00',
      })
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
      make('POST', '/api/schedules', {
        deviceId,
        kind: 'blocked-during',
        days: ['mon'],
        start: '21:00',
        end: '07:00',
      }),
    '/api/settings': () => make('PUT', `/api/settings/theme?routerId=${routerId}`, { value: 'dark' }),
  }
  const keyId = path.startsWith('/api/users/keys')
    ? await make('POST', '/api/users/keys', { scopes: ['devices:read'], password: owner.password })
    : router.keyId
  const [, about] = Object.entries(made).find(([prefix]) => path.startsWith(prefix)) ?? []
  const groupId =
    operationId === 'changeDevice' ? await make('POST', '/api/groups', { routerId, name: 'kids' }) : routerId
  return {
    routerId,
    keyId,
    deviceId,
    otherId,
    groupId,
    mac,
    otherMac,
    id: String(await about?.()),
    key: 'theme',
  }
}

/**
 * Bodies that name ids, or that a schema alone does not make sensible; any other body is made from its
 * schema.
 */
export const BODIES: Record<string, (ids: Ids) => object> = {
  'PATCH /api/devices': ({ deviceId }) => ({ changes: [{ id: deviceId, mine: true }] }),
  'PATCH /api/devices/{id}': ({ groupId }) => ({ groupId }),
  'POST /api/devices/{id}/merge': ({ otherId }) => ({ from: [otherId] }),
  'POST /api/devices/{id}/split': ({ otherMac }) => ({ macs: [otherMac] }),
  'POST /api/whitelist': ({ otherId }) => ({ deviceId: otherId }),
  'POST /api/blacklist': ({ routerId, otherMac }) => ({ routerId, mac: otherMac }),
  'POST /api/whitelist/bulk': ({ id, otherId }) => ({ add: [{ deviceId: otherId }], remove: [id] }),
  'POST /api/blacklist/bulk': ({ id, routerId, otherMac }) => ({
    add: [{ routerId, mac: otherMac }],
    remove: [id],
  }),
  'POST /api/blocks': ({ otherId }) => ({ deviceId: otherId }),
  'POST /api/blocks/reset': ({ routerId }) => ({ routerId }),
  'POST /api/groups': ({ routerId }) => ({ routerId, name: 'guests' }),
  'POST /api/groups/{id}/devices': ({ deviceId }) => ({ add: [deviceId] }),
  'POST /api/schedules': ({ deviceId }) => ({
    deviceId,
    kind: 'blocked-during',
    days: ['mon'],
    start: '21:00',
    end: '07:00',
  }),
  'POST /api/routers/{id}/policy/preview': ({ deviceId }) => ({ change: { blocks: [{ deviceId }] } }),
}

/** Names of operations are compared without the slash that may end a path. */
export const nameOf = ({ name }: Operation) => name.replace(/\/$/, '')

/**
 * Requests an operation with these ids, as the caller of `call`. `fields` replace or extend the fields of the
 * generated body.
 */
export function ask(call: Person['call'], operation: Operation, ids: Ids, fields?: object): Promise<Answer> {
  const given = operation.parameters.filter(({ in: part, name }) => part === 'query' && name === 'routerId')
  const query = Object.fromEntries(given.map(({ name }) => [name, ids.routerId]))
  const made =
    BODIES[nameOf(operation)]?.(ids) ?? (operation.body && sampleOf(operation.body, { lean: true }))
  const body = fields && made !== undefined ? { ...(made as object), ...fields } : made
  return call(operation.method, urlOf(operation, ids), { query, ...(body !== undefined && { body }) })
}

/** Manufacturers are reference data: they have no owner, and every caller sees the same. */
export const namesAnId = (operation: Operation) =>
  (operation.path.includes('{') && !operation.path.startsWith('/api/manufacturers/')) ||
  nameOf(operation) in BODIES ||
  operation.parameters.some(({ name }) => name === 'routerId')

/** Which of the ids a request for the operation names. */
export function placesNamed(operation: Operation): (keyof Ids)[] {
  const named = new Set<keyof Ids>()
  const watched = new Proxy(nobodys(), {
    get: (ids, place: keyof Ids) => {
      named.add(place)
      return ids[place]
    },
  })
  void ask(async () => ({}) as Answer, operation, watched)
  return [...named].filter((place) => place !== 'key')
}
