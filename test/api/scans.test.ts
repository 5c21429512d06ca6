/**
 * The forms of a scan through HTTP: what routers print, in every format, becomes devices; what is none is
 * named or refused.
 */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { makeApiKey } from '../../src/auth/api-keys/format.ts'
import { expectProblem } from '../support/problems.ts'
import {
  counts,
  countsOf,
  minutesAgo,
  onlyDevice,
  postRaw,
  postScan,
  postSources,
  seenBy,
} from '../support/scans.ts'
import { recordStatements } from '../support/statements.ts'
import {
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
/** Sees nothing: what is posted to it is refused. */
let quiet: Router
beforeAll(async () => {
  world = await sharedWorld()
  ada = await world.person()
  quiet = await ada.router()
})

const sample = (name: string) => readFileSync(join(import.meta.dirname, '../samples', name), 'utf8')

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
const LEASES =
  '{"device":{"br-lan":{"leases":[{"mac":"02005e100001","hostname":"tv","valid":-1,"address":"192.0.2.7","flags":[]}]}}}'

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
    if (/^\s*[[{]/.test(content))
      answers.push(await postSources(json, { format, content: JSON.parse(content) }))
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
    [
      'ip-neigh',
      '192.0.2.7 dev br0 lladdr 02:00:5e:10:00:01 STALE\n192.0.2.8 dev br0 FAILED\r\n?',
      '2 incomplete',
      '3 malformed',
    ],
    [
      'proc-net-arp',
      'IP address HW\n192.0.2.8 0x1 0x0 00:00:00:00:00:00 * br0\n192.0.2.7 0x1 0x2 02:00:5e:10:00:01 * br0',
      '2 incomplete',
    ],
    [
      'arp-scan',
      'WARNING: x\n192.0.2.7 02:00:5e:10:00:01 (Unknown), Inc\n192.0.2.8 ff:ff:ff:ff:ff:ff x',
      '3 broadcast-address',
    ],
    [
      'ip-neigh-json',
      '[{"dst":"192.0.2.7","lladdr":"02:00:5e:10:00:01","state":["STALE"]},{"dst":"x"}]',
      'null malformed',
    ],
    [
      'hostapd-clients',
      '{"clients":{"02:00:5e:10:00:01":{},"02:00:5e:10:00:02":{"authorized":false}}}',
      'null unauthorized',
    ],
    [
      'luci-host-hints',
      '{"02:00:5E:10:00:01":{"ipaddrs":["192.0.2.7"]},"01:00:5E:00:00:FB":{}}',
      'null group-address',
    ],
    ['odhcpd-leases', LEASES.replace('[{', '[{"mac":"0","address":"192.0.2.9"},{'), 'null malformed'],
  ])(
    '%s keeps the good entry beside bad ones and names the bad by source and line',
    async (format, content, ...errors) => {
      const router = await ada.router()
      const answer = await postSources(
        router,
        { format: 'arp-scan', content: '192.0.2.99 02:00:5e:10:00:99 x' },
        { format, content },
      )
      expect(countsOf(answer)).toEqual(counts(2, 0, 0, errors.length))
      const told: { source: number; line: number | null; reason: string }[] = answer.json().errors
      expect(told.map(({ source, line, reason }) => `${source}: ${line} ${reason}`)).toEqual(
        errors.map((error) => `1: ${error}`),
      )
      expect((await seenBy(router))[0]).toMatch(/^02:00:5e:10:00:01/)
    },
  )
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
        content:
          'fd00::7 dev br-lan lladdr 02:00:5e:10:00:01 STALE\n192.0.2.8 dev br-lan lladdr 02:00:5e:10:00:02 STALE',
      },
      { format: 'luci-host-hints', content: { '02-00-5E-10-00-02': { name: 'phone.lan' } } },
    )
    expect(countsOf(answer)).toEqual(counts(2, 0, 0))
    expect(await seenBy(router)).toEqual([
      '02:00:5e:10:00:01 192.0.2.7,fd00::7 tv',
      '02:00:5e:10:00:02 192.0.2.8 phone.lan',
    ])
    expect(
      countsOf(await router.scan([{ ip: '192.0.2.7' }, { mac: '0200.5e10.0001', hostname: 'tv' }])),
    ).toEqual(counts(0, 0, 1))
  })

  it('takes what makes sense of an entry, and skips one without a device by its reason', async () => {
    const router = await ada.router()
    const answer = await router.scan([
      {
        mac: 'b8-27-eb-00-00-01',
        ip: '192.0.2.7',
        ips: ['192.0.2.7', 'FE80::1%br-lan', 'x', '224.0.0.1'],
        hostname: ' tv. ',
      },
      { mac: 'b827.eb00.0002', ip: null, hostname: 'a\u0000b' },
      ...[
        { mac: 'router' },
        { mac: '' },
        { mac: '00:00:00:00:00:00' },
        { mac: '01:00:5e:00:00:01' },
        { mac: '00:00:5e:00:53' },
      ],
      ...[{}, { hostname: 'x' }, { ip: 'x' }, { ip: '0.0.0.0' }, { mac: 'x', ip: '192.0.2.9' }],
    ])
    expect(countsOf(answer)).toEqual(counts(2, 0, 0, 10))
    const reasons = answer.json().errors.map(({ reason }: { reason: string }) => reason)
    const refused = ['malformed', 'malformed', 'zero-address', 'group-address', 'malformed']
    expect(reasons).toEqual([
      ...refused,
      'no-address',
      'no-address',
      'malformed',
      'unusable-address',
      'malformed',
    ])
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
    const body = { scanId: randomUUID(), takenAt: minutesAgo(0), ...fields }
    expectProblem(await postScan(quiet, body), 400, 'invalid-request')
    expectProblem(
      await postScan(world.routerOf(ada, quiet.id, makeApiKey('agent', ada.id).key, ''), body),
      401,
      'unauthenticated',
    )
    expect(await quiet.devices()).toEqual([])
  })

  it('of ten thousand entries is accepted; of more, and of more than a megabyte, it is 413', async () => {
    const router = await ada.router()
    const entries = (length: number) => Array.from({ length }, () => ({}))
    expect(countsOf(await router.scan(entries(10_000)))).toEqual(counts(0, 0, 0, 10_000))
    expectProblem(await router.scan(entries(10_001)), 413, 'too-large')
    expectProblem(await postRaw(router, 'x\n'.repeat(10_001), { format: 'ip-neigh' }), 413, 'too-large')
    expectProblem(await postRaw(router, ' '.repeat(1_048_577), { format: 'ip-neigh' }), 413, 'too-large')
    expect(countsOf(await postRaw(router, ' '.repeat(1_048_576), { format: 'ip-neigh' }))).toEqual(
      counts(0, 0, 0),
    )
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
    for (const _ of [1, 2])
      expect(countsOf(await postRaw(router, LEASE, { format: 'dnsmasq-leases' }))).toEqual(counts(0, 0, 1))
    expect(await onlyDevice(router)).toMatchObject({ online: true })
  })

  it('leaves no row in the ledger without an id, and costs none of its statements', async () => {
    const server = await openServer()
    onTestFinished(server.close)
    const statements = recordStatements(server.pools.server)
    const router = await (await worldOf(server).person()).router()
    const about = async (query: Record<string, string>) => {
      statements.length = 0
      expect((await postRaw(router, LEASE, { format: 'dnsmasq-leases', ...query })).statusCode).toBe(200)
      return statements.filter((text) => text.includes('user_scans')).length
    }
    expect(await about({})).toBe(0)
    expect(await rowsOf('select from user_scans where router_id = $1', [router.id])).toEqual([])
    expect(await about({ scanId: 'boot-1' })).toBe(2)
    expect(await rowsOf('select from user_scans where router_id = $1', [router.id])).toHaveLength(1)
  })

  it('names its format, and only a raw one does', async () => {
    for (const query of [
      {},
      { format: 'nmap' },
      { format: 'ip-neigh', scan: 'x' },
      { format: 'ip-neigh', takenAt: 'now' },
    ])
      expectProblem(await postRaw(quiet, LEASE, query as Record<string, string>), 400, 'invalid-request')
    const body = { scanId: 'x', takenAt: minutesAgo(0), devices: [] }
    expectProblem(
      await quiet.call('POST', '/api/agent/scans', { body, query: { format: 'ip-neigh' } }),
      400,
      'invalid-request',
    )
  })
})
