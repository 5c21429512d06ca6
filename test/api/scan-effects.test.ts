/** The effects of scans through HTTP: each once, in any order of arrival, on the devices of one router. */
import { createRequire } from 'node:module'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { expectProblem } from '../support/problems.ts'
import { counts, countsOf, minutesAgo, onlyDevice, postScan, seenBy } from '../support/scans.ts'
import { recordStatements } from '../support/statements.ts'
import {
  type Answer,
  newMac,
  openServer,
  type Person,
  type Router,
  rowsOf,
  sharedWorld,
  type World,
  worldOf,
} from '../support/world.ts'

let world: World
let ada: Person
beforeAll(async () => {
  world = await sharedWorld()
  ada = await world.person()
})

describe('the same scan', () => {
  it('five times at once has one effect and one answer, then and ever after', async () => {
    const router = await ada.router()
    const scan = {
      scanId: 'boot-1',
      takenAt: minutesAgo(1),
      devices: [{ mac: newMac('b8'), ip: '192.0.2.7' }, { mac: 'x' }],
    }
    const answers = await Promise.all(Array.from({ length: 5 }, () => postScan(router, scan)))
    expect(countsOf(answers[0] as Answer)).toEqual(counts(1, 0, 0, 1))
    await router.scan([{ mac: scan.devices[0]?.mac ?? '', ip: '192.0.2.8' }, newMac()])
    answers.push(await postScan(router, scan))
    expect(new Set(answers.map(({ statusCode, body }) => `${statusCode} ${body}`)).size).toBe(1)
    expect((await seenBy(router)).join()).toMatch('192.0.2.8')
    expect(await rowsOf('select from user_scans where router_id = $1', [router.id])).toHaveLength(2)
  })

  it('with another body is a conflict without effect; another router may use the id', async () => {
    const [router, other] = await Promise.all([ada.router(), ada.router()])
    const mac = newMac()
    await router.scan([mac], { scanId: 'boot-1' })
    expectProblem(await router.scan([mac, newMac()], { scanId: 'boot-1' }), 409, 'scan-conflict')
    expectProblem(await router.scan([{ mac, ip: '192.0.2.7' }], { scanId: 'boot-1' }), 409, 'scan-conflict')
    expect(await seenBy(router)).toEqual([mac])
    expect((await other.scan([{ mac, ip: '192.0.2.7' }], { scanId: 'boot-1' })).statusCode).toBe(200)
  })

  it('is forgotten after SCAN_RETENTION_DAYS, soon after a start, also when its router stopped posting', async () => {
    const [router, silent] = await Promise.all([ada.router(), ada.router()])
    for (const { id, scan } of [router, silent]) {
      for (const [scanId, interval] of [
        ['kept', '2 days 23 hours'],
        ['forgotten', '3 days 1 minute'],
      ] as const) {
        await scan([newMac()], { scanId })
        const age =
          'update user_scans set received_at = now() - $3::interval where router_id = $1 and scan_id = $2'
        await rowsOf(age, [id, scanId, interval])
      }
    }
    const server = await openServer({}, undefined, { firstPurgeAfterMs: 0 })
    onTestFinished(server.close)
    const remembered = () =>
      rowsOf('select scan_id as id from user_scans where router_id = any($1::uuid[]) order by 1', [
        [router.id, silent.id],
      ])
    await expect.poll(remembered, { timeout: 10_000 }).toEqual([{ id: 'kept' }, { id: 'kept' }])
  })
})

describe('the time of a scan', () => {
  const mac = 'b8:27:eb:00:00:01'

  it('decides: an older scan moves neither address nor host name nor last sight back, nor does it undo a newer one', async () => {
    const router = await ada.router()
    const [newer, older] = [minutesAgo(1), minutesAgo(10)]
    await router.scan([{ mac, ip: '192.0.2.7', hostname: 'new' }], { takenAt: newer })
    const before = await onlyDevice(router)
    const late = await router.scan([{ mac, ips: ['192.0.2.8', 'fd00::8'], hostname: 'old' }], {
      takenAt: older,
    })
    expect(countsOf(late)).toEqual(counts(0, 0, 1))
    expect(await onlyDevice(router)).toEqual(before)
    expect(before).toMatchObject({ ips: ['192.0.2.7'], hostname: 'new', firstSeen: newer, lastSeen: newer })
    await router.scan([{ mac: 'b8:27:eb:00:00:02', ip: '192.0.2.7' }], { takenAt: older })
    expect(await seenBy(router)).toEqual([`${mac} 192.0.2.7 new`, 'b8:27:eb:00:00:02'])
  })

  it('is the time of arrival when it is more than five minutes ahead', async () => {
    const router = await ada.router()
    const ahead = minutesAgo(-4)
    await router.scan([mac], { takenAt: ahead })
    expect((await onlyDevice(router)).lastSeen).toBe(ahead)
    const other = await ada.router()
    const clock = async () => Date.parse((await other.call('GET', '/api/agent/verify')).json().serverTime)
    const before = await clock()
    await other.scan([mac], { takenAt: minutesAgo(-10) })
    const { lastSeen, firstSeen } = await onlyDevice(other)
    expect(Date.parse(String(lastSeen))).toBeGreaterThanOrEqual(before)
    expect(Date.parse(String(lastSeen))).toBeLessThanOrEqual(await clock())
    expect(firstSeen).toBe(lastSeen)
  })

  it('says who is online: who is missing from a scan is not offline before fifteen minutes', async () => {
    const router = await ada.router()
    await router.scan([mac, 'b8:27:eb:00:00:02'])
    await router.scan([mac])
    const online = async () => (await router.devices()).map((device) => device.online)
    expect(await online()).toEqual([true, true])
    const age = (interval: string) =>
      rowsOf('update user_devices set last_seen = now() - $2::interval where router_id = $1', [
        router.id,
        interval,
      ])
    await age('14 minutes 50 seconds')
    expect(await online()).toEqual([true, true])
    await age('15 minutes')
    expect(await online()).toEqual([false, false])
  })
})

describe('a device', () => {
  it('gives its address to who has it now', async () => {
    const router = await ada.router()
    const [one, other] = ['b8:27:eb:00:00:01', 'b8:27:eb:00:00:02']
    await router.scan([
      { mac: one, ip: '192.0.2.7' },
      { mac: other, ip: '192.0.2.8' },
    ])
    expect(countsOf(await router.scan([{ mac: other, ip: '192.0.2.7' }]))).toEqual(counts(0, 1, 0))
    expect(await seenBy(router)).toEqual([one, `${other} 192.0.2.7`])
  })

  it('that is known by address goes on under its name when its MAC is told, with a manufacturer', async () => {
    const router = await ada.router()
    await router.scan([
      { mac: 'dc:a6:32:00:00:01', ip: '192.0.2.8' },
      { ip: '192.0.2.7', hostname: 'tv' },
      { ip: '192.0.2.9' },
    ])
    const [known] = (await router.devices()).filter(({ ips }) => (ips as string[]).includes('192.0.2.7'))
    expect(known).toMatchObject({ macs: [], manufacturer: null, randomMac: false })
    await ada.call('PATCH', `/api/devices/${known?.id}`, { body: { name: 'Television', mine: true } })
    const answer = await router.scan([
      { mac: 'dc:a6:32:00:00:01', ip: '192.0.2.7' },
      { mac: 'b8:27:eb:00:00:02', ip: '192.0.2.9' },
    ])
    expect(countsOf(answer)).toEqual(counts(0, 2, 0))
    const devices = await router.devices()
    expect(devices.map(({ macs, name, manufacturer }) => [macs, name, manufacturer]).sort()).toEqual([
      [['b8:27:eb:00:00:02'], null, 'Raspberry Pi Foundation'],
      [['dc:a6:32:00:00:01'], 'Television', 'Raspberry Pi Trading Ltd'],
    ])
    expect(devices.find(({ name }) => name)).toMatchObject({
      id: known?.id,
      hostname: 'tv',
      ips: ['192.0.2.7'],
      mine: true,
    })
  })

  it('that is known by address brings all MACs of the device along that it becomes one with', async () => {
    const router = await ada.router()
    const [one, other] = ['b8:27:eb:00:00:01', 'b8:27:eb:00:00:02']
    await router.scan([one, other, { ip: '192.0.2.7' }])
    const idOf = async (mac?: string) =>
      (await router.devices()).find(({ macs }) => (macs as string[])[0] === mac)?.id
    await ada.call('POST', `/api/devices/${await idOf(one)}/merge`, { body: { from: [await idOf(other)] } })
    await ada.call('PATCH', `/api/devices/${await idOf()}`, { body: { name: 'Television' } })
    await router.scan([{ mac: one, ip: '192.0.2.7' }])
    expect(await onlyDevice(router)).toMatchObject({
      name: 'Television',
      macs: [one, other],
      ips: ['192.0.2.7'],
    })
  })

  it('is not the router itself, under none of its addresses', async () => {
    const router = await ada.router({ ip: '192.0.2.1' })
    const answer = await router.scan([
      { mac: 'b8:27:eb:00:00:01', ips: ['fe80::1'] },
      { mac: 'b8:27:eb:00:00:01', ip: '192.0.2.1', hostname: 'router' },
      { ip: '192.0.2.1' },
      { mac: 'b8:27:eb:00:00:02', ip: '192.0.2.2' },
    ])
    expect(await seenBy(router)).toEqual(['b8:27:eb:00:00:02 192.0.2.2'])
    expect(countsOf(answer)).toEqual(counts(1, 0, 0, 3))
    expect(answer.json().errors[0]).toEqual({ source: 0, line: null, reason: 'own-interface' })
  })

  it('has the manufacturer of the longest prefix, and none when its MAC is locally administered', async () => {
    const registry: Record<string, string> = createRequire(import.meta.url)('oui-data')
    const organisation = (prefix: string) => registry[prefix]?.split('\n')[0]?.trim()
    const longer = (length: number) => {
      const isOf = (prefix: string) =>
        prefix.length === length && !(Number.parseInt(prefix.slice(0, 2), 16) & 3)
      return (
        Object.keys(registry).find(
          (prefix) => isOf(prefix) && organisation(prefix) !== organisation(prefix.slice(0, 6)),
        ) ?? ''
      )
    }
    const [of28, of36] = [longer(7), longer(9)]
    const expected: Record<string, string | undefined | null> = {
      [of36.padEnd(12, '0')]: organisation(of36),
      [of28.padEnd(12, '0')]: organisation(of28),
      B827EB123456: organisation('B827EB'),
      '02608C000001': null, // assigned, and locally administered by its bit
      '06B827EB0001': null,
      '00FFFFFFFFFE': organisation('00FFFF') ?? null,
    }
    const router = await ada.router()
    await router.scan(Object.keys(expected))
    const found = await router.devices()
    const isLocal = (mac: string) => (Number.parseInt(mac.slice(0, 2), 16) & 2) !== 0
    const facts = found.map(({ macs, manufacturer, randomMac }) => [
      String(macs).replaceAll(':', '').toUpperCase(),
      manufacturer,
      randomMac,
    ])
    expect(facts.sort()).toEqual(
      Object.entries(expected)
        .map(([mac, name]) => [mac, name, isLocal(mac)])
        .sort(),
    )
    expect(organisation(of36)).not.toBe(organisation(of36.slice(0, 6)))
  })

  it.each([
    ['hold', 'held'],
    ['allow', 'approved'],
  ])('that is new to a router with newDevices %s is %s, and stays so', async (newDevices, approval) => {
    const router = await ada.router({ newDevices })
    for (const ip of ['192.0.2.7', '192.0.2.8']) await router.scan([{ mac: 'b8:27:eb:00:00:01', ip }])
    expect(await rowsOf('select approval from user_devices where router_id = $1', [router.id])).toEqual([
      { approval },
    ])
  })

  it('is out of reach for the agent of another router, of the same owner or not', async () => {
    const mac = 'b8:27:eb:00:00:01'
    const bob = await world.person()
    const [mine, second, foreign] = (await Promise.all([ada.router(), ada.router(), bob.router()])) as [
      Router,
      Router,
      Router,
    ]
    for (const router of [mine, second, foreign])
      await router.scan([{ mac, ip: '192.0.2.7' }], { takenAt: minutesAgo(1) })
    const before = await Promise.all([second.devices(), foreign.devices()])
    expect(
      countsOf(
        await mine.scan([
          { mac, ip: '192.0.2.8', hostname: 'x' },
          { mac: newMac(), ip: '192.0.2.7' },
        ]),
      ),
    ).toEqual(counts(1, 1, 0))
    expect(await Promise.all([second.devices(), foreign.devices()])).toEqual(before)
  })
})

describe('an agent', () => {
  it('is told its router, its scopes and the time; only reporting makes the router seen', async () => {
    const router = await ada.router({ name: 'Loft' })
    const shown = async () => {
      const { status, lastSeen } = (await ada.call('GET', `/api/routers/${router.id}`)).json()
      return { status, lastSeen }
    }
    const verified = (await router.call('GET', '/api/agent/verify')).json()
    expect(verified).toMatchObject({
      routerId: router.id,
      routerName: 'Loft',
      scopes: ['scans:write', 'policy:read'],
    })
    expect(Math.abs(Date.parse(verified.serverTime) - Date.now())).toBeLessThan(60_000)
    expect(await shown()).toEqual({ status: 'never-seen', lastSeen: null })
    const { serverTime } = (await router.call('POST', '/api/agent/heartbeat', { body: {} })).json()
    expect(await shown()).toEqual({ status: 'online', lastSeen: serverTime })
    await rowsOf(`update user_routers set last_seen = now() - interval '15 minutes' where id = $1`, [
      router.id,
    ])
    expect(await shown()).toMatchObject({ status: 'offline' })
    await router.scan([], { takenAt: '2026-01-01T00:00:00Z' })
    expect(await shown()).toMatchObject({ status: 'online' })
    expectProblem(
      await router.call('POST', '/api/agent/heartbeat', { body: { at: 'now' } }),
      400,
      'invalid-request',
    )
  })

  it('is told the same policy revision by heartbeats and scans until the outcome changes', async () => {
    const router = await ada.router()
    const mac = 'b8:27:eb:00:00:01'
    const heartbeat = async () =>
      (await router.call('POST', '/api/agent/heartbeat', { body: {} })).json().policyRevision
    const scanned = async (...entries: Parameters<Router['scan']>[0]) =>
      (await router.scan(entries)).json().policyRevision
    const empty = await heartbeat()
    const revision = await scanned({ mac, ip: '192.0.2.7' })
    expect(revision).toMatch(/^[\w-]{16,}$/)
    expect(revision).not.toBe(empty)
    const { id } = await onlyDevice(router)
    await ada.call('PATCH', `/api/devices/${id}`, { body: { name: 'tv', mine: true } })
    const moved = { mac, ip: '192.0.2.8', hostname: 'x' }
    const same = [
      await heartbeat(),
      await scanned({ mac, ip: '192.0.2.7' }),
      await scanned(moved),
      await heartbeat(),
    ]
    expect(same).toEqual([revision, revision, revision, revision])
    expect(await scanned(newMac())).not.toBe(revision)
    expect(await heartbeat()).toBe(await scanned())
  })
})

describe('a scan of five thousand devices', () => {
  it('takes as many statements as one of five', async () => {
    const server = await openServer({ DATABASE_POOL_SIZE: '1' })
    onTestFinished(server.close)
    const sent = recordStatements(server.pools.server)
    const router = await (await worldOf(server).person()).router()
    const rest = (index: number) => [index >> 8, index & 255]
    const entries = (length: number) =>
      Array.from({ length }, (_, index) => ({
        mac: `b827eb00${rest(index)
          .map((octet) => octet.toString(16).padStart(2, '0'))
          .join('')}`,
        ips: [`10.0.${rest(index).join('.')}`, `fd00::${(index + 1).toString(16)}`],
      }))
    const cost = async (length: number, offset = 0) => {
      sent.length = 0
      const answer = await router.scan(entries(length + offset).slice(offset))
      return { statements: sent.length, ...countsOf(answer) }
    }
    const [few, fewAgain] = [await cost(5), await cost(5)]
    expect(few.statements).toBeLessThanOrEqual(24)
    expect(await cost(5_000, 5)).toEqual({ statements: few.statements, ...counts(5_000, 0, 0) })
    // From the sixth time on PostgreSQL may plan a statement for any values, which must not make it one for
    // few.
    for (let time = 1; time <= 7; time += 1)
      expect(await cost(5_005)).toEqual({ statements: fewAgain.statements, ...counts(0, 0, 5_005) })
  })
})
