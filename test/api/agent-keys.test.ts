/** Keys of routers: T26, from making one to its end. */
import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, inject, it, onTestFinished, vi } from 'vitest'
import { API_KEY_PATTERN, readApiKey } from '../../src/auth/api-keys/format.ts'
import { asAdmin } from '../support/database.ts'
import { comparable, expectProblem } from '../support/problems.ts'
import {
  type Answer,
  newSecrets,
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

type Key = { id: string; key: string; expiresAt: string | null }
const INSTANT = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
const keysOf = ({ id }: { id: string }) => `/api/routers/${id}/keys`
const addKey = (router: { id: string }, body: object = {}) => ada.call('POST', keysOf(router), { body })
const listKeys = async (router: Router) => (await ada.call('GET', keysOf(router))).json()
const rotate = (router: Router, body: object = {}, keyId = router.keyId) =>
  ada.call('POST', `${keysOf(router)}/${keyId}/rotate`, { body })
const revoke = (router: Router, keyId = router.keyId) => ada.call('DELETE', `${keysOf(router)}/${keyId}`)
const verify = (key: string) => world.send('GET', '/api/agent/verify', { headers: { 'x-api-key': key } })
const expire = (keyId: string) =>
  rowsOf(`update user_api_keys set expires_at = now() - interval '1 second' where id = $1`, [keyId])
const expectRefused = (answer: Answer) => expectProblem(answer, 401, 'unauthenticated')

describe('a key', () => {
  it('is shown once; the database keeps a hash of it, and the list its public part', async () => {
    const { id } = (await ada.call('POST', '/api/routers', { body: { name: 'Home' } })).json()
    const answer = await addKey({ id }, { name: 'Attic' })
    expect(answer.statusCode).toBe(201)
    const { key, ...shown } = answer.json()
    expect(key).toMatch(new RegExp(`^${API_KEY_PATTERN}$`))
    expect(shown).toEqual({
      id: expect.any(String),
      name: 'Attic',
      prefix: key.slice(0, 39),
      scopes: ['scans:write', 'policy:read'],
      createdAt: INSTANT,
      expiresAt: null,
      lastUsedAt: null,
    })
    expect((await ada.call('GET', keysOf({ id }))).json()).toEqual({
      items: [shown],
      total: 1,
      limit: 50,
      offset: 0,
    })
    const [stored] = await rowsOf(
      'select k.*, row_to_json(k)::text as row from user_api_keys k where id = $1',
      [shown.id],
    )
    expect(stored?.secret_sha256).toEqual(readApiKey(key)?.sha256)
    expect(stored?.row).not.toContain(key.slice(40, 60))
    expect((await verify(key)).json()).toEqual({
      routerId: id,
      routerName: 'Home',
      scopes: shown.scopes,
      serverTime: INSTANT,
    })
  })

  it('works as a Bearer token too', async () => {
    const { id, key } = await ada.router()
    const answer = await world.send('GET', '/api/agent/verify', {
      headers: { authorization: `Bearer ${key}` },
    })
    expect(answer.json()).toMatchObject({ routerId: id })
  })

  it('is one of two at most, also under ten requests at once', async () => {
    const { id } = (await ada.call('POST', '/api/routers', { body: { name: 'Home' } })).json()
    const answers = await Promise.all(Array.from({ length: 10 }, () => addKey({ id })))
    const made = answers.filter(({ statusCode }) => statusCode === 201)
    expect(made).toHaveLength(2)
    for (const answer of answers) if (!made.includes(answer)) expectProblem(answer, 409, 'key-limit')
    for (const answer of made) expect((await verify(answer.json().key)).statusCode).toBe(200)
    expect(await rowsOf('select from user_api_keys where router_id = $1', [id])).toHaveLength(2)
  })

  it('ends when it expires, is listed no more, and frees its slot', async () => {
    const router = await ada.router()
    const second = (await addKey(router, { expiresAt: '2100-01-01T00:00:00+01:00' })).json()
    expect(second.expiresAt).toBe('2099-12-31T23:00:00.000Z')
    expectProblem(await addKey(router), 409, 'key-limit')
    await expire(second.id)
    expectRefused(await verify(second.key))
    expect((await listKeys(router)).items.map(({ id }: Key) => id)).toEqual([router.keyId])
    expectProblem(await rotate(router, {}, second.id), 404, 'not-found')
    expectProblem(await revoke(router, second.id), 404, 'not-found')
    expect((await addKey(router)).statusCode).toBe(201)
  })

  it('cannot be made for the past, for no scope, or for one that does not exist', async () => {
    const router = await ada.router()
    for (const body of [
      { expiresAt: new Date(Date.now() - 1_000).toISOString() },
      { expiresAt: 'tomorrow' },
      { expiresAt: '2099-12-31T23:59:60Z' },
      { scopes: [] },
      { scopes: ['admin'] },
      { scopes: ['policy:read', 'policy:read'] },
      { name: '' },
    ])
      expectProblem(await addKey(router, body), 400, 'invalid-request')
    expect((await listKeys(router)).total).toBe(1)
  })

  it('needs no body: everything about it has a default', async () => {
    const router = await ada.router()
    expect((await ada.call('POST', keysOf(router))).statusCode).toBe(201)
    await revoke(router)
    const [{ id }] = (await listKeys(router)).items
    expect((await ada.call('POST', `${keysOf(router)}/${id}/rotate`)).statusCode).toBe(201)
  })

  it('is revoked at once and for good, and frees its slot', async () => {
    const router = await ada.router()
    expect((await router.call('GET', '/api/agent/verify')).statusCode).toBe(200)
    const answer = await revoke(router)
    expect([answer.statusCode, answer.body]).toEqual([204, ''])
    expectRefused(await verify(router.key))
    expect(await listKeys(router)).toEqual({ items: [], total: 0, limit: 50, offset: 0 })
    expectProblem(await revoke(router), 404, 'not-found')
    expectProblem(await rotate(router), 404, 'not-found')
    for (const status of [201, 201, 409]) expect((await addKey(router)).statusCode).toBe(status)
  })

  it.each([
    ['revoked', ({ owner, id, keyId }: Router) => owner.call('DELETE', `/api/routers/${id}/keys/${keyId}`)],
    [
      'replaced without an overlap',
      ({ owner, id, keyId }: Router) =>
        owner.call('POST', `/api/routers/${id}/keys/${keyId}/rotate`, { body: { overlapMinutes: 0 } }),
    ],
  ])(
    'that an agent waits with is refused at once when it is %s, and not when the wait is over',
    async (_how, end) => {
      const server = await openServer()
      onTestFinished(server.close)
      const router = await (await worldOf(server).person()).router()
      const { revision } = (await router.call('GET', '/api/agent/policy')).json()
      const { server: pool } = server.pools
      const look = vi.spyOn(pool, 'connect')
      const start = Date.now()
      const waiting = router
        .call('GET', '/api/agent/policy?wait=30', { headers: { 'if-none-match': `"${revision}"` } })
        .then((answer) => answer)
      // It looks before it begins to watch, and once more afterwards.
      await expect.poll(() => look.mock.calls.length === 2 && pool.idleCount === pool.totalCount).toBe(true)
      expect((await end(router)).statusCode).toBeLessThan(300)
      expectRefused(await waiting)
      expect(Date.now() - start).toBeLessThan(15_000)
    },
  )

  it('dies with its owner’s account', async () => {
    const bob = await world.person()
    const router = await bob.router()
    await rowsOf('update users set is_active = false where id = $1', [bob.id])
    expectRefused(await verify(router.key))
  })

  it('has its last use written when the server closes, not before', async () => {
    const secrets = newSecrets()
    const [first, second] = await Promise.all([
      openServer({}, undefined, { secrets }),
      openServer({}, undefined, { secrets }),
    ])
    onTestFinished(second.close)
    const owner = await worldOf(first).person()
    const router = await owner.router()
    const keyOn = async ({ send }: World) =>
      (
        await send('GET', keysOf(router), { headers: { authorization: `Bearer ${owner.accessToken}` } })
      ).json().items[0]
    const before = Date.now()
    for (let use = 0; use < 3; use += 1) await router.call('GET', '/api/agent/verify')
    const after = Date.now()
    expect(await keyOn(worldOf(first))).toMatchObject({ lastUsedAt: null })
    await first.close()
    const { lastUsedAt } = await keyOn(worldOf(second))
    expect(Date.parse(lastUsedAt)).toBeGreaterThanOrEqual(before)
    expect(Date.parse(lastUsedAt)).toBeLessThanOrEqual(after)
  })
})

describe('a rotated key', () => {
  it('goes on working for the overlap beside its successor, which is like it', async () => {
    const { id } = (await ada.call('POST', '/api/routers', { body: { name: 'Home' } })).json()
    const old = (await addKey({ id }, { name: 'Attic', scopes: ['policy:read'] })).json()
    const router = world.routerOf(ada, id, old.key, old.id)
    const answer = await rotate(router, { overlapMinutes: 5 })
    expect(answer.statusCode).toBe(201)
    const next = answer.json()
    expect(next).toMatchObject({
      name: 'Attic',
      scopes: ['policy:read'],
      expiresAt: null,
      key: expect.stringMatching(/^npa_/),
    })
    for (const { key } of [old, next]) expect((await verify(key)).statusCode).toBe(200)
    const [first] = (await listKeys(router)).items
    expect(Date.parse(first.expiresAt) - Date.parse(next.createdAt)).toBe(5 * 60_000)
    await expire(old.id)
    expectRefused(await verify(old.key))
    expect((await verify(next.key)).statusCode).toBe(200)
  })

  it('has an hour unless told, and never longer than it had', async () => {
    const router = await ada.router()
    const { createdAt } = (await rotate(router)).json()
    const [old] = (await listKeys(router)).items
    expect(Date.parse(old.expiresAt) - Date.parse(createdAt)).toBe(60 * 60_000)
    const other = await ada.router()
    await revoke(other)
    const soon = new Date(Date.now() + 60_000).toISOString()
    const short = (await addKey(other, { expiresAt: soon })).json()
    expect((await rotate(other, { overlapMinutes: 5 }, short.id)).statusCode).toBe(201)
    expect((await listKeys(other)).items.map(({ expiresAt }: Key) => expiresAt)).toEqual([soon, soon])
  })

  it('ends at once without an overlap, also when both slots are taken', async () => {
    const router = await ada.router()
    await addKey(router)
    const next = (await rotate(router, { overlapMinutes: 0 })).json()
    expectRefused(await verify(router.key))
    expect((await verify(next.key)).statusCode).toBe(200)
    expect((await listKeys(router)).total).toBe(2)
  })

  it('has one successor, also when it is rotated twice at once', async () => {
    const router = await ada.router()
    const answers = await asAdmin(inject('database').adminUrl, async (client) => {
      await client.query('begin')
      await client.query('select from user_api_keys where id = $1 for update', [router.keyId])
      const rotations = [rotate(router, { overlapMinutes: 0 }), rotate(router, { overlapMinutes: 0 })]
      // Both have found the key and wait to end it: one for this transaction, the other perhaps for the
      // first.
      const waiting = `select from pg_stat_activity a where pg_backend_pid() = any(pg_blocking_pids(a.pid)
        || array(select unnest(pg_blocking_pids(b)) from unnest(pg_blocking_pids(a.pid)) b))`
      while ((await client.query(waiting)).rowCount !== 2);
      await client.query('commit')
      return Promise.all(rotations)
    })
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([201, 404])
    expect((await listKeys(router)).total).toBe(1)
  })

  it('hands its own expiry on, and not the end of an overlap that it is in', async () => {
    const router = await ada.router()
    const first = await rotate(router, { overlapMinutes: 5 })
    expect(first.json().expiresAt).toBeNull()
    await ada.call('DELETE', `/api/routers/${router.id}/keys/${first.json().id}`)
    const second = await rotate(router, { overlapMinutes: 5 })
    expect([second.statusCode, second.json().expiresAt]).toEqual([201, null])
  })

  it('stays as it was when there is no slot for its successor', async () => {
    const router = await ada.router()
    await addKey(router)
    const before = await listKeys(router)
    expectProblem(await rotate(router), 409, 'key-limit')
    expect(await listKeys(router)).toEqual(before)
  })
})

describe('somebody else’s key', () => {
  it.each(['own router', 'their router'])(
    'does not exist, asked for under the asker’s %s: as for an id that nobody has',
    async (under) => {
      const bob = await world.person()
      const [theirs, own, other] = await Promise.all([ada.router(), bob.router(), bob.router()])
      const path = keysOf(under === 'own router' ? own : theirs)
      for (const [method, tail, body] of [
        ['DELETE', '', undefined],
        ['POST', '/rotate', { overlapMinutes: 0 }],
      ] as const) {
        const ask = (keyId: string) => bob.call(method, `${path}/${keyId}${tail}`, body ? { body } : {})
        const random = await ask(randomUUID())
        expectProblem(random, 404, 'not-found')
        expect(comparable(await ask(theirs.keyId))).toEqual(comparable(random))
        // Nor does one's own key exist under another of one's own routers.
        expect(comparable(await ask(other.keyId))).toEqual(comparable(random))
      }
      for (const router of [theirs, own, other])
        expect((await verify(router.key)).json()).toMatchObject({ routerId: router.id })
    },
  )

  it('is neither listed nor made by knowing the router', async () => {
    const bob = await world.person()
    const { id } = await ada.router()
    for (const ask of [
      (router: string) => bob.call('GET', keysOf({ id: router })),
      (router: string) => bob.call('POST', keysOf({ id: router }), { body: {} }),
    ]) {
      const foreign = await ask(id)
      expectProblem(foreign, 404, 'not-found')
      expect(comparable(foreign)).toEqual(comparable(await ask(randomUUID())))
    }
  })
})
