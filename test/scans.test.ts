/** Scans through HTTP: what routers print becomes devices, once, whatever the order in which it arrives. */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { makeApiKey } from '../src/auth/api-keys.ts'
import { expectProblem } from './support/problems.ts'
import { type Answer, newMac, openServer, type Person, type Router, rowsOf, sharedWorld, type World, worldOf } from './support/world.ts'

let world: World
let ada: Person
beforeAll(async () => {
  world = await sharedWorld()
  ada = await world.person()
})

const sample = (name: string) => readFileSync(join(import.meta.dirname, 'samples', name), 'utf8')
const post = (router: Router, body: object) => router.call('POST', '/api/agent/scans', { body })
const postSources = (router: Router, ...sources: { format: string; content: unknown }[]) =>
  post(router, { scanId: randomUUID(), takenAt: new Date().toISOString(), sources })
const postRaw = (router: Router, body: string, query: Record<string, string>) =>
  router.call('POST', '/api/agent/scans', { body, query, headers: { 'content-type': 'text/plain' } })

const MINUTE = 60_000
const at = (ms: number) => new Date(Date.now() + ms).toISOString()
const ids = (answer: Answer, ...keys: string[]) => Object.fromEntries(keys.map((key) => [key, answer.json()[key]]))
const countsOf = (answer: Answer) => ids(answer, 'created', 'updated', 'unchanged', 'skipped', 'total')
const counts = (created: number, updated: number, unchanged: number, skipped = 0) => ({
  ...{ created, updated, unchanged, skipped },
  total: created + updated + unchanged,
})
/** Devices as `macs addresses host name`, sorted. */
const seenBy = async (router: Router) =>
  (await router.devices())
    .map(({ macs, ips, hostname }) => [(macs as string[]).join(), (ips as string[]).join(), hostname ?? ''].join(' ').trim())
    .sort()
const onlyDevice = async (router: Router) => {
  const [device, ...others] = await router.devices()
  expect(others).toEqual([])
  return device ?? expect.fail('there is no device')
}

const NEIGHBOURS = [
  '0a:00:27:8f:4e:1d 192.168.56.1,fe80::800:27ff:fe8f:4e1d',
  '20:a6:0c:86:6d:64 fe80::22a6:cff:fe86:6d64',
  '52:54:00:6d:32:d6 10.0.2.1',
  '98:3b:8f:4b:60:3d fe80::bfca:28ed:f368:6cbc',
  'bc:0f:9a:b6:bc:eb 192.168.0.1',
]
const ARP_SCAN = [
  '00:26:bb:34:c5:2f 192.168.1.148',
  '20:aa:4b:d4:e5:f5 192.168.1.1',
  '90:18:7c:cf:b5:62 192.168.1.120',
  'a8:fa:d8:31:11:6b 192.168.1.103',
  'e4:ce:8f:1a:c3:43 192.168.1.118',
]
const HINTS = [
  '00:15:5d:96:66:c3 192.168.1.1,fe80::215:5dff:fe96:66c3',
  '00:15:5d:ab:9c:5c 172.17.68.202,fe80::215:5dff:feab:9c5c',
  '00:15:5d:ec:1e:a2 172.17.64.1',
]
const STATIONS = '{"freq":2412,"clients":{"02:00:5e:10:00:01":{"auth":true,"assoc":true,"authorized":true}}}'
const LEASES = '{"device":{"br-lan":{"leases":[{"mac":"02005e100001","hostname":"tv","valid":-1,"address":"192.0.2.7","flags":[]}]}}}'

describe('each format', () => {
  it.each([
    ['dnsmasq-leases', sample('dhcp.leases'), ['e8:6a:64:89:6c:bc 192.168.1.136 FRIDAY']],
    ['ip-neigh', sample('ip-neigh.txt'), NEIGHBOURS],
    ['ip-neigh-json', sample('ip-j-neigh.json'), NEIGHBOURS],
    [
      'proc-net-arp',
      sample('proc-net-arp.txt'),
      ['0a:00:27:8f:4e:1d 192.168.56.1', '52:54:00:6d:32:d6 10.0.2.1', 'bc:0f:9a:b6:bc:eb 192.168.0.1'],
    ],
    ['arp-scan', sample('arp-scan.txt'), ARP_SCAN],
    ['luci-host-hints', sample('luci-rpc-getHostHints.json'), HINTS],
    ['luci-dhcp-leases', sample('luci-rpc-getDHCPLeases.json'), []],
    ['hostapd-clients', STATIONS, ['02:00:5e:10:00:01']],
    ['odhcpd-leases', LEASES, ['02:00:5e:10:00:01 192.0.2.7 tv']],
  ])('%s is read from a source and from a raw body alike', async (format, content, expected) => {
    const routers = await Promise.all([ada.router(), ada.router(), ada.router()])
    const [text, raw, json] = routers as [Router, Router, Router]
    const answers = [await postSources(text, { format, content }), await postRaw(raw, content, { format })]
    if (/^\s*[[{]/.test(content)) answers.push(await postSources(json, { format, content: JSON.parse(content) }))
    for (const answer of answers) expect(countsOf(answer)).toEqual(counts(expected.length, 0, 0))
    for (const router of routers.slice(0, answers.length)) expect(await seenBy(router)).toEqual(expected)
  })

  it.each([
    [
      'dnsmasq-leases',
      '1 x\n0 02:00:5e:10:00:01 192.0.2.7 tv *\n\n5 33:33:00:00:00:01 192.0.2.9 x *\nduid 00\n6 7 fd00::2 h 0',
      '1 malformed',
      '4 group-address',
    ],
    ['ip-neigh', '192.0.2.7 dev br0 lladdr 02:00:5e:10:00:01 STALE\n192.0.2.8 dev br0 FAILED\r\n?', '2 incomplete', '3 malformed'],
    ['proc-net-arp', 'IP address HW\n192.0.2.8 0x1 0x0 00:00:00:00:00:00 * br0\n192.0.2.7 0x1 0x2 02:00:5e:10:00:01 * br0', '2 incomplete'],
    ['arp-scan', 'WARNING: x\n192.0.2.7 02:00:5e:10:00:01 (Unknown), Inc\n192.0.2.8 ff:ff:ff:ff:ff:ff x', '3 broadcast-address'],
    ['ip-neigh-json', '[{"dst":"192.0.2.7","lladdr":"02:00:5e:10:00:01","state":["STALE"]},{"dst":"x"}]', 'null malformed'],
    ['hostapd-clients', '{"clients":{"02:00:5e:10:00:01":{},"02:00:5e:10:00:02":{"authorized":false}}}', 'null unauthorized'],
    ['luci-host-hints', '{"02:00:5E:10:00:01":{"ipaddrs":["192.0.2.7"]},"01:00:5E:00:00:FB":{}}', 'null group-address'],
    ['odhcpd-leases', LEASES.replace('[{', '[{"mac":"0","address":"192.0.2.9"},{'), 'null malformed'],
  ])('%s keeps the good entry beside bad ones and names the bad by source and line', async (format, content, ...errors) => {
    const router = await ada.router()
    const answer = await postSources(router, { format: 'arp-scan', content: '192.0.2.99 02:00:5e:10:00:99 x' }, { format, content })
    expect(countsOf(answer)).toEqual(counts(2, 0, 0, errors.length))
    const told: { source: number; line: number | null; reason: string }[] = answer.json().errors
    expect(told.map(({ source, line, reason }) => `${source}: ${line} ${reason}`)).toEqual(errors.map((error) => `1: ${error}`))
    expect((await seenBy(router))[0]).toMatch(/^02:00:5e:10:00:01/)
  })
})

describe('a scan', () => {
  it('is one whole of all its sources, merged by MAC and address', async () => {
    const router = await ada.router()
    const answer = await postSources(
      router,
      { format: 'hostapd-clients', content: STATIONS },
      { format: 'dnsmasq-leases', content: '0 02:00:5E:10:00:01 192.0.2.7 tv *' },
      {
        format: 'ip-neigh',
        content: 'fd00::7 dev br-lan lladdr 02:00:5e:10:00:01 STALE\n192.0.2.8 dev br-lan lladdr 02:00:5e:10:00:02 STALE',
      },
      { format: 'luci-host-hints', content: { '02-00-5E-10-00-02': { name: 'phone.lan' } } },
    )
    expect(countsOf(answer)).toEqual(counts(2, 0, 0))
    expect(await seenBy(router)).toEqual(['02:00:5e:10:00:01 192.0.2.7,fd00::7 tv', '02:00:5e:10:00:02 192.0.2.8 phone.lan'])
    expect(countsOf(await router.scan([{ ip: '192.0.2.7' }, { mac: '0200.5e10.0001', hostname: 'tv' }]))).toEqual(counts(0, 0, 1))
  })

  it('takes what makes sense of an entry, and skips one without a device by its reason', async () => {
    const router = await ada.router()
    const answer = await router.scan([
      { mac: 'b8-27-eb-00-00-01', ip: '192.0.2.7', ips: ['192.0.2.7', 'FE80::1%br-lan', 'x', '224.0.0.1'], hostname: ' tv. ' },
      { mac: 'b827.eb00.0002', ip: null, hostname: 'a\u0000b' },
      ...[{ mac: 'router' }, { mac: '' }, { mac: '00:00:00:00:00:00' }, { mac: '01:00:5e:00:00:01' }, { mac: '00:00:5e:00:53' }],
      ...[{}, { hostname: 'x' }, { ip: 'x' }, { ip: '0.0.0.0' }, { mac: 'x', ip: '192.0.2.9' }],
    ])
    expect(countsOf(answer)).toEqual(counts(2, 0, 0, 10))
    const reasons = answer.json().errors.map(({ reason }: { reason: string }) => reason)
    const refused = ['malformed', 'malformed', 'zero-address', 'group-address', 'malformed']
    expect(reasons).toEqual([...refused, 'no-address', 'no-address', 'malformed', 'unusable-address', 'malformed'])
    expect(await seenBy(router)).toEqual(['b8:27:eb:00:00:01 192.0.2.7,fe80::1 tv', 'b8:27:eb:00:00:02'])
  })

  it('may see nothing', async () => {
    const router = await ada.router()
    expect(countsOf(await router.scan([]))).toEqual(counts(0, 0, 0))
    expect(countsOf(await postSources(router, { format: 'ip-neigh', content: '' }))).toEqual(counts(0, 0, 0))
  })

  it.each([
    ['no form', {}],
    ['two forms', { devices: [], sources: [{ format: 'ip-neigh', content: '' }] }],
    ['no source', { sources: [] }],
    ['an unknown format', { sources: [{ format: 'nmap', content: '' }] }],
    ['an unknown field', { devices: [{ mac: '00:00:5e:00:53:01', vendor: 'x' }] }],
    ['devices that are no list', { devices: { mac: '00:00:5e:00:53:01' } }],
    ['a device that is no object', { devices: ['00:00:5e:00:53:01'] }],
    ['a MAC that is a number', { devices: [{ mac: 5 }] }],
    ['addresses that are no list', { devices: [{ ips: '192.0.2.7' }] }],
    ['a host name that is a list', { devices: [{ mac: '00:00:5e:00:53:01', hostname: ['x'] }] }],
    ['a time that is a number', { devices: [], takenAt: 5 }],
    ['a day that is none', { devices: [], takenAt: '2026-02-30T00:00:00Z' }],
    ['an empty id', { devices: [], scanId: '' }],
    ['an id that cannot be stored', { devices: [], scanId: 'a\u0000b' }],
  ])('of %s is refused, and to those without a live key with 401', async (_what, fields) => {
    const router = await ada.router()
    const body = { scanId: randomUUID(), takenAt: at(0), ...fields }
    expectProblem(await post(router, body), 400, 'invalid-request')
    expect(await router.devices()).toEqual([])
    expectProblem(await post(world.routerOf(ada, router.id, makeApiKey('agent', ada.id).key, ''), body), 401, 'unauthenticated')
  })

  it('of ten thousand entries is accepted; of more, and of more than a megabyte, it is 413', async () => {
    const router = await ada.router()
    const entries = (length: number) => Array.from({ length }, () => ({}))
    expect(countsOf(await router.scan(entries(10_000)))).toEqual(counts(0, 0, 0, 10_000))
    expectProblem(await router.scan(entries(10_001)), 413, 'too-large')
    expectProblem(await postRaw(router, 'x\n'.repeat(10_001), { format: 'ip-neigh' }), 413, 'too-large')
    expectProblem(await postRaw(router, ' '.repeat(1_048_577), { format: 'ip-neigh' }), 413, 'too-large')
    expect(countsOf(await postRaw(router, ' '.repeat(1_048_576), { format: 'ip-neigh' }))).toEqual(counts(0, 0, 0))
  })

  it('takes the same few statements for five devices and for five thousand', async () => {
    const server = await openServer({ DATABASE_POOL_SIZE: '1' })
    onTestFinished(server.close)
    let statements = 0
    server.pools.server.on('connect', (client) => {
      const { query } = client
      client.query = (...args: unknown[]) => {
        statements += 1
        return Reflect.apply(query, client, args)
      }
    })
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
      statements = 0
      const answer = await router.scan(entries(length + offset).slice(offset))
      return { statements, ...countsOf(answer) }
    }
    const [few, fewAgain] = [await cost(5), await cost(5)]
    expect(few.statements).toBeLessThanOrEqual(24)
    expect(await cost(5_000, 5)).toEqual({ statements: few.statements, ...counts(5_000, 0, 0) })
    expect(await cost(5_005)).toEqual({ statements: fewAgain.statements, ...counts(0, 0, 5_005) })
  })
})

describe('the same scan', () => {
  it('five times at once has one effect and one answer, then and ever after', async () => {
    const router = await ada.router()
    const scan = { scanId: 'boot-1', takenAt: at(-MINUTE), devices: [{ mac: newMac('b8'), ip: '192.0.2.7' }, { mac: 'x' }] }
    const answers = await Promise.all(Array.from({ length: 5 }, () => post(router, scan)))
    expect(countsOf(answers[0] as Answer)).toEqual(counts(1, 0, 0, 1))
    await router.scan([{ mac: scan.devices[0]?.mac ?? '', ip: '192.0.2.8' }, newMac()])
    answers.push(await post(router, scan))
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

  it('is forgotten after SCAN_RETENTION_DAYS', async () => {
    const router = await ada.router()
    for (const scanId of ['old', 'older']) await router.scan([newMac()], { scanId })
    const age = (scanId: string, interval: string) =>
      rowsOf('update user_scans set received_at = now() - $3::interval where router_id = $1 and scan_id = $2', [
        router.id,
        scanId,
        interval,
      ])
    await age('old', '29 days 23 hours')
    await age('older', '30 days 1 minute')
    await router.scan([], { scanId: 'new' })
    const kept = await rowsOf<{ id: string }>('select scan_id as id from user_scans where router_id = $1 order by 1', [router.id])
    expect(kept.map(({ id }) => id)).toEqual(['new', 'old'])
  })
})

describe('a raw scan', () => {
  const LEASE = '0 02:00:5e:10:00:01 192.0.2.7 tv *\n'

  it('may bring its id and time; without, each is a scan of its own, taken when it arrives', async () => {
    const router = await ada.router()
    const query = { format: 'dnsmasq-leases', scanId: 'boot-1', takenAt: '2026-01-01T00:00:00Z' }
    const [first, again] = [await postRaw(router, LEASE, query), await postRaw(router, LEASE, query)]
    expect(countsOf(first)).toEqual(counts(1, 0, 0))
    expect(again.body).toBe(first.body)
    expect(await onlyDevice(router)).toMatchObject({ lastSeen: '2026-01-01T00:00:00.000Z', online: false })
    expectProblem(await postRaw(router, `${LEASE}#`, query), 409, 'scan-conflict')
    for (const _ of [1, 2]) expect(countsOf(await postRaw(router, LEASE, { format: 'dnsmasq-leases' }))).toEqual(counts(0, 0, 1))
    expect(await onlyDevice(router)).toMatchObject({ online: true })
  })

  it('names its format, and only a raw one does', async () => {
    const router = await ada.router()
    for (const query of [{}, { format: 'nmap' }, { format: 'ip-neigh', scan: 'x' }, { format: 'ip-neigh', takenAt: 'now' }])
      expectProblem(await postRaw(router, LEASE, query as Record<string, string>), 400, 'invalid-request')
    const body = { scanId: 'x', takenAt: at(0), devices: [] }
    expectProblem(await router.call('POST', '/api/agent/scans', { body, query: { format: 'ip-neigh' } }), 400, 'invalid-request')
  })
})

describe('the time of a scan', () => {
  const mac = 'b8:27:eb:00:00:01'

  it('decides: an older scan moves neither address nor host name nor last sight back, nor does it undo a newer one', async () => {
    const router = await ada.router()
    const [newer, older] = [at(-MINUTE), at(-10 * MINUTE)]
    await router.scan([{ mac, ip: '192.0.2.7', hostname: 'new' }], { takenAt: newer })
    const before = await onlyDevice(router)
    const late = await router.scan([{ mac, ips: ['192.0.2.8', 'fd00::8'], hostname: 'old' }], { takenAt: older })
    expect(countsOf(late)).toEqual(counts(0, 0, 1))
    expect(await onlyDevice(router)).toEqual(before)
    expect(before).toMatchObject({ ips: ['192.0.2.7'], hostname: 'new', firstSeen: newer, lastSeen: newer })
    await router.scan([{ mac: 'b8:27:eb:00:00:02', ip: '192.0.2.7' }], { takenAt: older })
    expect(await seenBy(router)).toEqual([`${mac} 192.0.2.7 new`, 'b8:27:eb:00:00:02'])
  })

  it('is the time of arrival when it is more than five minutes ahead', async () => {
    const router = await ada.router()
    const ahead = at(4 * MINUTE)
    await router.scan([mac], { takenAt: ahead })
    expect((await onlyDevice(router)).lastSeen).toBe(ahead)
    const other = await ada.router()
    const clock = async () => Date.parse((await other.call('GET', '/api/agent/verify')).json().serverTime)
    const before = await clock()
    await other.scan([mac], { takenAt: at(10 * MINUTE) })
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
      rowsOf('update user_devices set last_seen = now() - $2::interval where router_id = $1', [router.id, interval])
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
    await router.scan([{ mac: 'dc:a6:32:00:00:01', ip: '192.0.2.8' }, { ip: '192.0.2.7', hostname: 'tv' }, { ip: '192.0.2.9' }])
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
    expect(devices.find(({ name }) => name)).toMatchObject({ id: known?.id, hostname: 'tv', ips: ['192.0.2.7'], mine: true })
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
      const isOf = (prefix: string) => prefix.length === length && !(Number.parseInt(prefix.slice(0, 2), 16) & 3)
      return Object.keys(registry).find((prefix) => isOf(prefix) && organisation(prefix) !== organisation(prefix.slice(0, 6))) ?? ''
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
    expect(await rowsOf('select approval from user_devices where router_id = $1', [router.id])).toEqual([{ approval }])
  })

  it('is out of reach for the agent of another router, of the same owner or not', async () => {
    const mac = 'b8:27:eb:00:00:01'
    const bob = await world.person()
    const [mine, second, foreign] = (await Promise.all([ada.router(), ada.router(), bob.router()])) as [Router, Router, Router]
    for (const router of [mine, second, foreign]) await router.scan([{ mac, ip: '192.0.2.7' }], { takenAt: at(-MINUTE) })
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
    const shown = async () => ids(await ada.call('GET', `/api/routers/${router.id}`), 'status', 'lastSeen')
    const verified = (await router.call('GET', '/api/agent/verify')).json()
    expect(verified).toMatchObject({ routerId: router.id, routerName: 'Loft', scopes: ['scans:write', 'policy:read'] })
    expect(Math.abs(Date.parse(verified.serverTime) - Date.now())).toBeLessThan(MINUTE)
    expect(await shown()).toEqual({ status: 'never-seen', lastSeen: null })
    const { serverTime } = (await router.call('POST', '/api/agent/heartbeat', { body: {} })).json()
    expect(await shown()).toEqual({ status: 'online', lastSeen: serverTime })
    await rowsOf(`update user_routers set last_seen = now() - interval '15 minutes' where id = $1`, [router.id])
    expect(await shown()).toMatchObject({ status: 'offline' })
    await router.scan([], { takenAt: '2026-01-01T00:00:00Z' })
    expect(await shown()).toMatchObject({ status: 'online' })
    expectProblem(await router.call('POST', '/api/agent/heartbeat', { body: { at: 'now' } }), 400, 'invalid-request')
  })

  it('is told the same policy revision by heartbeats and scans until the outcome changes', async () => {
    const router = await ada.router()
    const mac = 'b8:27:eb:00:00:01'
    const heartbeat = async () => (await router.call('POST', '/api/agent/heartbeat', { body: {} })).json().policyRevision
    const scanned = async (...entries: Parameters<Router['scan']>[0]) => (await router.scan(entries)).json().policyRevision
    const empty = await heartbeat()
    const revision = await scanned({ mac, ip: '192.0.2.7' })
    expect(revision).toMatch(/^[\w-]{16,}$/)
    expect(revision).not.toBe(empty)
    const { id } = await onlyDevice(router)
    await ada.call('PATCH', `/api/devices/${id}`, { body: { name: 'tv', mine: true } })
    const same = [await heartbeat(), await scanned({ mac, ip: '192.0.2.7' }), await scanned({ mac, hostname: 'x' }), await heartbeat()]
    expect(new Set([revision, ...same]).size).toBe(1)
    expect(await scanned(newMac())).not.toBe(revision)
    expect(await heartbeat()).toBe(await scanned())
  })
})
