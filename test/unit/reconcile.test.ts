/**
 * What a scan changes, as a table of named cases and as laws that hold for any series of scans. Pure: no
 * database.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mergeSightings } from '../../src/modules/scans/merge.ts'
import { type Changes, type KnownInterface, reconcile } from '../../src/modules/scans/reconcile.ts'
import type { Sighting } from '../../src/modules/scans/sighting.ts'

/**
 * Interfaces of a router, written `device mac addresses host-name`, `-` for none; device `a*` is described,
 * `a+` seen after the scan.
 */
type Network = KnownInterface[]
type Known = { lines: string[]; takenAt?: number }

const NOW = 1_000
const MACS: Record<string, string> = {
  A: '00:00:5e:00:53:0a',
  B: '00:00:5e:00:53:0b',
  C: '00:00:5e:00:53:0c',
  D: '00:00:5e:00:53:0d',
}
const LETTERS = Object.fromEntries(Object.entries(MACS).map(([letter, mac]) => [mac, letter]))
const macOf = (letter = '-') => MACS[letter] ?? null
const ipsOf = (list = '-') =>
  list === '-' ? [] : list.split(',').map((ip) => (ip.startsWith('.') ? `192.0.2${ip}` : ip))
const nameOf = (name = '-') => (name === '-' ? null : name)

const networkOf = ({ lines, takenAt = NOW }: Known): Network =>
  lines.map((line, index) => {
    const [device = '', mac, ips, hostname] = line.split(' ')
    return {
      id: `interface ${index}`,
      deviceId: device,
      mac: macOf(mac),
      ips: ipsOf(ips),
      hostname: nameOf(hostname),
      lastSeen: new Date(device.includes('+') ? takenAt + 1 : takenAt - 1),
      described: device.includes('*'),
    }
  })

const sightingOf = (line: string): Sighting => {
  const [mac, ips, hostname] = line.split(' ')
  return { mac: macOf(mac), ips: ipsOf(ips), hostname: nameOf(hostname) }
}

/** What a database would hold afterwards. */
function apply(
  known: Network,
  { newDevices, newInterfaces, changedInterfaces, seen }: Changes,
  takenAt: Date,
): Network {
  const facts = new Map(
    known.map(({ deviceId, hostname, lastSeen, described }) => [deviceId, { hostname, lastSeen, described }]),
  )
  for (const { id, hostname } of newDevices) facts.set(id, { hostname, lastSeen: takenAt, described: false })
  for (const { id, hostname } of seen)
    facts.set(id, { described: false, ...facts.get(id), hostname, lastSeen: takenAt })
  const rows = new Map(
    [...known, ...newInterfaces, ...changedInterfaces].map(({ id, deviceId, mac, ips }) => [
      id,
      { id, deviceId, mac, ips },
    ]),
  )
  return [...rows.values()].map((row) => ({
    ...row,
    ...(facts.get(row.deviceId) ?? expect.fail(`no device ${row.deviceId}`)),
  }))
}

/**
 * The network in the same words, sorted; a new device is `?`. An interface that was left empty shows only
 * when its device has nothing else.
 */
function linesOf(network: Network): string[] {
  const isEmpty = ({ mac, ips }: KnownInterface) => mac === null && ips.length === 0
  return network
    .filter(
      (entry) =>
        !isEmpty(entry) || network.every((other) => other.deviceId !== entry.deviceId || isEmpty(other)),
    )
    .map(({ deviceId, mac, ips, hostname }) => {
      const addresses = ips.map((ip) => ip.replace('192.0.2.', '.')).sort()
      const device = deviceId.startsWith('new') ? '?' : deviceId
      return [
        device,
        mac ? LETTERS[mac] : '-',
        addresses.join() || '-',
        ...(hostname ? [hostname] : []),
      ].join(' ')
    })
    .sort()
}

let made = 0
const scan = (known: Network, sightings: Sighting[], takenAt = new Date(NOW)) => {
  const changes = reconcile(known, sightings, takenAt, () => `new ${++made}`)
  return { changes, after: apply(known, changes, takenAt) }
}
const reversals = <T>(items: T[]) => (items.length > 1 ? [items, items.toReversed()] : [items])

type Case = [
  name: string,
  known: string[],
  seen: string[],
  after: string[],
  counts: [created: number, updated: number, unchanged: number],
]

const CASES: Record<string, Case[]> = {
  'a MAC': [
    ['that is new is a new device', [], ['A .1 phone'], ['? A .1 phone'], [1, 0, 0]],
    ['that is seen as before is unchanged', ['a A .1 phone'], ['A .1 phone'], ['a A .1 phone'], [0, 0, 1]],
    [
      'that is seen without a name keeps the one it has',
      ['a A .1 phone'],
      ['A .1'],
      ['a A .1 phone'],
      [0, 0, 1],
    ],
    ['with another name is updated', ['a A .1 phone'], ['A .1 tablet'], ['a A .1 tablet'], [0, 1, 0]],
    ['at another address moved', ['a A .1'], ['A .2'], ['a A .2'], [0, 1, 0]],
    ['without an address keeps those it has', ['a A .1,fd00::1'], ['A -'], ['a A .1,fd00::1'], [0, 0, 1]],
    ['at an IPv4 address keeps its IPv6 ones', ['a A .1,fd00::1'], ['A .2'], ['a A .2,fd00::1'], [0, 1, 0]],
    [
      'has the addresses of a family that the scan names',
      ['a A .1,.2,fd00::1'],
      ['A .2,.3'],
      ['a A .2,.3,fd00::1'],
      [0, 1, 0],
    ],
    ['takes its address from who had it', ['a A .1', 'b B .2'], ['B .1'], ['a A -', 'b B .1'], [0, 1, 0]],
    ['that is new takes an address too', ['a A .1'], ['B .1'], ['? B .1', 'a A -'], [1, 0, 0]],
    [
      'that lost its address in the scan is updated',
      ['a A .1', 'b B .2'],
      ['A -', 'B .1'],
      ['a A -', 'b B .1'],
      [0, 2, 0],
    ],
    ['swaps addresses with another', ['a A .1', 'b B .2'], ['A .2', 'B .1'], ['a A .2', 'b B .1'], [0, 2, 0]],
    [
      'changes places in a ring',
      ['a A .1', 'b B .2', 'c C .3'],
      ['A .2', 'B .3', 'C .1'],
      ['a A .2', 'b B .3', 'c C .1'],
      [0, 3, 0],
    ],
    [
      'of a device with several is that device',
      ['a A .1', 'a B .2'],
      ['A .1', 'B .3'],
      ['a A .1', 'a B .3'],
      [0, 1, 0],
    ],
  ],
  'a scan that is older than what is known': [
    ['moves nothing', ['a+ A .1 phone'], ['A .2 tablet'], ['a+ A .1 phone'], [0, 0, 1]],
    ['takes no address', ['a+ A .1', 'b B .2'], ['B .1'], ['a+ A .1', 'b B -'], [0, 1, 0]],
    [
      'tells of a new device, without the address that has moved on',
      ['a+ A .1'],
      ['B .1'],
      ['? B -', 'a+ A .1'],
      [1, 0, 0],
    ],
    ['names no device that is known by address', ['a+ - .1'], ['A .1'], ['? A -', 'a+ - .1'], [1, 0, 0]],
    ['makes no two devices one', ['a+ - .1', 'b A .2'], ['A .1'], ['a+ - .1', 'b A -'], [0, 1, 0]],
    ['moves nothing by address either', ['a+ - .1 phone'], ['- .1,.2 tablet'], ['a+ - .1 phone'], [0, 0, 1]],
  ],
  'an address without a MAC': [
    ['that is new is a new device', [], ['- .1 phone'], ['? - .1 phone'], [1, 0, 0]],
    ['is the device that has it', ['a A .1,.2'], ['- .1 phone'], ['a A .1,.2 phone'], [0, 1, 0]],
    ['brings further ones along', ['a A .1'], ['- .1,fd00::1'], ['a A .1,fd00::1'], [0, 1, 0]],
    [
      'is another device when its holder is seen elsewhere',
      ['a A .1'],
      ['- .1', 'A .2'],
      ['? - .1', 'a A .2'],
      [1, 1, 0],
    ],
    [
      'is another device when its holder gets a MAC elsewhere',
      ['a - .1,.2'],
      ['- .1', 'A .2'],
      ['? - .1', 'a A .2'],
      [1, 1, 0],
    ],
    ['makes two devices known by address one', ['a - .1', 'b* - .2'], ['- .1,.2'], ['b* - .1,.2'], [0, 1, 0]],
  ],
  'a device known by address': [
    ['takes on the MAC that is told for it', ['a* - .1 phone'], ['A .1'], ['a* A .1 phone'], [0, 1, 0]],
    ['becomes one with the device of that MAC', ['a - .1', 'b A .2'], ['A .1'], ['b A .1'], [0, 1, 0]],
    ['is who goes on when the user described it', ['a* - .1', 'b A .2'], ['A .1'], ['a* A .1'], [0, 1, 0]],
    [
      'stays another one when both are described',
      ['a* - .1', 'b* A .2'],
      ['A .1'],
      ['a* - -', 'b* A .1'],
      [0, 1, 0],
    ],
    [
      'leaves its host name to a device without',
      ['a - .1 phone', 'b A .2'],
      ['A .1'],
      ['b A .1 phone'],
      [0, 1, 0],
    ],
    [
      'brings all MACs of the other along',
      ['a* - .1', 'b A .2', 'b B .3'],
      ['A .1'],
      ['a* A .1', 'a* B .3'],
      [0, 1, 0],
    ],
    [
      'leaves no address behind that could name another',
      ['a - .1,.2', 'b A .3'],
      ['A .1'],
      ['b A .1'],
      [0, 1, 0],
    ],
    [
      'keeps its addresses of another family',
      ['a - .1,fd00::1', 'b A .3'],
      ['A .1'],
      ['b A .1,fd00::1'],
      [0, 1, 0],
    ],
    [
      'is one of several that are one',
      ['a* - .1', 'b - fd00::1'],
      ['A .1,fd00::1'],
      ['a* A .1,fd00::1'],
      [0, 1, 0],
    ],
    [
      'is one of several that are the device of a MAC',
      ['a - .1', 'b* - .2', 'c A .3'],
      ['A .1,.2'],
      ['b* A .1,.2'],
      [0, 1, 0],
    ],
    [
      'is none that has a MAC beside it',
      ['a A .1', 'a - .2', 'b B .3'],
      ['B .2'],
      ['a A .1', 'b B .2'],
      [0, 1, 0],
    ],
  ],
}

describe.each(Object.entries(CASES))('%s', (_subject, cases) => {
  it.each(cases)('%s', (_name, known, seen, expected, [created, updated, unchanged]) => {
    for (const order of reversals(seen)) {
      const { changes, after } = scan(networkOf({ lines: known }), order.map(sightingOf))
      expect(linesOf(after)).toEqual(expected)
      expect(changes.counts).toEqual({ created, updated, unchanged, total: created + updated + unchanged })
    }
  })
})

describe('an interface', () => {
  it('keeps a bounded number of addresses', () => {
    const ips = Array.from({ length: 20_000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`)
    const seen = (known: Network, mac: string | null, held: string[]) =>
      scan(known, mergeSightings([{ mac, ips: held, hostname: null }])).after
    let known = seen(seen(seen([], macOf('A'), ips), macOf('A'), ips.toReversed()), macOf('B'), ips)
    for (let from = 0; from < 2_000; from += 100)
      known = seen(known, null, [ips[0] ?? '', ...ips.slice(from, from + 100)])
    for (const { ips: held } of known) expect(held.length).toBeLessThan(1_000)
  })
})

describe('ten thousand devices', () => {
  const entries = Array.from({ length: 10_000 }, (_, index) => ({
    mac: `00:00:5e:01:${(index >> 8).toString(16).padStart(2, '0')}:${(index & 255).toString(16).padStart(2, '0')}`,
    ips: [`10.0.${index >> 8}.${index & 255}`],
    hostname: null,
  }))
  const knownBy = (what: 'mac' | 'ips', empty: null | []): Network =>
    entries.map((entry, index) => ({
      ...{ ...entry, [what]: empty, id: `${what} ${index}`, deviceId: `by ${what} ${index}` },
      ...{ lastSeen: new Date(0), described: false },
    }))

  it.each<[name: string, known: Network, merged: number]>([
    ['are new', [], 0],
    ['get their MACs', knownBy('mac', null), 0],
    ['become one with ten thousand others', [...knownBy('mac', null), ...knownBy('ips', [])], 10_000],
  ])(
    '%s, and are the same when they come again (`bench/scans.ts` shows that it takes time in proportion)',
    (_name, known, merged) => {
      const { changes, after } = scan(known, entries)
      const { changes: again } = scan(after, entries)
      expect(changes.merged.length).toBe(merged)
      expect(again.counts.unchanged).toBe(10_000)
    },
  )
})

/** A few MACs, addresses and moments, so that everything meets everything. */
const anyIp = fc.constantFrom(...['.1', '.2', '.3', '.4', 'fd00::1', 'fd00::2'].flatMap((ip) => ipsOf(ip)))
const anySighting: fc.Arbitrary<Sighting> = fc.record({
  mac: fc.option(fc.constantFrom(...Object.values(MACS))),
  ips: fc.uniqueArray(anyIp, { maxLength: 3 }),
  hostname: fc.option(fc.constantFrom('phone', 'tablet'), { freq: 3 }),
})
const anySightings = fc.array(anySighting, { maxLength: 6 }).map(mergeSightings)
/** Scans in no order of time, and between them somebody who describes a device. */
const anyPast = fc.array(fc.record({ sightings: anySightings, at: fc.nat(4), describes: fc.nat(20) }), {
  maxLength: 6,
})

function networkAfter(past: { sightings: Sighting[]; at: number; describes: number }[]): Network {
  return past.reduce<Network>((known, { sightings, at, describes }) => {
    const { after } = scan(known, sightings, new Date(at))
    const chosen = after[describes]?.deviceId
    return after.map((entry) => ({ ...entry, described: entry.described || entry.deviceId === chosen }))
  }, [])
}
const law = (holds: (known: Network, sightings: Sighting[], at: Date) => void) =>
  fc.assert(
    fc.property(anyPast, anySightings, fc.nat(5), (past, sightings, at) =>
      holds(networkAfter(past), sightings, new Date(at)),
    ),
    { numRuns: 500 },
  )

describe('after any series of scans', () => {
  it('every MAC of a scan has one interface, no address has two, and only a described device has neither', () => {
    law((known, sightings, at) => {
      const { after } = scan(known, sightings, at)
      const macs = after.flatMap(({ mac }) => mac ?? [])
      const ips = after.flatMap(({ ips: held }) => held)
      expect(macs.length).toBe(new Set(macs).size)
      expect(ips.length).toBe(new Set(ips).size)
      expect(macs).toEqual(expect.arrayContaining(sightings.flatMap(({ mac }) => mac ?? [])))
      const found = new Set(
        after.flatMap(({ deviceId, mac, ips: held }) => (mac || held.length > 0 ? deviceId : [])),
      )
      expect(after.filter(({ deviceId, described }) => !found.has(deviceId) && !described)).toEqual([])
    })
  })

  it('the same scan again changes nothing', () => {
    law((known, sightings, at) => {
      const { changes, after } = scan(known, sightings, at)
      const { changes: again } = scan(after, sightings, at)
      const { total } = changes.counts
      expect(again).toMatchObject({ newDevices: [], newInterfaces: [], changedInterfaces: [], merged: [] })
      expect(again.counts).toEqual({ created: 0, updated: 0, unchanged: total, total })
    })
  })

  it('the order of what a scan saw does not matter', () => {
    law((known, sightings, at) => {
      // Which of two MACs goes on as a device known by two addresses, with its further ones, is left to the
      // order; what was seen where is not.
      const named = new Set(sightings.flatMap(({ ips }) => ips))
      const [one, other] = [sightings, sightings.toReversed()].map((order) => {
        const { changes, after } = scan(known, order, at)
        const where = after.map(({ mac, ips }) => `${mac} ${ips.filter((ip) => named.has(ip)).sort()}`)
        return { total: changes.counts.total, seen: where.filter((line) => line !== 'null ').sort() }
      })
      expect(one).toEqual(other)
    })
  })

  it('an older scan moves nothing', () => {
    law((known, sightings) => {
      const { changes, after } = scan(known, sightings, new Date(-1))
      expect(changes).toMatchObject({ changedInterfaces: [], merged: [], seen: [] })
      expect(after.slice(0, known.length)).toEqual(known)
    })
  })

  it('the counts add up, and say what is written', () => {
    law((known, sightings, at) => {
      const { changes, after } = scan(known, sightings, at)
      const { created, updated, unchanged, total } = changes.counts
      expect(created + updated + unchanged).toBe(total)
      expect(created).toBe(changes.newDevices.length)
      expect(new Set(after.map(({ deviceId }) => deviceId)).size).toBe(
        new Set(known.map(({ deviceId }) => deviceId)).size + created - changes.merged.length,
      )
    })
  })

  it('a device that its user described gives way to no other, and who gives way leaves nothing behind', () => {
    law((known, sightings, at) => {
      const { changes, after } = scan(known, sightings, at)
      const gone = new Set(changes.merged.map(({ from }) => from))
      expect(known.filter(({ deviceId, described }) => described && gone.has(deviceId))).toEqual([])
      expect(after.filter(({ deviceId }) => gone.has(deviceId))).toEqual([])
    })
  })
})
