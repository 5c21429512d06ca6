/**
 * The table of cases: every fact alone, every pair of facts, and both clock changes of a year in three time
 * zones. Then properties.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { gatherDevices } from '../../src/modules/policy/build-facts.ts'
import { decide } from '../../src/modules/policy/decide.ts'
import { evaluate } from '../../src/modules/policy/evaluate.ts'
import type {
  BlockFact,
  DeviceFacts,
  OverrideFact,
  RouterFacts,
  ScheduleFact,
} from '../../src/modules/policy/facts.ts'
import type { PolicyRows } from '../../src/modules/policy/repository.ts'

const at = new Date('2026-11-21T12:00:00Z')
const minutes = (count: number) => new Date(at.getTime() + count * 60_000)
const around = [{ from: minutes(-30), to: minutes(30) }]
const later = [{ from: minutes(60), to: minutes(90) }]

const plainRouter: RouterFacts = {
  id: 'r',
  ip: '192.0.2.1',
  mode: 'none',
  action: 'limit',
  limitRate: 1_000,
  fullRate: 50_000,
  newDevices: 'allow',
}
const plainDevice: DeviceFacts = {
  id: 'd',
  macs: ['00:00:5e:00:53:01'],
  ips: ['192.0.2.7'],
  isInfrastructure: false,
  approval: 'approved',
  rate: null,
  groupRate: null,
  whitelistEntries: [],
  blacklistEntries: [],
  blocks: [],
  schedules: [],
  overrides: [],
}

type Case = { device: DeviceFacts; router: RouterFacts }
const onDevice = (change: (device: DeviceFacts) => Partial<DeviceFacts>) => (one: Case) => ({
  ...one,
  device: { ...one.device, ...change(one.device) },
})
const both = (device: Partial<DeviceFacts>, router: Partial<RouterFacts>) => (one: Case) => ({
  device: { ...one.device, ...device },
  router: { ...one.router, ...router },
})
const blocked = (type: BlockFact['type'], until: Date | null) =>
  onDevice(({ blocks }) => ({
    blocks: [...blocks, { id: type, type, scope: 'device', until, reason: null }],
  }))
const scheduled = (kind: ScheduleFact['kind'], windows: ScheduleFact['windows']) =>
  onDevice(({ schedules }) => ({ schedules: [...schedules, { id: kind, kind, scope: 'group', windows }] }))
const overridden = (decision: OverrideFact['decision']) =>
  onDevice(({ overrides }) => ({ overrides: [...overrides, { id: decision, decision, until: minutes(10) }] }))

/** Each fact by a letter: what it does to a case, what it decides alone, and the code of the reason. */
const FACTS: Record<string, [change: (one: Case) => Case, decision: string, code: string]> = {
  I: [onDevice(() => ({ isInfrastructure: true })), 'allow', 'infrastructure'],
  R: [onDevice(() => ({ ips: ['192.0.2.1'] })), 'allow', 'router'],
  M: [blocked('manual', null), 'block', 'manual-block'],
  P: [blocked('pause', minutes(5)), 'block', 'pause'],
  S: [scheduled('blocked-during', around), 'block', 'schedule'],
  O: [scheduled('allowed-only-during', later), 'block', 'outside-schedule'],
  A: [overridden('allow'), 'allow', 'mode-none'],
  B: [overridden('block'), 'block', 'override'],
  H: [both({ approval: 'held' }, { newDevices: 'hold' }), 'block', 'held'],
  L: [both({ blacklistEntries: ['b'] }, { mode: 'blacklist' }), 'limit', 'blacklisted'],
  W: [both({}, { mode: 'whitelist' }), 'limit', 'not-whitelisted'],
  G: [both({ whitelistEntries: ['w'] }, { mode: 'whitelist' }), 'allow', 'whitelisted'],
}
const LETTER = { a: 'allow', b: 'block', l: 'limit' } as Record<string, string>

/** What two facts together decide; a dot where a router cannot have both (its mode is one). */
const PAIRS = `
    I R M P S O A B H L W G
  I a a a a a a a a a a a a
  R a a a a a a a a a a a a
  M a a b b b b b b b b b b
  P a a b b b b b b b b b b
  S a a b b b b a b b b b b
  O a a b b b b a b b b b b
  A a a b b a a a a b l l a
  B a a b b b b a b b b b b
  H a a b b b b b b b b b b
  L a a b b b b l b b l . .
  W a a b b b b l b b . l a
  G a a b b b b a b b . a a`
const [letters = [], ...rows] = PAIRS.trim()
  .split('\n')
  .map((line) => line.trim().split(' '))
const pairs = rows
  .flatMap(([first = '', ...cells]) =>
    cells.map((cell, index) => [first, letters[index] ?? '', cell] as const),
  )
  .filter(([, , cell]) => cell !== '.')

const judge = ({ device, router }: Case) => decide(device, router, at)
const plain: Case = { device: plainDevice, router: plainRouter }

describe('a decision', () => {
  it('is to allow, at the full rate, when nothing is known', () => {
    expect(judge(plain)).toEqual({
      decision: 'allow',
      rate: 50_000,
      reasons: [{ code: 'mode-none', text: expect.any(String) }],
    })
  })

  it.each(Object.entries(FACTS))('has a reason for %s alone', (_letter, [change, decision, code]) => {
    const verdict = judge(change(plain))
    expect(verdict.decision).toBe(decision)
    expect(verdict.reasons.map((reason) => reason.code)).toContain(code)
  })

  it.each(pairs)('of %s and %s together is %s', (first, second, cell) => {
    const [one, other] = [FACTS[first], FACTS[second]]
    if (!one || !other) throw new Error('no such fact')
    expect(judge(other[0](one[0](plain))).decision).toBe(LETTER[cell])
    expect(judge(one[0](other[0](plain)))).toEqual(judge(other[0](one[0](plain))))
  })

  it('covers every pair of facts', () => {
    expect(letters).toEqual(Object.keys(FACTS))
    expect(rows.map(([first]) => first)).toEqual(Object.keys(FACTS))
    expect(pairs.length).toBe(12 * 12 - 4)
  })

  it('names the pause of the device, then of its group, then of the router', () => {
    const scopes = ['router', 'device', 'group'] as const
    const device = {
      ...plainDevice,
      blocks: scopes.map((scope) => ({
        id: scope,
        type: 'pause' as const,
        scope,
        until: minutes(5),
        reason: null,
      })),
    }
    expect(
      judge({ ...plain, device })
        .reasons.map(({ id }) => id)
        .sort(),
    ).toEqual(['device', 'group', 'router'])
  })

  it('tells every reason that led there, the deciding one first, and what the user wrote', () => {
    const device = {
      ...plainDevice,
      blocks: [
        { id: 'm', type: 'manual' as const, scope: 'device' as const, until: null, reason: 'homework' },
      ],
    }
    const held = (FACTS.H as (typeof FACTS)[string])[0]({ ...plain, device })
    expect(judge(held).reasons).toEqual([
      {
        code: 'manual-block',
        text: 'The device is blocked: homework',
        id: 'm',
        scope: 'device',
        note: 'homework',
      },
      { code: 'held', text: expect.any(String) },
    ])
  })

  it.each([
    ['M', { id: 'manual', scope: 'device' }],
    ['P', { id: 'pause', scope: 'device', until: minutes(5) }],
    ['S', { id: 'blocked-during', scope: 'group' }],
    ['O', { id: 'allowed-only-during', scope: 'group' }],
    ['B', { id: 'block', scope: 'device', until: minutes(10) }],
    ['H', {}],
    ['L', { id: 'b' }],
    ['R', {}],
  ])('tells the facts of %s apart from the English sentence', (letter, facts) => {
    const [change, , code] = FACTS[letter] as (typeof FACTS)[string]
    const [{ text, ...reason } = { text: '' }] = judge(change(plain)).reasons
    expect(reason).toEqual({ code, ...facts })
    expect(text).not.toBe('')
  })

  it('tells until when schedules are lifted', () => {
    const lifted = [FACTS.S, FACTS.A].reduce((one, fact) => fact?.[0](one) ?? one, plain)
    expect(judge(lifted).reasons[0]).toMatchObject({ code: 'override', scope: 'device', until: minutes(10) })
  })

  it.each([
    ['the device, then its group, then the router', { rate: 5, groupRate: 6 }, 5],
    ['its group when it has none', { rate: null, groupRate: 6 }, 6],
    ['the router when neither has', { rate: null, groupRate: null }, 50_000],
  ])('takes the rate from %s', (_whose, rates, expected) => {
    expect(judge({ ...plain, device: { ...plainDevice, ...rates } }).rate).toBe(expected)
  })

  it('has no rate for the blocked and for infrastructure, and the limit for the limited', () => {
    const rateOf = (letter: string) => judge((FACTS[letter] as (typeof FACTS)[string])[0](plain)).rate
    expect([rateOf('M'), rateOf('I'), rateOf('R'), rateOf('L')]).toEqual([null, null, null, 1_000])
  })
})

const zoned = (timeZone: string, kind: ScheduleFact['kind'] = 'blocked-during'): PolicyRows => ({
  router: { ...plainRouter, timeZone, now: at },
  devices: [
    {
      id: 'd',
      groupId: null,
      groupRate: null,
      rate: null,
      isInfrastructure: false,
      approval: 'approved',
    },
  ],
  interfaces: [{ deviceId: 'd', mac: '00:00:5e:00:53:01', ips: [] }],
  ...{ merged: [], entries: [], blocks: [], overrides: [] },
  schedules: [
    {
      id: 's',
      deviceId: 'd',
      groupId: null,
      kind,
      days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'],
      start: '21:00',
      end: '07:00',
    },
  ],
})

describe('a night from 21:00 to 07:00', () => {
  // Local 20:59, 21:00, 06:59 and 07:00 of the night in which the clock changes, in UTC.
  it.each([
    [
      'Europe/Berlin, forward',
      'Europe/Berlin',
      ['2026-03-28T19:59Z', '2026-03-28T20:00Z', '2026-03-29T04:59Z', '2026-03-29T05:00Z'],
    ],
    [
      'Europe/Berlin, back',
      'Europe/Berlin',
      ['2026-10-24T18:59Z', '2026-10-24T19:00Z', '2026-10-25T05:59Z', '2026-10-25T06:00Z'],
    ],
    [
      'America/New_York, forward',
      'America/New_York',
      ['2026-03-08T01:59Z', '2026-03-08T02:00Z', '2026-03-08T10:59Z', '2026-03-08T11:00Z'],
    ],
    [
      'America/New_York, back',
      'America/New_York',
      ['2026-11-01T00:59Z', '2026-11-01T01:00Z', '2026-11-01T11:59Z', '2026-11-01T12:00Z'],
    ],
    [
      'Australia/Lord_Howe, forward',
      'Australia/Lord_Howe',
      ['2026-10-03T10:29Z', '2026-10-03T10:30Z', '2026-10-03T19:59Z', '2026-10-03T20:00Z'],
    ],
    [
      'Australia/Lord_Howe, back',
      'Australia/Lord_Howe',
      ['2026-04-04T09:59Z', '2026-04-04T10:00Z', '2026-04-04T20:29Z', '2026-04-04T20:30Z'],
    ],
  ])('begins and ends on the minute in %s', (_name, timeZone, moments) => {
    const decisions = (kind: ScheduleFact['kind']) =>
      moments.map((moment) => {
        const rowsThen = zoned(timeZone, kind)
        return evaluate(rowsThen.router, gatherDevices(rowsThen, new Date(moment)), new Date(moment))
          .devices[0]?.decision
      })
    expect(decisions('blocked-during')).toEqual(['allow', 'block', 'block', 'allow'])
    expect(decisions('allowed-only-during')).toEqual(['block', 'allow', 'allow', 'block'])
  })

  it('tells when it ends and begins', () => {
    const rowsNow = zoned('Europe/Berlin')
    const { devices, changesAt } = evaluate(rowsNow.router, gatherDevices(rowsNow, at), at)
    expect(devices[0]).toMatchObject({ decision: 'allow', until: new Date('2026-11-21T20:00Z') })
    expect(devices[0]?.upcoming[1]).toMatchObject({ decision: 'allow', at: new Date('2026-11-22T06:00Z') })
    expect(changesAt).toEqual(devices[0]?.upcoming.map((change) => change.at))
  })
})

describe('a schedule that never lets go', () => {
  it('has no end, and leaves the revision alone from day to day', () => {
    const always: PolicyRows = {
      ...zoned('Europe/Berlin'),
      schedules: [
        {
          ...(zoned('Europe/Berlin').schedules[0] as PolicyRows['schedules'][number]),
          start: '07:00',
          end: '07:00',
        },
      ],
    }
    const on = (day: number) => {
      const moment = new Date(at.getTime() + day * 86_400_000)
      return evaluate(always.router, gatherDevices(always, moment), moment)
    }
    expect(on(0).devices[0]).toMatchObject({ decision: 'block', until: null, upcoming: [] })
    expect(new Set([0, 1, 2, 5].map((day) => on(day).revision)).size).toBe(1)
  })
})

const time = fc.integer({ min: -600, max: 600 }).map(minutes)
const scope = fc.constantFrom('device' as const, 'group' as const, 'router' as const)
const id = fc.uuid()
const anyDevice: fc.Arbitrary<DeviceFacts> = fc.record({
  id,
  macs: fc.constant(['00:00:5e:00:53:01']),
  ips: fc.constantFrom(['192.0.2.7'], ['192.0.2.1'], []),
  isInfrastructure: fc.boolean(),
  approval: fc.constantFrom('approved', 'held', 'dismissed'),
  rate: fc.option(fc.integer({ min: 1, max: 9 })),
  groupRate: fc.option(fc.integer({ min: 1, max: 9 })),
  whitelistEntries: fc.array(id, { maxLength: 2 }),
  blacklistEntries: fc.array(id, { maxLength: 2 }),
  blocks: fc.array(
    fc.oneof(
      fc.record({
        id,
        type: fc.constant('manual' as const),
        scope,
        until: fc.constant(null),
        reason: fc.constant(null),
      }),
      fc.record({ id, type: fc.constant('pause' as const), scope, until: time, reason: fc.constant(null) }),
    ),
    { maxLength: 3 },
  ),
  schedules: fc.array(
    fc.record({
      id,
      kind: fc.constantFrom('blocked-during' as const, 'allowed-only-during' as const),
      scope,
      windows: fc.array(
        fc.tuple(time, time).map(([a, b]) => (a < b ? { from: a, to: b } : { from: b, to: a })),
        { maxLength: 3 },
      ),
    }),
    { maxLength: 3 },
  ),
  overrides: fc.array(
    fc.record({ id, decision: fc.constantFrom('allow' as const, 'block' as const), until: time }),
    { maxLength: 3 },
  ),
})
const anyRouter: fc.Arbitrary<RouterFacts> = fc.record({
  id: fc.constant('r'),
  ip: fc.constantFrom('192.0.2.1', null),
  mode: fc.constantFrom('none', 'whitelist', 'blacklist'),
  action: fc.constantFrom('block', 'limit'),
  limitRate: fc.constant(1_000),
  fullRate: fc.constant(null),
  newDevices: fc.constantFrom('allow', 'hold'),
})
const check = (property: (device: DeviceFacts, router: RouterFacts) => void) =>
  fc.assert(fc.property(anyDevice, anyRouter, property), { numRuns: 500 })
const STRICTNESS = ['allow', 'limit', 'block']
const strictness = (device: DeviceFacts, router: RouterFacts, moment = at) =>
  STRICTNESS.indexOf(decide(device, router, moment).decision)

describe('every decision', () => {
  it('is the same whatever the order of the facts', () =>
    check((device, router) => {
      const turned = {
        ...device,
        blocks: device.blocks.toReversed(),
        schedules: device.schedules.toReversed(),
        overrides: device.overrides.toReversed(),
      }
      expect(decide(turned, router, at).decision).toBe(decide(device, router, at).decision)
      expect(new Set(decide(turned, router, at).reasons.map((reason) => reason.id))).toEqual(
        new Set(decide(device, router, at).reasons.map((reason) => reason.id)),
      )
    }))

  it('rests on the same one of two overrides that are equal, whatever their order', () => {
    const [one, other] = ['a', 'b'].map((name) => ({
      id: name,
      decision: 'block' as const,
      until: minutes(10),
    })) as [OverrideFact, OverrideFact]
    const reasonsOf = (overrides: OverrideFact[]) =>
      decide({ ...plainDevice, overrides }, plainRouter, at).reasons
    expect(reasonsOf([other, one])).toEqual(reasonsOf([one, other]))
  })

  it('has at least one reason', () =>
    check((device, router) => {
      expect(decide(device, router, at).reasons.length).toBeGreaterThan(0)
    }))

  it('is never stricter for being on the whitelist, nor milder for being on the blacklist', () =>
    check((device, router) => {
      const whitelisted = { ...device, whitelistEntries: [...device.whitelistEntries, 'w'] }
      const blacklisted = { ...device, blacklistEntries: [...device.blacklistEntries, 'b'] }
      expect(strictness(whitelisted, router)).toBeLessThanOrEqual(strictness(device, router))
      expect(strictness(blacklisted, router)).toBeGreaterThanOrEqual(strictness(device, router))
    }))

  it('is never milder for a block more, and never to block infrastructure or the router', () =>
    check((device, router) => {
      const more = {
        ...device,
        blocks: [
          ...device.blocks,
          { id: 'x', type: 'manual' as const, scope: 'router' as const, until: null, reason: null },
        ],
      }
      expect(strictness(more, router)).toBeGreaterThanOrEqual(strictness(device, router))
      expect(decide({ ...more, isInfrastructure: true }, router, at).decision).toBe('allow')
    }))

  it('of a pause that lasts longer blocks at no moment at which the shorter one would, and the longer would not', () =>
    fc.assert(
      fc.property(anyDevice, anyRouter, time, time, time, (device, router, a, b, moment) => {
        const paused = (until: Date) => ({
          ...device,
          blocks: [
            ...device.blocks,
            { id: 'x', type: 'pause' as const, scope: 'device' as const, until, reason: null },
          ],
        })
        const [shorter, longer] = a < b ? [a, b] : [b, a]
        expect(strictness(paused(longer), router, moment)).toBeGreaterThanOrEqual(
          strictness(paused(shorter), router, moment),
        )
        if (moment < shorter)
          expect(decide(paused(longer), router, moment).decision).toBe(
            decide(paused(shorter), router, moment).decision,
          )
      }),
    ))

  it('holds until the moment that it names, and changes then', () =>
    check((device, router) => {
      const [entry] = evaluate(router, [device], at).devices
      if (!entry?.until) return
      const outcomeAt = (moment: Date) => {
        const { decision, rate } = decide(device, router, moment)
        return { decision, rate }
      }
      const now = { decision: entry.decision, rate: entry.rate }
      expect(outcomeAt(new Date(entry.until.getTime() - 1))).toEqual(now)
      expect(outcomeAt(entry.until)).not.toEqual(now)
    }))

  it('leaves the revision alone as time passes, until an outcome changes', () =>
    check((device, router) => {
      const document = evaluate(router, [device], at)
      const until = document.devices[0]?.until ?? minutes(700)
      const before = new Date(until.getTime() - 1)
      expect(evaluate(router, [device], before).revision).toBe(document.revision)
      if (document.devices[0]?.until)
        expect(evaluate(router, [device], until).revision).not.toBe(document.revision)
    }))
})
