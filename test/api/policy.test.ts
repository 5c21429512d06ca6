/**
 * The policy as its owner sees it and as agents get it: at once, when it changes, and when time changes it.
 */
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { asAdmin } from '../support/database.ts'
import { newMac, openServer, type Person, type Router, type TestServer, worldOf } from '../support/world.ts'

let server: TestServer
let world: ReturnType<typeof worldOf>
let ada: Person
let home: Router
let macs: string[]

beforeAll(async () => {
  server = await openServer({ DATABASE_POOL_SIZE: '5' })
  world = worldOf(server)
  ada = await world.person()
})
afterAll(() => server.close())

const freshRouter = async (fields: Record<string, unknown> = {}) => {
  home = await ada.router(fields)
  macs = [newMac(), newMac()].sort()
  await home.scan(macs)
  return home
}
const policyOf = async (router: Router, query: Record<string, string> = {}) =>
  (await router.owner.call('GET', `/api/routers/${router.id}/policy`, { query })).json()
const fetchPolicy = (
  router: Router,
  revision?: string,
  query: Record<string, string> = {},
  accept = 'application/json',
) =>
  router.call('GET', '/api/agent/policy', {
    query,
    headers: { accept, ...(revision && { 'if-none-match': `"${revision}"` }) },
  })
const deviceWith = async (router: Router, mac: string) =>
  (await router.devices()).find((device) => (device.macs as string[]).includes(mac)) as { id: string }
const change = (router: Router, fields: Record<string, unknown>) =>
  router.owner.call('PATCH', `/api/routers/${router.id}`, { body: fields })
const pause = (router: Router, body: Record<string, unknown>) =>
  router.owner.call('POST', '/api/blocks', { body: { routerId: router.id, ...body } })

describe('the policy of a router', () => {
  it('says for each device what is decided and why, to its owner and to nobody else', async () => {
    const router = await freshRouter({ mode: 'whitelist', action: 'limit', limitRate: '2mbit' })
    const policy = await policyOf(router)
    expect(policy).toMatchObject({
      routerId: router.id,
      mode: 'whitelist',
      default: { decision: 'limit', rate: 2_000 },
      changesAt: [],
    })
    expect(policy.devices).toEqual(
      macs.map((mac) => ({
        deviceId: expect.any(String),
        macs: [mac],
        decision: 'limit',
        rate: 2_000,
        until: null,
        reasons: [{ code: 'not-whitelisted', text: 'Not on the whitelist' }],
        upcoming: [],
      })),
    )
    const bob = await world.person()
    for (const path of [
      `/api/routers/${router.id}/policy`,
      `/api/devices/${policy.devices[0].deviceId}/policy`,
    ]) {
      expect((await bob.call('GET', path)).statusCode).toBe(404)
    }
    expect((await ada.call('GET', `/api/devices/${policy.devices[0].deviceId}/policy`)).json()).toEqual(
      policy.devices[0],
    )
  })

  it('answers for another moment, and refuses the past and what is too far ahead', async () => {
    const router = await freshRouter()
    await pause(router, { minutes: 60 })
    const inMinutes = (count: number) => new Date(Date.now() + count * 60_000).toISOString()
    expect((await policyOf(router, { at: inMinutes(59) })).devices[0].decision).toBe('block')
    expect((await policyOf(router, { at: inMinutes(61) })).devices[0].decision).toBe('allow')
    for (const at of [inMinutes(-60), inMinutes(60 * 24 * 400), 'tomorrow'])
      expect((await ada.call('GET', `/api/routers/${router.id}/policy`, { query: { at } })).statusCode).toBe(
        400,
      )
  })

  it('has a revision that changes with the outcome, and with nothing else', async () => {
    const router = await freshRouter()
    const { revision } = await policyOf(router)
    await change(router, { name: 'Renamed', mode: 'blacklist', limitRate: 5 })
    expect((await policyOf(router)).revision).toBe(revision)
    await router.scan(macs)
    expect((await policyOf(router)).revision).toBe(revision)
    await change(router, { mode: 'whitelist' })
    expect((await policyOf(router)).revision).not.toBe(revision)
    await change(router, { mode: 'none' })
    expect((await policyOf(router)).revision).toBe(revision)
  })

  it('spares infrastructure and the router itself, and holds new devices when the owner wants that', async () => {
    const router = await freshRouter({ mode: 'whitelist', newDevices: 'hold' })
    const codes = async () =>
      (await policyOf(router)).devices.map((entry: { decision: string; reasons: { code: string }[] }) => [
        entry.decision,
        entry.reasons[0]?.code,
      ])
    expect(await codes()).toEqual([
      ['block', 'held'],
      ['block', 'held'],
    ])
    const { id } = await deviceWith(router, macs[0] as string)
    await ada.call('PATCH', `/api/devices/${id}`, { body: { isInfrastructure: true } })
    expect((await codes())[0]).toEqual(['allow', 'infrastructure'])
  })

  it('is known to the router as desired, beside what its agent applied', async () => {
    const router = await freshRouter()
    const { revision } = await policyOf(router)
    const shown = async () => (await ada.call('GET', `/api/routers/${router.id}`)).json()
    expect(await shown()).toMatchObject({
      desiredRevision: revision,
      appliedRevision: null,
      drift: true,
      agentError: null,
    })
    expect((await router.call('POST', '/api/agent/policy/applied', { body: { revision } })).statusCode).toBe(
      204,
    )
    expect(await shown()).toMatchObject({ appliedRevision: revision, drift: false })
    await change(router, { mode: 'whitelist' })
    await router.call('POST', '/api/agent/policy/applied', {
      body: { revision, error: 'nft: no such table' },
    })
    expect(await shown()).toMatchObject({
      appliedRevision: revision,
      drift: true,
      agentError: 'nft: no such table',
    })
    expect(
      (await ada.call('GET', '/api/routers', { query: { search: 'Home' } }))
        .json()
        .items.every((one: object) => 'desiredRevision' in one),
    ).toBe(true)
  })
})

describe('a preview', () => {
  const preview = (router: Router, changeWanted: unknown, who = ada) =>
    who.call('POST', `/api/routers/${router.id}/policy/preview`, { body: { change: changeWanted } })

  it('says which devices a change would affect, and saves nothing', async () => {
    const router = await freshRouter()
    const before = await policyOf(router)
    const ids = before.devices.map(({ deviceId }: { deviceId: string }) => deviceId)
    const affected = async (changeWanted: unknown) =>
      (await preview(router, changeWanted))
        .json()
        .affected.map((one: { deviceId: string; before: object; after: { decision: string } }) => [
          one.deviceId,
          one.after.decision,
        ])
    expect(await affected({ router: { mode: 'whitelist' } })).toEqual(ids.map((id: string) => [id, 'block']))
    expect(
      await affected({ router: { mode: 'whitelist' }, whitelist: { add: [{ deviceId: ids[0] }] } }),
    ).toEqual([[ids[1], 'block']])
    expect(
      await affected({
        router: { mode: 'blacklist', action: 'limit', limitRate: '1mbit' },
        blacklist: { add: [{ mac: macs[1]?.toUpperCase() }] },
      }),
    ).toEqual([[ids[1], 'limit']])
    expect(await affected({ blocks: [{ deviceId: ids[0], minutes: 5 }] })).toEqual([[ids[0], 'block']])
    expect(await affected({ blocks: [{}], devices: [{ deviceId: ids[1], isInfrastructure: true }] })).toEqual(
      [[ids[0], 'block']],
    )
    expect(await affected({})).toEqual([])
    const after = await policyOf(router)
    expect({ ...after, generatedAt: null }).toEqual({ ...before, generatedAt: null })
    expect((await ada.call('GET', '/api/blocks', { query: { routerId: router.id } })).json().total).toBe(0)
  })

  it('wakes nobody, and is refused as the change would be', async () => {
    const router = await freshRouter()
    const other = await freshRouter()
    const [stranger] = await other.devices()
    expect((await preview(router, { blocks: [{ deviceId: stranger?.id }] })).statusCode).toBe(404)
    expect((await preview(router, { router: { mode: 'all' } })).statusCode).toBe(400)
    expect((await preview(router, { router: { mode: 'none' } }, await world.person())).statusCode).toBe(404)
    const { revision } = (await fetchPolicy(router)).json()
    const waiting = fetchPolicy(router, revision, { wait: '1' })
    expect((await preview(router, { router: { mode: 'whitelist' } })).json().affected).toHaveLength(2)
    expect((await waiting).statusCode).toBe(304)
  })
})

describe('an agent', () => {
  it('gets the parts of its own router: devices and lists', async () => {
    const [router, other] = [await freshRouter(), await freshRouter()]
    await ada.call('POST', '/api/whitelist', { body: { routerId: other.id, mac: macs[0] } })
    await ada.call('POST', '/api/blacklist', { body: { routerId: other.id, mac: macs[1] } })
    const part = async (one: Router, name: string) => (await one.call('GET', `/api/agent/${name}`)).json()
    const devices = await part(other, 'devices')
    expect(devices.items.flatMap((device: { macs: string[] }) => device.macs).sort()).toEqual(macs)
    expect(await part(other, 'whitelist')).toMatchObject({
      total: 1,
      items: [{ mac: macs[0], routerId: other.id }],
    })
    expect(await part(other, 'blacklist')).toMatchObject({ total: 1, items: [{ mac: macs[1] }] })
    expect([await part(router, 'whitelist'), await part(router, 'blacklist')]).toMatchObject([
      { total: 0 },
      { total: 0 },
    ])
  })

  it('gets its own router policy in three forms, each with the revision as ETag, and 304 when it has it', async () => {
    const router = await freshRouter({ mode: 'blacklist' })
    const json = await fetchPolicy(router)
    const { revision } = json.json()
    expect(json.headers).toMatchObject({ etag: `"${revision}"`, vary: expect.stringContaining('Accept') })
    const nft = await fetchPolicy(router, undefined, {}, 'text/x-nftables')
    expect(nft.headers).toMatchObject({
      etag: `"${revision}"`,
      'content-type': 'text/x-nftables; charset=utf-8',
    })
    expect(nft.body).toContain('table inet netpilot')
    const text = await fetchPolicy(router, undefined, {}, 'text/plain')
    expect(text.body).toBe(`${macs.map((mac) => `${mac} allow`).join('\n')}\n`)
    for (const tag of [`"${revision}"`, `W/"${revision}"`, revision, `"x", "${revision}"`, '*']) {
      const answer = await router.call('GET', '/api/agent/policy', { headers: { 'if-none-match': tag } })
      expect([answer.statusCode, answer.body], tag).toEqual([304, ''])
    }
    expect((await fetchPolicy(router, 'other')).statusCode).toBe(200)
  })

  it('is told the same revision by scans and heartbeats', async () => {
    const router = await freshRouter()
    const { revision } = (await fetchPolicy(router)).json()
    expect((await router.call('POST', '/api/agent/heartbeat', { body: {} })).json().policyRevision).toBe(
      revision,
    )
    expect((await router.scan(macs)).json().policyRevision).toBe(revision)
    expect((await router.scan([newMac()])).json().policyRevision).not.toBe(revision)
  })

  it('sees the policy of its own router only, and can change none of it', async () => {
    const [router, other] = [await freshRouter(), await freshRouter()]
    expect((await fetchPolicy(router)).json().routerId).toBe(router.id)
    for (const [method, url] of [
      ['GET', `/api/routers/${router.id}/policy`],
      ['PATCH', `/api/routers/${other.id}`],
      ['POST', '/api/blocks'],
      ['POST', '/api/whitelist'],
      ['POST', '/api/groups'],
    ] as const) {
      expect((await router.call(method, url, method === 'GET' ? {} : { body: {} })).statusCode, url).toBe(401)
    }
  })

  it('that waits is answered within a second of a change, and at the end of its wait with 304', async () => {
    const router = await freshRouter()
    const { revision } = (await fetchPolicy(router)).json()
    const nothing = await fetchPolicy(router, revision, { wait: '1' })
    expect([nothing.statusCode, nothing.body]).toEqual([304, ''])

    const waiting = fetchPolicy(router, revision, { wait: '30' })
    // A scan of the same agent is served meanwhile, and changes nothing.
    await router.scan(macs)
    const began = performance.now()
    await change(router, { mode: 'whitelist' })
    const changed = await waiting
    expect(changed.statusCode).toBe(200)
    expect(changed.json()).toMatchObject({ mode: 'whitelist', default: { decision: 'block' } })
    expect(performance.now() - began).toBeLessThan(10_000)
  })

  it('that waits is answered when a pause ends by itself, without a call', async () => {
    const router = await freshRouter()
    const { id } = await deviceWith(router, macs[0] as string)
    await ada.call('POST', '/api/blocks', {
      body: { deviceId: id, until: new Date(Date.now() + 1_500).toISOString() },
    })
    const paused = (await fetchPolicy(router)).json()
    expect(paused.devices[0]).toMatchObject({ decision: 'block', until: expect.any(String) })
    expect(paused.changesAt).toEqual([paused.devices[0].until])
    const back = await fetchPolicy(router, paused.revision, { wait: '30' })
    expect(back.json().devices[0]).toMatchObject({ decision: 'allow', until: null })
    expect(Date.parse(back.json().generatedAt)).toBeGreaterThanOrEqual(Date.parse(paused.devices[0].until))
    expect(Date.parse(back.json().generatedAt) - Date.parse(paused.devices[0].until)).toBeLessThan(1_000)
  })

  it('hears of a change that another server made', async () => {
    const router = await freshRouter()
    const second = await openServer({}, inject('database'), { secrets: server.secrets })
    const { revision } = (await fetchPolicy(router)).json()
    const waiting = fetchPolicy(router, revision, { wait: '30' })
    const answer = await second.app.inject({
      method: 'PATCH',
      url: `/api/routers/${router.id}`,
      headers: { authorization: `Bearer ${ada.accessToken}` },
      payload: { mode: 'whitelist' },
    })
    expect(answer.statusCode).toBe(200)
    expect((await waiting).json()).toMatchObject({ mode: 'whitelist' })
    await second.close()
  })
})

describe('five hundred agents that wait at once', () => {
  it('hold no connection to the database, are answered when their own router changes, and all at once when the server leaves', async () => {
    const own = await openServer({ DATABASE_POOL_SIZE: '4' })
    const people = worldOf(own)
    const owner = await people.person()
    const router = await owner.router()
    const other = await owner.router()
    const { revision } = (await fetchPolicy(other)).json()
    await own.app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = own.app.server.address() as AddressInfo
    const answered: number[] = []
    const poll = (agent: Router) =>
      new Promise<number>((resolve, reject) => {
        const headers = { 'x-api-key': agent.key, 'if-none-match': `"${revision}"` }
        httpRequest({ port, path: '/api/agent/policy?wait=60', headers, agent: false }, (answer) => {
          answer.resume()
          answer.on('end', () => {
            answered.push(answer.statusCode ?? 0)
            resolve(answer.statusCode ?? 0)
          })
        })
          .on('error', reject)
          .end()
      })
    // All agents of `other` share a revision: a policy without devices. In small steps, since each looks
    // twice before it waits.
    const waiting: Promise<number>[] = []
    let looks = 0
    own.pools.server.on('release', () => {
      looks += 1
    })
    const looked = async (times: number) => {
      while (looks < times) await once(own.pools.server, 'release')
    }
    for (let step = 1; step <= 25; step += 1) {
      waiting.push(...Array.from({ length: 20 }, () => poll(other)))
      await looked(step * 40)
    }
    const one = poll(router)
    await looked(1_002)
    expect(answered).toEqual([])
    expect(own.pools.server.totalCount).toBeLessThanOrEqual(4)
    expect(own.pools.server.idleCount).toBe(own.pools.server.totalCount)

    await owner.call('PATCH', `/api/routers/${router.id}`, { body: { mode: 'whitelist' } })
    expect(await one).toBe(200)
    expect(answered).toEqual([200])

    const began = performance.now()
    own.closing.abort()
    expect(new Set(await Promise.all(waiting))).toEqual(new Set([304]))
    expect(performance.now() - began).toBeLessThan(10_000)
    await own.close()
  })
})

describe('a device that was listed before it was seen', () => {
  it('has its place in the policy by its MAC', async () => {
    const router = await freshRouter({ mode: 'blacklist' })
    const mac = newMac()
    await asAdmin(inject('database').adminUrl, (client) =>
      client.query('insert into user_blacklists (user_id, router_id, mac) values ($1, $2, $3)', [
        ada.id,
        router.id,
        mac,
      ]),
    )
    const listed = async () =>
      (await policyOf(router)).devices.find((entry: { macs: string[] }) => entry.macs.includes(mac))
    expect(await listed()).toMatchObject({
      deviceId: null,
      decision: 'block',
      reasons: [{ code: 'blacklisted', id: expect.any(String) }],
    })
    await router.scan([mac])
    expect(await listed()).toMatchObject({ deviceId: expect.any(String), decision: 'block' })
  })
})
