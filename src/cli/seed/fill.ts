/**
 * Fills an empty account through the public routes. Scans with a `takenAt` in the past create the history, as
 * from an agent that was offline. Blocks and changes happen now.
 */
import type { Api, Credentials } from './api.ts'
import { DAYS, HELD_SINCE_DAYS, isPresent, ROUTERS, type SeedDevice, type SeedRouter } from './house.ts'

type Made = { id: string }
/** `key` is the key of its agent. `idOf` finds the id of a device, `deviceOf` finds it by host name. */
type FilledRouter = {
  id: string
  key: string
  idOf: (device: SeedDevice) => string
  deviceOf: (hostname: string) => string
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** @returns the key of the first router's agent, and a personal key for scripts */
export async function fillAccount(
  api: Api,
  account: { token: string; password: string },
  now: Date,
): Promise<{ agentKey: string; scriptKey: string }> {
  const person = { token: account.token }
  const home = await fillRouter(api, person, ROUTERS.home, now)
  const parents = await fillRouter(api, person, ROUTERS.parents, now)
  const cabin = await fillRouter(api, person, ROUTERS.cabin, now)
  const post = (path: string, body: unknown) => api<Made>(person, 'POST', path, body)

  const kids = await addGroup(api, person, home, 'Kids', null)
  await addGroup(api, person, home, 'Guests', '20mbit')
  await addGroup(api, person, home, 'Smart home', '5mbit')
  const SCHOOL_NIGHTS = ['sun', 'mon', 'tue', 'wed', 'thu']
  await post('/api/schedules', {
    groupId: kids,
    kind: 'blocked-during',
    days: SCHOOL_NIGHTS,
    start: '21:00',
    end: '07:00',
  })
  await post('/api/schedules', {
    deviceId: home.deviceOf('ps5'),
    kind: 'allowed-only-during',
    days: ['fri', 'sat', 'sun'],
    start: '14:00',
    end: '20:00',
  })
  await post(`/api/devices/${home.deviceOf('mia-ipad')}/override`, {
    decision: 'allow',
    until: 'next-change',
  })
  await post('/api/blocks', { deviceId: home.deviceOf('lgwebostv'), minutes: 120, reason: 'Homework first' })
  await post('/api/blocks', {
    deviceId: home.deviceOf('esp-greenhouse'),
    reason: 'Talks to a stranger’s server',
  })

  await api(person, 'PATCH', `/api/routers/${home.id}`, { mode: 'blacklist', fullRate: '250mbit' })
  await post('/api/blacklist', {
    deviceId: home.deviceOf('miele-dishwasher'),
    reason: 'Needs no internet to wash',
  })
  await api(person, 'PATCH', `/api/routers/${cabin.id}`, {
    mode: 'whitelist',
    action: 'limit',
    limitRate: '1mbit',
  })
  for (const hostname of ['netatmo-weather', 'sma-inverter'])
    await post('/api/whitelist', { deviceId: cabin.deviceOf(hostname), description: 'Reports by itself' })

  // Two of the three agents enforce the current policy. The third does not, which shows as drift.
  for (const { key } of [home, cabin]) {
    const { revision } = await api<{ revision: string }>({ key }, 'GET', '/api/agent/policy')
    await api({ key }, 'POST', '/api/agent/policy/applied', { revision })
  }
  await api({ key: parents.key }, 'POST', '/api/agent/heartbeat', {})

  const script = await api<{ key: string }>(person, 'POST', '/api/users/keys', {
    name: 'Home automation',
    scopes: ['routers:read', 'devices:read', 'policy:read', 'blocks:write'],
    password: account.password,
  })
  return { agentKey: home.key, scriptKey: script.key }
}

async function fillRouter(
  api: Api,
  person: Credentials,
  router: SeedRouter,
  now: Date,
): Promise<FilledRouter> {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions()
  const ip = `${router.network}.1`
  const { id } = await api<Made>(person, 'POST', '/api/routers', { name: router.name, ip, timeZone })
  const { key } = await api<{ key: string }>(person, 'POST', `/api/routers/${id}/keys`, { name: 'Agent' })

  let isHolding = false
  for (const takenAt of scanTimes(router, now)) {
    const daysAgo = Math.floor((now.getTime() - takenAt.getTime()) / DAY_MS)
    if (router === ROUTERS.home && daysAgo < HELD_SINCE_DAYS && !isHolding) {
      isHolding = true
      await api(person, 'PATCH', `/api/routers/${id}`, { newDevices: 'hold' })
    }
    const devices = router.devices.flatMap((device, index) =>
      isPresent(device, takenAt, daysAgo)
        ? [{ mac: device.mac, ip: `${router.network}.${20 + index}`, hostname: device.hostname ?? null }]
        : [],
    )
    const scan = { scanId: takenAt.toISOString(), takenAt: takenAt.toISOString(), devices }
    await api({ key }, 'POST', '/api/agent/scans', scan)
  }

  const { items } = await api<{ items: (Made & { macs: string[] })[] }>(
    person,
    'GET',
    `/api/devices?routerId=${id}&limit=100`,
  )
  const idByMac = new Map(items.flatMap((device) => device.macs.map((mac) => [mac, device.id])))
  const idOf = ({ mac }: SeedDevice) => {
    const found = idByMac.get(mac)
    if (!found) throw new Error(`The scans did not add ${mac}.`)
    return found
  }
  const changes = router.devices.flatMap((device) =>
    device.described ? [{ id: idOf(device), ...device.described }] : [],
  )
  await api(person, 'PATCH', '/api/devices', { changes })
  const deviceOf = (hostname: string) => {
    const found = router.devices.find((device) => device.hostname === hostname)
    if (!found) throw new Error(`No device is named ${hostname}.`)
    return idOf(found)
  }
  return { id, key, idOf, deviceOf }
}

/** The times of the scans, from two weeks ago until now, oldest first. */
function scanTimes({ everyHours }: SeedRouter, now: Date): Date[] {
  const scans = (DAYS * 24) / everyHours
  return Array.from(
    { length: scans + 1 },
    (_, index) => new Date(now.getTime() - (scans - index) * everyHours * HOUR_MS),
  )
}

/** Creates a group with its members on the first router. @returns its id */
async function addGroup(
  api: Api,
  person: Credentials,
  home: FilledRouter,
  name: NonNullable<SeedDevice['group']>,
  rate: string | null,
): Promise<string> {
  const { id } = await api<Made>(person, 'POST', '/api/groups', { routerId: home.id, name, rate })
  const members = ROUTERS.home.devices.filter(({ group }) => group === name).map(home.idOf)
  await api(person, 'POST', `/api/groups/${id}/devices`, { add: members })
  return id
}
