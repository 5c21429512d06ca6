/** The nft form against nft, the kernel and real packets, in a router made of network namespaces. */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { PolicyEntry } from '../../src/modules/policy/document.ts'
import { toNftScript } from '../../src/modules/policy/nft.ts'
import { ALLOW, BLOCK, documentOf, entryOf, limit, macOf } from '../support/documents.ts'
import {
  FORWARDED,
  KID,
  MUM,
  missing,
  type Network,
  openNetwork,
  ROUTER,
  UPLINK,
  UPSTREAM,
  WORLD,
} from './network.ts'

let network: Network

beforeAll(() => {
  const lacks = missing()
  if (lacks.length > 0) throw new Error(`The system tests need ${lacks.join(' and ')}`)
})
beforeEach(async () => {
  network = await openNetwork()
})
afterEach(() => network.close())

const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000)
const scriptOf = (devices: PolicyEntry[], unlisted = ALLOW) =>
  toNftScript(documentOf(devices, new Date(), unlisted), new Date())
const load = (devices: PolicyEntry[], unlisted = ALLOW) => network.nft(scriptOf(devices, unlisted))

/** Devices with every kind of outcome, now and later. */
const crowd = (count: number) =>
  Array.from({ length: count }, (_, number) => {
    const outcomes = [BLOCK, limit(500 + (number % 7) * 100), ALLOW]
    const [now = ALLOW, later = ALLOW] = [outcomes[number % 3], outcomes[(number + 1) % 3]]
    const upcoming = [later, now].map((outcome, index) => ({
      at: inSeconds(600 * (index + 1) + number),
      ...outcome,
    }))
    return entryOf([macOf(2 * number), macOf(2 * number + 1)], now, number % 2 ? upcoming : [])
  })

describe('nft', () => {
  it.each([0, 1, 5_000])('accepts and loads the script of %i devices, twice', async (count) => {
    for (const unlisted of [ALLOW, BLOCK, limit(256)]) {
      const script = scriptOf(crowd(count), unlisted)
      const started = performance.now()
      await network.nft(script, '-c')
      expect(await network.tables()).not.toContain('netpilot')
      await network.nft(script)
      await network.nft(script)
      expect(performance.now() - started).toBeLessThan(10_000)
      await network.nft('delete table inet netpilot')
    }
  })

  it('keeps the script before when one is refused', async () => {
    await load([entryOf([KID], BLOCK)])
    const before = await network.tables()
    await expect(
      network.nft(scriptOf([entryOf([MUM], BLOCK)]).replace('goto returned', 'goto nowhere')),
    ).rejects.toThrow('nowhere')
    expect(await network.tables()).toBe(before)
  })
})

describe('a router with the policy', () => {
  it('passes nothing of a blocked device, established or new, and everything of the others', async () => {
    const world = await network.talk('world', 'server')
    const kid = await network.talk('kid', 'beat', ...WORLD)
    const mum = await network.talk('mum', 'beat', ...WORLD)
    for (const address of WORLD) await Promise.all([kid.hears(address), mum.hears(address)])

    await load([entryOf([KID], BLOCK)])
    await Promise.all([kid.hearsNothing(), world.hearsNothing('kid')])
    await (await network.talk('kid', 'beat', ...WORLD)).hearsNothing()
    for (const address of WORLD) await mum.hears(address)

    await load([entryOf([MUM], BLOCK)])
    for (const address of WORLD) await kid.hears(address)
    await mum.hearsNothing()
  })

  it('ends a pause by itself', async () => {
    await network.talk('world', 'server')
    const kid = await network.talk('kid', 'beat', ...WORLD)
    await load([entryOf([KID], BLOCK, [{ at: inSeconds(2), ...ALLOW }])])
    const started = performance.now()
    await kid.hearsNothing()
    for (const address of WORLD) await kid.hears(address)
    expect(performance.now() - started).toBeGreaterThan(1_500)
  })

  it('starts and ends a window by itself, even for a stream to which the device says nothing', async () => {
    await network.talk('world', 'server')
    await load([entryOf([KID], limit(90_000))])
    const kid = await network.talk('kid', 'listen', ...WORLD)
    for (const address of WORLD) await kid.hears(address)
    const upcoming = [
      { at: inSeconds(2), ...BLOCK },
      { at: inSeconds(4), ...ALLOW },
    ]
    await load([entryOf([KID], ALLOW, upcoming)])
    for (const address of WORLD) await kid.hears(address)
    await kid.hearsNothing()
    for (const address of WORLD) await kid.hears(address)
  })

  it.each(['download', 'upload'])('holds a limited device to its rate: %s', async (direction) => {
    const world = await network.talk('world', 'server')
    await load([entryOf([KID], limit(4_000))])
    const bytesOf = async (machine: 'kid' | 'mum') => {
      const talker = await network.talk(machine, direction, WORLD[0])
      return (direction === 'download' ? talker : world).bytesIn(4_000)
    }
    const slow = await bytesOf('kid')
    // Four seconds at 500 kB/s, and what the bucket holds at first.
    expect(slow).toBeLessThan(4 * 500_000 + 500_000 + 65_536)
    expect(slow).toBeGreaterThan(500_000)
    expect(await bytesOf('mum')).toBeGreaterThan(4 * slow)
  })

  it('limits and blocks whom it does not know when the policy says so, and nobody whom it knows', async () => {
    const world = await network.talk('world', 'server')
    const [kid, mum] = [
      await network.talk('kid', 'beat', ...WORLD),
      await network.talk('mum', 'beat', ...WORLD),
    ]
    await load([entryOf([MUM], ALLOW)], BLOCK)
    await Promise.all([kid.hearsNothing(), world.hearsNothing('kid')])
    for (const address of WORLD) await mum.hears(address)

    await load([entryOf([MUM], ALLOW), entryOf([KID], ALLOW)], BLOCK)
    for (const address of WORLD) await kid.hears(address)

    await load([entryOf([MUM], ALLOW)], limit(800))
    const [slow, fast] = [
      await network.talk('kid', 'download', WORLD[0]),
      await network.talk('mum', 'download', WORLD[0]),
    ]
    const [few, many] = await Promise.all([slow.bytesIn(2_000), fast.bytesIn(2_000)])
    expect(few).toBeLessThan(2 * 100_000 + 100_000 + 65_536)
    expect(many).toBeGreaterThan(10 * few)
  })

  it('serves a blocked device itself', async () => {
    await network.talk('router', 'server')
    const kid = await network.talk('kid', 'beat', ...ROUTER)
    await load([entryOf([KID], BLOCK)], BLOCK)
    for (const address of ROUTER) await kid.hears(address)
  })

  it('lets the uplink be unknown, or on a list, without cutting off the others', async () => {
    await network.talk('world', 'server')
    const mum = await network.talk('mum', 'beat', ...WORLD, UPSTREAM)
    await load([entryOf([MUM], ALLOW)], BLOCK)
    for (const address of [...WORLD, UPSTREAM]) await mum.hears(address)
    await load([entryOf([MUM], ALLOW), entryOf([UPLINK], BLOCK)], BLOCK)
    for (const address of WORLD) await mum.hears(address)
    await mum.hearsNothing(UPSTREAM)
  })

  it('blocks what the firewall leaves untracked, too', async () => {
    const world = await network.talk('world', 'server')
    await network.talk('kid', 'beat', WORLD[1])
    await network.nft(
      'table inet raw { chain prerouting { type filter hook prerouting priority raw; notrack; }; }',
    )
    await world.hears('kid')
    await load([entryOf([KID], BLOCK)])
    await world.hearsNothing('kid')
  })

  it('judges what answers a forwarded port by the device that answers', async () => {
    await network.talk('mum', 'server')
    const world = await network.talk('world', 'beat', FORWARDED)
    await load([entryOf([MUM], ALLOW)], BLOCK)
    await world.hears(FORWARDED)
    await load([entryOf([MUM], BLOCK)])
    await world.hearsNothing()
  })
})
