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
    ['proc-net-arp', sample('proc-net-arp.txt'), ['0a:00:27:8f:4e:1d 192.168.56.1', '52:54:00:6d:32:d6 10.0.2.1', 'bc:0f:9a:b6:bc:eb 192.168.0.1']],
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

  it.each<[format: string, content: string, kept: string, errors: [line: number | null, reason: string][]]>([
    ['dnsmasq-leases', '1 nonsense\n0 02:00:5e:10:00:01 192.0.2.7 tv *\n\n5 33:33:00:00:00:01 192.0.2.9 x *\nduid 00:01\n6 7 fd00::2 h 0', '192.0.2.7 tv', [[1, 'malformed'], [4, 'group-address']]],
    ['ip-neigh', '192.0.2.7 dev br-lan lladdr 02:00:5e:10:00:01 STALE\n192.0.2.8 dev br-lan FAILED\n?', '192.0.2.7', [[2, 'incomplete'], [3, 'malformed']]],
    ['proc-net-arp', 'IP address HW type\n192.0.2.8 0x1 0x0 00:00:00:00:00:00 * br0\n192.0.2.7 0x1 0x2 02:00:5e:10:00:01 * br0', '192.0.2.7', [[2, 'incomplete']]],
    ['arp-scan', 'WARNING: x\n192.0.2.7 02:00:5e:10:00:01 (Unknown), Inc\n192.0.2.8 ff:ff:ff:ff:ff:ff x', '192.0.2.7', [[3, 'broadcast-address']]],
    ['ip-neigh-json', '[{"dst":"192.0.2.7","lladdr":"02:00:5e:10:00:01","state":["STALE"]},{"dst":"x"},7]', '192.0.2.7', [[null, 'malformed'], [null, 'malformed']]],
    ['hostapd-clients', '{"clients":{"02:00:5e:10:00:01":{},"02:00:5e:10:00:02":{"authorized":false}}}', '', [[null, 'unauthorized']]],
    ['luci-dhcp-leases', '{"dhcp_leases":[{"macaddr":"02:00:5e:10:00:01","ipaddr":"192.0.2.7","expires":false},{"macaddr":"02:00:5e:10:00:02","ipaddr":"192.0.2.8","expires":0}]}', '192.0.2.7', [[null, 'expired']]],
  ])('%s with bad entries keeps the good one and names the bad', async (format, content, kept, errors) => {
    const router = await ada.router()
    const answer = await postSources(router, { format, content: STATIONS.replace('0001', '0009') }, { format, content })
    const fromSecond = answer.json().errors.filter(({ source }: { source: number }) => source === 1)
    expect(fromSecond).toEqual(errors.map(([line, reason]) => ({ source: 1, line, reason })))
    expect(answer.json().skipped).toBe(answer.json().errors.length)
    expect(await seenBy(router)).toContain(`02:00:5e:10:00:01 ${kept}`.trim())
  })
})
