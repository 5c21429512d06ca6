/**
 * Versions of what people edit: `ETag` and `If-Match`, of each resource whose path has a GET and a change.
 */
import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { listOperations, type Operation } from '../support/operations.ts'
import { expectProblem } from '../support/problems.ts'
import { type Answer, newMac, type Person, type Router, sharedWorld, type World } from '../support/world.ts'

/** A resource: its path and, for each number, a body that changes it into something else. */
type Resource = { url: string; change: (number: number) => object }
type Home = { ada: Person; router: Router; mac: string; device: string; routerId: string }

let world: World
let operations: Operation[]
beforeAll(async () => {
  world = await sharedWorld()
  operations = await listOperations(world)
})

async function newHome(): Promise<Home> {
  const ada = await world.person()
  const router = await ada.router()
  const mac = newMac()
  await router.scan([{ mac, hostname: 'tablet' }])
  return { ada, router, mac, routerId: router.id, device: String((await router.devices())[0]?.id) }
}

const made = async ({ ada }: Home, url: string, body: object) =>
  `${url}/${(await ada.call('POST', url, { body })).json().id}`
const name = (number: number) => ({ name: `name ${number}` })

/** By the path in the OpenAPI document. */
const RESOURCES: Record<string, (home: Home) => Promise<Resource>> = {
  '/api/routers/{id}': async ({ routerId }) => ({ url: `/api/routers/${routerId}`, change: name }),
  '/api/devices/{id}': async ({ device }) => ({ url: `/api/devices/${device}`, change: name }),
  '/api/groups/{id}': async (home) => ({
    url: await made(home, '/api/groups', { routerId: home.routerId, name: randomUUID() }),
    change: name,
  }),
  '/api/schedules/{id}': async (home) => ({
    url: await made(home, '/api/schedules', {
      deviceId: home.device,
      kind: 'blocked-during',
      days: ['mon'],
      start: '21:00',
      end: '07:00',
    }),
    change: (number) => ({ start: `20:${String(number).padStart(2, '0')}` }),
  }),
  '/api/whitelist/{id}': async (home) => ({
    url: await made(home, '/api/whitelist', { deviceId: home.device }),
    change: name,
  }),
  '/api/blacklist/{id}': async (home) => ({
    url: await made(home, '/api/blacklist', { deviceId: home.device }),
    change: name,
  }),
  '/api/settings/{key}': async ({ ada }) => {
    await ada.call('PUT', '/api/settings/theme', { body: { value: 'dark' } })
    return { url: '/api/settings/theme', change: (value) => ({ value }) }
  },
  '/api/users/profile': async () => ({
    url: '/api/users/profile',
    change: (number) => ({ fullName: `name ${number}` }),
  }),
}

const changes = () =>
  operations.filter(
    ({ path, method, door }) =>
      door === 'person' &&
      ['PATCH', 'PUT'].includes(String(method)) &&
      operations.some((other) => other.path === path && other.method === 'GET'),
  )
const etagOf = (answer: Answer) => String(answer.headers.etag)
const withTag = (tag: string, body?: object) => ({ headers: { 'if-match': tag }, ...(body && { body }) })

describe('each resource that people edit', () => {
  it('has versions: there is none else', () => {
    // The end of a pause is moved, not edited; and many devices at once have no one version.
    const known = [...Object.keys(RESOURCES), '/api/blocks/{id}', '/api/devices']
    expect([...new Set(changes().map(({ path }) => path))].sort()).toEqual(known.sort())
  })

  describe.each(Object.entries(RESOURCES))('%s', (path, make) => {
    const method = () => changes().find((operation) => operation.path === path)?.method ?? 'PATCH'

    it('is changed by whoever saw its newest version, and by nobody else', async () => {
      const home = await newHome()
      const { ada } = home
      const { url, change } = await make(home)
      const first = etagOf(await ada.call('GET', url))
      expect(first).toMatch(/^"[\w-]{22}"$/)
      const changed = await ada.call(method(), url, withTag(first, change(1)))
      expect(changed.statusCode, changed.body).toBe(200)
      const second = etagOf(changed)
      expect(second).not.toBe(first)
      expect(etagOf(await ada.call('GET', url))).toBe(second)

      const before = (await ada.call('GET', url)).json()
      for (const tag of [first, `W/${second}`, 'x', '""', `${first}, "x"`])
        expectProblem(await ada.call(method(), url, withTag(tag, change(2))), 412, 'precondition-failed')
      expect((await ada.call('GET', url)).json()).toEqual(before)

      for (const tag of [second, '*'])
        expect((await ada.call(method(), url, withTag(tag, change(1)))).statusCode).toBe(200)
      expect((await ada.call(method(), url, withTag(`"x", ${second}`, change(3)))).statusCode).toBe(200)
      // Without the header it is as it always was.
      expect((await ada.call(method(), url, { body: change(4) })).statusCode).toBe(200)
    })

    it('has one winner of twenty who saw the same version', async () => {
      const home = await newHome()
      const { url, change } = await make(home)
      const seen = etagOf(await home.ada.call('GET', url))
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          home.ada.call(method(), url, withTag(seen, change(index + 10))),
        ),
      )
      expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([200, ...Array(19).fill(412)])
    })

    it('is removed in the version that was seen only', async () => {
      if (!operations.some((operation) => operation.path === path && operation.method === 'DELETE')) return
      const home = await newHome()
      const { ada } = home
      const { url, change } = await make(home)
      const seen = etagOf(await ada.call('GET', url))
      await ada.call(method(), url, { body: change(1) })
      expectProblem(await ada.call('DELETE', url, withTag(seen)), 412, 'precondition-failed')
      expect((await ada.call('DELETE', url, withTag(etagOf(await ada.call('GET', url))))).statusCode).toBe(
        204,
      )
      // Whose it was does not matter once it is gone; a setting would be made anew, but not in a version that
      // it does not have.
      const gone = await ada.call(method(), url, withTag(seen, change(1)))
      expect([404, 412]).toContain(gone.statusCode)
      expect(gone.statusCode).toBe(path.startsWith('/api/settings') ? 412 : 404)
    })

    it('keeps its version through scans, heartbeats and what else happens', async () => {
      const home = await newHome()
      const { ada, router, mac } = home
      const { url, change } = await make(home)
      const seen = etagOf(await ada.call('GET', url))
      await router.scan([{ mac, ip: '192.0.2.9', hostname: 'renamed-by-its-owner' }])
      await router.call('POST', '/api/agent/heartbeat', { body: {} })
      await router.call('POST', '/api/agent/policy/applied', { body: { revision: 'x', error: 'none' } })
      const answer = await ada.call('GET', url)
      expect(etagOf(answer)).toBe(seen)
      expect((await ada.call(method(), url, withTag(seen, change(1)))).statusCode).toBe(200)
    })

    it('is not there for a stranger, whatever version they name', async () => {
      const home = await newHome()
      const { url, change } = await make(home)
      if (!url.includes('-')) return
      const seen = etagOf(await home.ada.call('GET', url))
      const bob = await world.person()
      for (const tag of [seen, '*', '"x"'])
        expectProblem(await bob.call(method(), url, withTag(tag, change(1))), 404, 'not-found')
    })
  })
})
