import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mergeSightings } from '../../src/modules/scans/merge.ts'
import { cleanHostname, normaliseEntry, type RawEntry } from '../../src/modules/scans/normalise.ts'
import {
  FORMAT_NAMES,
  FORMATS,
  type FormatName,
  parseSource,
} from '../../src/modules/scans/parsers/formats.ts'
import type { Sighting } from '../../src/modules/scans/sighting.ts'
import { canonicalIp, isDeviceIp } from '../../src/network/ip.ts'
import { isRandomMac, parseMac } from '../../src/network/mac.ts'

const MAC = 'b8:27:eb:12:ab:cd'
const OTHER = 'dc:a6:32:01:02:03'
const JSON_FORMATS = FORMAT_NAMES.filter((name) => FORMATS[name].json)
const TEXT_FORMATS = FORMAT_NAMES.filter((name) => !FORMATS[name].json)

const sample = (name: string) => readFileSync(join(import.meta.dirname, '../samples', name), 'utf8')
const sighting = (mac: string | null, ips: string[] = [], hostname: string | null = null): Sighting => ({
  mac,
  ips,
  hostname,
})

/** Devices as `mac address,address name`, then what was skipped as `line reason`. */
function read(format: FormatName, content: unknown): string[] {
  const { sightings, skipped } = parseSource(format, content)
  return [
    ...sightings.map(({ mac, ips, hostname }) => [mac, ips.join(), hostname].filter(Boolean).join(' ')),
    ...skipped.map(({ line, reason }) => `${line} ${reason}`),
  ]
}
const reasonOf = (format: FormatName, entry: unknown) =>
  parseSource(format, entry).skipped.map(({ reason }) => reason)

describe('MACs', () => {
  it.each([
    MAC,
    'B8:27:EB:12:AB:CD',
    'b8-27-eb-12-ab-cd',
    'B827.EB12.ABCD',
    'b827eb12abcd',
    ' b8:27:eb:12:ab:cd\t',
  ])('are read as %j', (text) => {
    expect(parseMac(text)).toEqual({ ok: true, mac: MAC })
  })

  it('may lack leading zeros, as on macOS', () => {
    expect(parseMac('0:90:a9:1:2:3f')).toEqual({ ok: true, mac: '00:90:a9:01:02:3f' })
  })

  it.each([
    ['', 'malformed'],
    ['router', 'malformed'],
    ['*', 'malformed'],
    ['305419896', 'malformed'],
    ['b8:27:eb:12:ab', 'malformed'],
    ['b8:27:eb:12:ab:', 'malformed'],
    ['b8:27:eb:12:ab:cg', 'malformed'],
    ['b8:27-eb:12:ab:cd', 'malformed'],
    ['b8-27-eb-12-ab-c', 'malformed'],
    ['b8:27:eb:12:ab:cd b8:27:eb:12:ab:cd', 'malformed'],
    ['20-00-01-02-03-04-05-06', 'not-ethernet'],
    ['06-02:00:5e:10:00:01', 'not-ethernet'],
    ['02:00:5e:10:00:01:ff:ff', 'not-ethernet'],
    ['00:00:00:00:00:00', 'zero-address'],
    ['0:0:0:0:0:0', 'zero-address'],
    ['FF-FF-FF-FF-FF-FF', 'broadcast-address'],
    ['33:33:00:00:00:fb', 'group-address'],
    ['01:00:5e:00:00:fb', 'group-address'],
    ['0100.5e00.00fb', 'group-address'],
  ])('do not include %j: %s', (text, reason) => {
    expect(parseMac(text)).toEqual({ ok: false, reason })
  })

  it('are random when locally administered', () => {
    expect(['02:00:00:00:00:01', 'd6:9e:a9:07:5f:c5', '52:54:00:6d:32:d6'].map(isRandomMac)).toEqual([
      true,
      true,
      true,
    ])
    expect([MAC, '00:90:a9:01:02:3f', '0c:00:00:00:00:01'].map(isRandomMac)).toEqual([false, false, false])
  })
})

describe('addresses', () => {
  it.each([
    ['192.168.1.5', '192.168.1.5'],
    [' 192.168.1.5\r', '192.168.1.5'],
    ['FE80::1%br-lan', 'fe80::1'],
    ['fe80::1%br_guest.1', 'fe80::1'],
    ['::ffff:192.168.1.5', '192.168.1.5'],
    ['::FFFF:c0a8:0105', '192.168.1.5'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['::', '::'],
    ['::1', '::1'],
  ])('%j is %s', (text, canonical) => {
    expect(canonicalIp(text)).toBe(canonical)
  })

  it.each([
    '',
    'router',
    '192.168.1',
    '192.168.1.256',
    '192.168.001.005',
    '192.168.1.5/24',
    '192.168.1.5%eth0',
    'fe80::1/64',
    'fe80::1%br-lan/64',
    'fe80::1%',
    '::192.168.1.5',
    '::2',
    '::ffff:1.02.3.4',
    '1:2:3:4:5:6:7:8:9',
    '[::1]',
  ])('do not include %j', (text) => {
    expect(canonicalIp(text)).toBeUndefined()
  })

  it.each([
    '0.0.0.0',
    '127.0.0.1',
    '224.0.0.251',
    '239.255.255.250',
    '255.255.255.255',
    '::',
    '::1',
    'ff02::fb',
  ])('%s is of no device', (ip) => {
    expect(isDeviceIp(ip)).toBe(false)
  })

  it.each(['10.0.0.255', '169.254.1.1', '203.0.113.9', 'fe80::1', 'fd00::2', 'ff::1'])(
    '%s can be of a device',
    (ip) => {
      expect(isDeviceIp(ip)).toBe(true)
    },
  )

  it('have one spelling', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const canonical = canonicalIp(text)
        if (canonical !== undefined) expect(canonicalIp(canonical.toUpperCase())).toBe(canonical)
      }),
    )
  })
})

describe('host names', () => {
  it.each([
    ['FRIDAY', 'FRIDAY'],
    [' raspberrypi.lan. ', 'raspberrypi.lan'],
    ['Zoë’s phone 📱', 'Zoë’s phone 📱'],
    ['*', null],
    ['', null],
    ['.', null],
    ['a\u0000b', null],
    ['a\nb', null],
    ['a\u202eb', null],
    ['a\ud83d', null],
    ['x'.repeat(253), 'x'.repeat(253)],
    ['x'.repeat(254), null],
    [7, null],
    [null, null],
  ])('%j is kept as %j', (given, kept) => {
    expect(cleanHostname(given)).toBe(kept)
  })
})

describe('an entry', () => {
  it.each<[RawEntry, Sighting | string]>([
    [{ mac: MAC.toUpperCase(), ip: '10.0.0.4', hostname: 'printer' }, sighting(MAC, ['10.0.0.4'], 'printer')],
    [
      { mac: MAC, ip: '10.0.0.4', ips: ['fe80::1%lan', '10.0.0.4', 'FE80::1'] },
      sighting(MAC, ['10.0.0.4', 'fe80::1']),
    ],
    [{ mac: MAC, ip: '10.0.0.400', ips: ['224.0.0.1', '10.0.0.5'] }, sighting(MAC, ['10.0.0.5'])],
    [{ mac: MAC, ip: null, hostname: null }, sighting(MAC)],
    [{ mac: null, ip: '10.0.0.4' }, sighting(null, ['10.0.0.4'])],
    [{ mac: 'router', ip: '10.0.0.4' }, 'malformed'],
    [{ mac: '', ip: '10.0.0.4' }, 'malformed'],
    [{ mac: 42, ip: '10.0.0.4' }, 'malformed'],
    [{ mac: '00:00:00:00:00:00', ip: '10.0.0.4' }, 'zero-address'],
    [{ ip: '10.0.0.400' }, 'malformed'],
    [{ ips: ['127.0.0.1', 'nonsense'] }, 'unusable-address'],
    [{ ips: [], hostname: 'printer' }, 'no-address'],
    [{}, 'no-address'],
  ])('%j becomes %j', (entry, outcome) => {
    expect(normaliseEntry(entry)).toEqual(outcome)
  })
})

describe('dnsmasq leases', () => {
  const GOOD = `1791520918 ${MAC} 192.168.77.240 raspberrypi 01:${MAC}`

  it('are read from a real file', () => {
    expect(parseSource('dnsmasq-leases', sample('dhcp.leases'))).toEqual({
      sightings: [{ mac: 'e8:6a:64:89:6c:bc', ips: ['192.168.1.136'], hostname: 'FRIDAY', line: 1 }],
      skipped: [],
    })
  })

  it('may never expire, have no name, and be from before the router knew the time', () => {
    expect(read('dnsmasq-leases', `0 ${MAC} 10.0.0.4 printer *\n43212 ${OTHER} 10.0.0.5 * *`)).toEqual([
      `${MAC} 10.0.0.4 printer`,
      `${OTHER} 10.0.0.5`,
    ])
  })

  it('keep the good lines of a file with bad ones, whatever ends the lines', () => {
    const lines = [
      'nonsense',
      GOOD,
      '',
      `soon ${MAC} 10.0.0.4 a *`,
      `0 ${MAC} 10.0.0.400 a *`,
      '0 20-00:01:02:03:04:05:06:07:08 10.0.0.5 * *',
    ]
    const skipped = ['1 malformed', '4 malformed', '5 malformed', '6 not-ethernet']
    for (const end of ['\n', '\r\n'])
      expect(read('dnsmasq-leases', lines.join(end))).toEqual([
        `${MAC} 192.168.77.240 raspberrypi`,
        ...skipped,
      ])
  })

  it('distrust a line that was cut off', () => {
    expect(read('dnsmasq-leases', `${GOOD}\n1791520918 ${OTHER} 192.168.77.2`)).toEqual([
      `${MAC} 192.168.77.240 raspberrypi`,
      '2 malformed',
    ])
  })

  it('end where DHCPv6 begins', () => {
    const dhcpv6 =
      'duid 00:01:00:01:2c:6b:1c:9e:52:54:00:12:34:56\n1700000002 305419896 fd00::2 host6 00:01:00:01'
    expect(read('dnsmasq-leases', `${GOOD}\n${dhcpv6}\n`)).toEqual([`${MAC} 192.168.77.240 raspberrypi`])
  })
})

describe('neighbours', () => {
  it('are read from real output, text and JSON alike', () => {
    const text = parseSource('ip-neigh', sample('ip-neigh.txt'))
    const json = parseSource('ip-neigh-json', sample('ip-j-neigh.json'))
    expect(text.skipped).toEqual([])
    expect(text.sightings).toHaveLength(6)
    expect(json).toEqual({ sightings: text.sightings.map((seen) => ({ ...seen, line: null })), skipped: [] })
    expect(mergeSightings(text.sightings)).toHaveLength(5)
    expect(mergeSightings(text.sightings)).toContainEqual(
      sighting('0a:00:27:8f:4e:1d', ['192.168.56.1', 'fe80::800:27ff:fe8f:4e1d']),
    )
  })

  it.each([
    `10.0.0.4 dev br-lan lladdr ${MAC} REACHABLE`,
    `10.0.0.4 lladdr ${MAC} STALE`,
    `10.0.0.4 dev STALE lladdr ${MAC} router DELAY`,
    `10.0.0.4 dev br-lan lladdr ${MAC} ref 1 used 0/0/0 probes 4 PROBE`,
    `10.0.0.4 dev br-lan lladdr ${MAC} extern_learn REACHABLE proto zebra`,
    `10.0.0.4 dev br-lan lladdr ${MAC.toUpperCase()} PERMANENT\r`,
  ])('include %j', (line) => {
    expect(read('ip-neigh', line)).toEqual([`${MAC} 10.0.0.4`])
  })

  it('lose the zone of a link-local address', () => {
    expect(read('ip-neigh', `FE80::1%br-lan dev br-lan lladdr ${MAC} router STALE`)).toEqual([
      `${MAC} fe80::1`,
    ])
  })

  it.each([
    ['10.0.0.4 dev br-lan FAILED', 'incomplete'],
    ['10.0.0.4 dev br-lan used 0/0/0 probes 3 INCOMPLETE', 'incomplete'],
    [`10.0.0.4 dev br-lan lladdr ${MAC} FAILED`, 'incomplete'],
    ['10.0.0.4 dev br-lan proxy', 'incomplete'],
    ['127.0.0.1 dev lo lladdr 00:00:00:00:00:00 PERMANENT', 'zero-address'],
    ['224.0.0.251 dev br-lan lladdr 01:00:5e:00:00:fb NOARP', 'group-address'],
    ['ff02::fb dev br-lan lladdr 33:33:00:00:00:fb NOARP', 'group-address'],
    ['10.0.0.255 dev br-lan lladdr ff:ff:ff:ff:ff:ff NOARP', 'broadcast-address'],
    [`10.0.0.4 dev tun0 lladdr ${MAC} NOARP`, 'noarp'],
    ['10.0.0.4 dev gre1 lladdr 192.0.2.1 PERMANENT', 'malformed'],
    [`10.0.0.4 dev br-lan lladdr ${MAC}`, 'malformed'],
    [`10.0.0 dev br-lan lladdr ${MAC} STALE`, 'malformed'],
    ['10.0.0.4', 'malformed'],
    ['nothing known FAILED', 'malformed'],
  ])('do not include %j: %s', (line, reason) => {
    expect(read('ip-neigh', line)).toEqual([`1 ${reason}`])
  })

  it.each([
    [{ dst: '10.0.0.4', dev: 'br-lan', state: ['FAILED'] }, 'incomplete'],
    [{ dst: '10.0.0.4', dev: 'br-lan', proxy: null }, 'incomplete'],
    [{ dst: 'ff02::fb', dev: 'br-lan', lladdr: '33:33:00:00:00:fb', state: ['NOARP'] }, 'group-address'],
    [{ dst: '10.0.0.4', lladdr: MAC, state: ['NOARP'] }, 'noarp'],
    [{ dst: '10.0.0.4', lladdr: 7, state: ['STALE'] }, 'malformed'],
    [{ lladdr: MAC, state: ['STALE'] }, 'malformed'],
    [null, 'malformed'],
    [[], 'malformed'],
  ])('in JSON do not include %j: %s', (row, reason) => {
    expect(reasonOf('ip-neigh-json', [row])).toEqual([reason])
  })
})

describe('the ARP table', () => {
  const HEADER = 'IP address       HW type     Flags       HW address            Mask     Device'

  it('is read from a real one', () => {
    expect(read('proc-net-arp', sample('proc-net-arp.txt'))).toEqual([
      '52:54:00:6d:32:d6 10.0.2.1',
      '0a:00:27:8f:4e:1d 192.168.56.1',
      'bc:0f:9a:b6:bc:eb 192.168.0.1',
    ])
  })

  it('has incomplete and permanent rows, and other hardware', () => {
    const rows = [
      '10.0.0.4  0x1  0x0  00:00:00:00:00:00  *  br-lan',
      `10.0.0.5  0x1  0x6  ${MAC}  *  br-lan`,
      `10.0.0.6  0x20  0x2  ${MAC}  *  ib0`,
      '10.0.0.7  0x1  0x2  00:00:00:00:00:00  *  br-lan',
      '10.0.0.8  0x1  two',
      'nonsense',
    ]
    const skipped = ['2 incomplete', '4 not-ethernet', '5 zero-address', '6 malformed', '7 malformed']
    expect(read('proc-net-arp', [HEADER, ...rows, ''].join('\n'))).toEqual([`${MAC} 10.0.0.5`, ...skipped])
  })
})

describe('arp-scan', () => {
  it('is read from real output', () => {
    expect(read('arp-scan', sample('arp-scan.txt'))).toEqual([
      '20:aa:4b:d4:e5:f5 192.168.1.1',
      'e4:ce:8f:1a:c3:43 192.168.1.118',
      '90:18:7c:cf:b5:62 192.168.1.120',
      '00:26:bb:34:c5:2f 192.168.1.148',
      'a8:fa:d8:31:11:6b 192.168.1.103',
    ])
  })

  it.each([
    `10.0.0.4\t${MAC}\tApple, Inc.`,
    `10.0.0.4 ${MAC} (Unknown: locally administered)`,
    `10.0.0.4    ${MAC}\tVendor (DUP: 2)`,
    `10.0.0.4\t${MAC} (${OTHER})\tVendor`,
    `10.0.0.4\t${MAC}\tVendor (802.1Q VLAN=7) (ARP Proto=0x1000)`,
    `10.0.0.4\t${MAC}`,
  ])('knows %j', (line) => {
    expect(read('arp-scan', line)).toEqual([`${MAC} 10.0.0.4`])
  })

  it('takes banners, summaries and warnings for no entries, and any other line for one', () => {
    const prose = [
      'Interface: eth0, type: EN10MB, MAC: 02:00:00:00:00:01, IPv4: 10.0.0.2',
      'Target list from interface: network 10.0.0.0 netmask 255.255.255.0',
      'WARNING: Could not obtain IP address for interface eth1. Using 0.0.0.0 for',
      'the source address, which may not be what you want. Either configure',
      'eth1 with an IP address, or specify the address with the --arpspa option.',
      'WARNING: host part of 10.0.0.1/24 is non-zero',
      'Starting arp-scan 1.10.0 with 256 hosts (https://github.com/royhills/arp-scan)',
      '',
      '0 packets received by filter, 0 packets dropped by kernel',
      'Ending arp-scan 1.10.0: 256 hosts scanned in 1.9 seconds (134.17 hosts/sec). 0 responded',
    ]
    expect(read('arp-scan', prose.join('\n'))).toEqual([])
    expect(read('arp-scan', 'ioctl: No such device\n10.0.0.4\n10.0.0.5 (incomplete)')).toEqual([
      '1 malformed',
      '2 malformed',
      '3 malformed',
    ])
  })

  it('shows both addresses of a MAC that answers for two', () => {
    const { sightings } = parseSource('arp-scan', `10.0.0.4\t${MAC}\tA\n10.0.0.5\t${MAC}\tA (DUP: 2)`)
    expect(mergeSightings(sightings)).toEqual([sighting(MAC, ['10.0.0.4', '10.0.0.5'])])
  })
})

describe('LuCI host hints', () => {
  it('are read from real output', () => {
    expect(read('luci-host-hints', sample('luci-rpc-getHostHints.json'))).toEqual([
      '00:15:5d:ec:1e:a2 172.17.64.1',
      '00:15:5d:ab:9c:5c 172.17.68.202,fe80::215:5dff:feab:9c5c',
      '00:15:5d:96:66:c3 192.168.1.1,fe80::215:5dff:fe96:66c3',
    ])
  })

  it('may have many addresses or none, a name with the domain, and the shape of older releases', () => {
    const hints = {
      'B8:27:EB:12:AB:CD': {
        ipaddrs: ['192.168.77.240', '192.168.77.4'],
        ip6addrs: ['fe80::1'],
        name: 'raspberrypi.lan',
      },
      'DC:A6:32:01:02:03': { name: 'printer' },
      '00:15:5D:96:66:C3': { ipv4: '10.0.0.9', ipv6: 'fd00::9' },
      'FF:FF:FF:FF:FF:FF': { ipaddrs: ['10.0.0.255'] },
      '00:15:5D:96:66:C4': null,
    }
    expect(read('luci-host-hints', hints)).toEqual([
      `${MAC} 192.168.77.240,192.168.77.4,fe80::1 raspberrypi.lan`,
      `${OTHER} printer`,
      '00:15:5d:96:66:c3 10.0.0.9,fd00::9',
      'null broadcast-address',
      'null malformed',
    ])
  })

  it('are harmless whatever their keys are called', () => {
    const hostile =
      '{"__proto__":{"ipaddrs":["10.0.0.4"],"polluted":true},"constructor":{"prototype":{"polluted":true}}}'
    expect(reasonOf('luci-host-hints', hostile)).toEqual(['malformed', 'malformed'])
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })
})

describe('LuCI DHCP leases', () => {
  it('may be none', () => {
    expect(read('luci-dhcp-leases', sample('luci-rpc-getDHCPLeases.json'))).toEqual([])
    expect(read('luci-dhcp-leases', { dhcp6_leases: [{ duid: '00' }] })).toEqual([])
  })

  it('last for some time, for ever, or no longer', () => {
    const lease = { hostname: 'printer', ipaddr: '10.0.0.4', macaddr: MAC.toUpperCase() }
    const leases = [
      { ...lease, expires: 3600 },
      { ...lease, expires: false },
      { ...lease, expires: 0 },
      { ...lease, ipaddr: undefined },
      'nonsense',
    ]
    expect(
      read('luci-dhcp-leases', {
        dhcp_leases: leases,
        dhcp6_leases: [{ macaddr: OTHER, ip6addr: 'fd00::2', expires: 1 }],
      }),
    ).toEqual([
      `${MAC} 10.0.0.4 printer`,
      `${MAC} 10.0.0.4 printer`,
      'null expired',
      'null malformed',
      'null malformed',
    ])
  })
})

describe('hostapd clients', () => {
  const station = { auth: true, assoc: true, authorized: true, signal: -50 }

  it('are those that have passed authentication', () => {
    const clients = {
      [MAC]: station,
      [OTHER]: { ...station, authorized: false },
      '02:00:00:00:00:09': { assoc: false },
      router: station,
    }
    expect(read('hostapd-clients', { freq: 2412, clients })).toEqual([
      MAC,
      'null unauthorized',
      'null unauthorized',
      'null malformed',
    ])
  })

  it('may come from several interfaces at once', () => {
    const cells = [
      { freq: 2412, clients: { [MAC]: station } },
      { freq: 5180, clients: { [OTHER]: station } },
    ]
    expect(read('hostapd-clients', cells)).toEqual([MAC, OTHER])
    expect(read('hostapd-clients', { 'phy0-ap0': cells[0], 'phy1-ap0': cells[1], 'phy2-ap0': {} })).toEqual([
      MAC,
      OTHER,
      'null malformed',
    ])
    expect(read('hostapd-clients', {})).toEqual([])
  })
})

describe('odhcpd leases', () => {
  it('have bare MACs, may never end, and may lack a name', () => {
    const leases = [
      {
        mac: 'b827eb12abcd',
        hostname: 'raspberrypi',
        'accept-reconf': false,
        flags: ['bound'],
        address: '10.0.0.4',
        valid: 43000,
      },
      {
        mac: 'dca632010203',
        hostname: '',
        flags: ['bound', 'broken-hostname'],
        address: '10.0.0.5',
        valid: -1,
      },
      { mac: '000000000000', hostname: '', flags: ['static'], address: '10.0.0.6', valid: -1 },
      { mac: 'dca632010204', hostname: '' },
    ]
    expect(
      read('odhcpd-leases', { device: { 'br-lan': { leases }, 'br-guest': { leases: [] }, wan: null } }),
    ).toEqual([
      `${MAC} 10.0.0.4 raspberrypi`,
      `${OTHER} 10.0.0.5`,
      'null zero-address',
      'null malformed',
      'null malformed',
    ])
  })
})

describe('every format', () => {
  it.each(JSON_FORMATS)('%s takes JSON and its text, and anything else for one malformed entry', (format) => {
    const malformed = { sightings: [], skipped: [{ line: null, reason: 'malformed' }] }
    for (const content of ['', 'not JSON', '7', '"text"', 'null', null, undefined, 7, true])
      expect(parseSource(format, content)).toEqual(malformed)
  })

  it.each(TEXT_FORMATS)('%s takes text only', (format) => {
    for (const content of [null, undefined, 7, [], {}]) {
      expect(parseSource(format, content)).toEqual({
        sightings: [],
        skipped: [{ line: null, reason: 'malformed' }],
      })
    }
    expect(parseSource(format, '\ufeff\r\n \t\n')).toEqual({ sightings: [], skipped: [] })
  })

  const word = fc.constantFrom(
    '10.0.0.4',
    'fe80::1%lan',
    MAC,
    OTHER,
    'dev',
    'lladdr',
    'STALE',
    'FAILED',
    '0x1',
    '0x2',
    '*',
    '0',
    'duid',
    '(DUP: 2)',
    'WARNING',
  )
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc
      .array(fc.array(word, { maxLength: 7 }).map((words) => words.join(' ')))
      .map((lines) => lines.join('\n')),
  )

  it.each(FORMAT_NAMES)('%s survives any text and any JSON', (format) => {
    fc.assert(
      fc.property(fc.oneof(text, fc.jsonValue(), fc.json()), (content) => {
        const { sightings, skipped } = parseSource(format, content)
        for (const { mac, ips, hostname } of sightings) {
          expect(mac !== null || ips.length > 0).toBe(true)
          expect(normaliseEntry({ mac, ips, hostname })).toEqual({ mac, ips, hostname })
        }
        if (typeof content === 'string' && !FORMATS[format].json) {
          const lines = [...sightings, ...skipped].map(({ line }) => line)
          expect(new Set(lines).size).toBe(lines.length)
        }
      }),
      { numRuns: 300 },
    )
  })

  it.each<[FormatName, (mac: string, ip: string) => string]>([
    ['dnsmasq-leases', (mac, ip) => `0 ${mac} ${ip} * *`],
    ['ip-neigh', (mac, ip) => `${ip} dev br-lan lladdr ${mac} STALE`],
    ['proc-net-arp', (mac, ip) => `${ip} 0x1 0x2 ${mac} * br-lan`],
    ['arp-scan', (mac, ip) => `${ip}\t${mac}\tVendor`],
  ])('%s loses no line: each is a sighting or is skipped, by its number', (format, lineOf) => {
    const good = fc.tuple(fc.constantFrom(MAC, OTHER), fc.ipV4()).map(([mac, ip]) => lineOf(mac, ip))
    const bad = fc.stringMatching(/^[!-V]{1,20}$/)
    fc.assert(
      fc.property(
        fc.array(fc.oneof(good, bad, fc.constantFrom('', '  ', '\r'))),
        fc.constantFrom('\n', '\r\n'),
        (lines, end) => {
          const { sightings, skipped } = parseSource(format, lines.join(end))
          const places = [...sightings, ...skipped].map(({ line }) => line ?? 0).sort((a, b) => a - b)
          expect(places).toEqual(lines.flatMap((line, index) => (line.trim() === '' ? [] : [index + 1])))
          expect(sightings).toHaveLength(
            lines.filter((line) => line.includes(MAC) || line.includes(OTHER)).length,
          )
        },
      ),
    )
  })

  const mac = fc.constantFrom(MAC, OTHER, '00:00:00:00:00:00', 'nonsense')
  const row = fc.oneof(
    fc.jsonValue(),
    fc.record(
      { dst: fc.ipV4(), lladdr: mac, state: fc.constantFrom(['STALE'], ['FAILED'], null) },
      { requiredKeys: [] },
    ),
    fc.record(
      { macaddr: mac, mac, ipaddr: fc.ipV4(), address: fc.ipV6(), expires: fc.constantFrom(0, false, 60) },
      { requiredKeys: [] },
    ),
  )
  it.each<[FormatName, (rows: unknown[]) => unknown]>([
    ['ip-neigh-json', (rows) => rows],
    ['luci-host-hints', (rows) => Object.fromEntries(rows.entries())],
    ['luci-dhcp-leases', (rows) => ({ dhcp_leases: rows })],
    ['hostapd-clients', (rows) => ({ clients: Object.fromEntries(rows.entries()) })],
    ['odhcpd-leases', (rows) => ({ device: { lan: { leases: rows } } })],
  ])('%s loses no entry', (format, documentOf) => {
    fc.assert(
      fc.property(fc.array(row), (rows) => {
        const { sightings, skipped } = parseSource(format, JSON.stringify(documentOf(rows)))
        expect(sightings.length + skipped.length).toBe(rows.length)
      }),
    )
  })

  // Anything that is not linear takes minutes over these.
  it.each(FORMAT_NAMES)('%s is quick over a hostile megabyte', (format) => {
    const units = [
      'a',
      ' ',
      '\n',
      '\r',
      'aa:',
      '20-',
      '%',
      '1.',
      'a ',
      'STALE,',
      '1.2.3.4 ',
      '[',
      '{"a":',
      ' with an IP address',
    ]
    for (const unit of units)
      for (const start of ['', '0 ', '10.0.0.4 '])
        parseSource(format, start + unit.repeat(2 ** 20 / unit.length))
  })
})

describe('merging', () => {
  it('unites what several sources know of a MAC, and keeps the first name', () => {
    const seen = [
      sighting(MAC, ['10.0.0.4']),
      sighting(OTHER, ['10.0.0.5'], 'b'),
      sighting(MAC, ['fe80::1', '10.0.0.4'], 'a'),
      sighting(MAC, [], 'z'),
    ]
    expect(mergeSightings(seen)).toEqual([
      sighting(MAC, ['10.0.0.4', 'fe80::1'], 'a'),
      sighting(OTHER, ['10.0.0.5'], 'b'),
    ])
  })

  it('gives an address to the last MAC that claims it', () => {
    const seen = [
      sighting(MAC, ['10.0.0.4', '10.0.0.6']),
      sighting(OTHER, ['10.0.0.4']),
      sighting(null, ['10.0.0.4'], 'name'),
    ]
    expect(mergeSightings(seen)).toEqual([sighting(MAC, ['10.0.0.6']), sighting(OTHER, ['10.0.0.4'], 'name')])
  })

  it('makes one of those without a MAC that share an address, and gives them to the MAC that has one of theirs', () => {
    const apart = [
      sighting(null, ['10.0.0.4']),
      sighting(null, ['10.0.0.5'], 'name'),
      sighting(null, ['10.0.0.4', '10.0.0.5']),
    ]
    expect(mergeSightings(apart)).toEqual([sighting(null, ['10.0.0.4', '10.0.0.5'], 'name')])
    expect(mergeSightings([...apart, sighting(MAC, ['10.0.0.5'])])).toEqual([
      sighting(MAC, ['10.0.0.4', '10.0.0.5'], 'name'),
    ])
  })

  it('loses no MAC and no address, leaves none twice, and changes nothing the second time', () => {
    const ip = fc.integer({ min: 1, max: 12 }).map((n) => `10.0.0.${n}`)
    const name = fc.constantFrom(null, null, 'a', 'b')
    const withMac = fc.record({
      mac: fc.constantFrom(MAC, OTHER, '02:00:00:00:00:09'),
      ips: fc.uniqueArray(ip, { maxLength: 4 }),
      hostname: name,
    })
    const withoutMac = fc.record({
      mac: fc.constant(null),
      ips: fc.uniqueArray(ip, { minLength: 1, maxLength: 4 }),
      hostname: name,
    })
    const sorted = (values: Iterable<string | null>) => [...values].sort()
    fc.assert(
      fc.property(fc.array(fc.oneof(withMac, withoutMac), { maxLength: 12 }), (seen) => {
        const merged = mergeSightings(seen)
        const macs = merged.flatMap(({ mac }) => mac ?? [])
        expect(sorted(macs)).toEqual(sorted(new Set(seen.flatMap(({ mac }) => mac ?? []))))
        expect(sorted(merged.flatMap(({ ips }) => ips))).toEqual(
          sorted(new Set(seen.flatMap(({ ips }) => ips))),
        )
        expect(mergeSightings(merged)).toEqual(merged)
      }),
      { numRuns: 1000 },
    )
  })

  it('joins as long a chain of sightings as a scan may have', () => {
    const ipOf = (n: number) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`
    const chain = Array.from({ length: 10_000 }, (_, n) => sighting(null, [ipOf(n), ipOf(n + 1)]))
    expect(mergeSightings(chain)).toHaveLength(1)
    expect(mergeSightings(chain.toReversed())).toHaveLength(1)
  })
})
