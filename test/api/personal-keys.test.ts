/** Keys of a person's own scripts: what they open, and what they never do. T26. */
import { beforeAll, describe, expect, it } from 'vitest'
import { listOperations, sampleOf, urlOf } from '../support/operations.ts'
import { expectProblem } from '../support/problems.ts'
import { type Person, rowsOf, sharedWorld, type World } from '../support/world.ts'

let world: World
let ada: Person
beforeAll(async () => {
  world = await sharedWorld()
  ada = await world.person()
})

type Key = { id: string; key: string; prefix: string }
const addKey = async (scopes: string[], more: object = {}, owner = ada): Promise<Key> => {
  const answer = await owner.call('POST', '/api/users/keys', {
    body: { scopes, password: owner.password, ...more },
  })
  expect(answer.statusCode, answer.body).toBe(201)
  return answer.json()
}
const listKeys = async () =>
  (await ada.call('GET', '/api/users/keys', { query: { limit: '200' } })).json().items as Record<
    string,
    unknown
  >[]
const use = (
  { key }: { key: string },
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE' | 'PUT',
  url: string,
  body?: unknown,
) => world.send(method, url, { headers: { 'x-api-key': key }, ...(body !== undefined && { body }) })
const ageKey = (id: string, column: 'expires_at' | 'retires_at') =>
  rowsOf(`update user_api_keys set ${column} = now() - interval '1 second' where id = $1`, [id])

describe('a personal key', () => {
  it('is shown once, is listed without its secret, and opens what its scopes name', async () => {
    const { key, ...shown } = await addKey(['routers:read', 'routers:write', 'devices:read'], {
      name: 'Home automation',
    })
    expect(key).toMatch(/^npp_/)
    expect(shown).toMatchObject({
      name: 'Home automation',
      scopes: ['routers:read', 'routers:write', 'devices:read'],
    })
    expect(await listKeys()).toContainEqual(shown)
    expect((await use({ key }, 'POST', '/api/routers', { name: 'Garage' })).statusCode).toBe(201)
    expect((await use({ key }, 'GET', '/api/devices')).statusCode).toBe(200)
    const bearer = await world.send('GET', '/api/routers', { headers: { authorization: `Bearer ${key}` } })
    expect(bearer.json().items.map(({ name }: { name: string }) => name)).toEqual(['Garage'])
  })

  it('is 403 for what its scopes do not name, and nothing happens', async () => {
    const reader = await addKey(['routers:read'])
    for (const answer of [
      await use(reader, 'POST', '/api/routers', { name: 'No' }),
      await use(reader, 'GET', '/api/devices'),
      await use(await addKey(['routers:write']), 'GET', '/api/routers'),
    ])
      expectProblem(answer, 403, 'insufficient-scope')
    expect((await use(reader, 'GET', '/api/routers')).body).not.toContain('"No"')
  })

  it('previews a policy with the right to read it', async () => {
    const router = await ada.router()
    const key = await addKey(['policy:read'])
    const change = { change: { router: { mode: 'whitelist' } } }
    expect((await use(key, 'POST', `/api/routers/${router.id}/policy/preview`, change)).statusCode).toBe(200)
  })

  it('with every scope opens no door to the account, its keys, the agent or administration', async () => {
    const everything = ['routers', 'devices', 'lists', 'blocks', 'groups', 'schedules', 'settings', 'policy']
    const key = await addKey(everything.flatMap((area) => [`${area}:read`, `${area}:write`]))
    const operations = await listOperations(world)
    const closed = operations.filter(({ doors }) => doors.length > 0 && !doors.includes('script'))
    expect(closed.length).toBeGreaterThan(15)
    for (const operation of closed) {
      const body = operation.body && sampleOf(operation.body)
      expectProblem(
        await use(key, operation.method as 'GET', urlOf(operation, {}), body),
        401,
        'unauthenticated',
      )
    }
    const open = operations.filter(({ doors }) => doors.includes('script'))
    expect(open.length).toBeGreaterThan(40)
    for (const operation of open) {
      const answer = await use(
        key,
        operation.method as 'GET',
        urlOf(operation, {}),
        operation.body && sampleOf(operation.body),
      )
      expect([401, 403], `${operation.name} ${answer.body}`).not.toContain(answer.statusCode)
    }
  })

  it('ends when revoked, expired, retired, or its person is deactivated, also for a body that could never be accepted', async () => {
    const eve = await world.person()
    const [revoked, expired, retired, deactivated] = await Promise.all(
      Array.from({ length: 4 }, () => addKey(['routers:read', 'routers:write'], {}, eve)),
    )
    expect((await eve.call('DELETE', `/api/users/keys/${revoked?.id}`)).statusCode).toBe(204)
    await ageKey(String(expired?.id), 'expires_at')
    await ageKey(String(retired?.id), 'retires_at')
    for (const key of [revoked, expired, retired] as Key[]) {
      expectProblem(await use(key, 'GET', '/api/routers'), 401, 'unauthenticated')
      expectProblem(await use(key, 'POST', '/api/routers', { unknown: 1 }), 401, 'unauthenticated')
    }
    expect((await use(deactivated as Key, 'GET', '/api/routers')).statusCode).toBe(200)
    await rowsOf('update users set is_active = false where id = $1', [eve.id])
    expectProblem(await use(deactivated as Key, 'GET', '/api/routers'), 401, 'unauthenticated')
  })

  it('is replaced with an overlap, in which both work', async () => {
    const old = await addKey(['routers:read'], { name: 'Script' })
    const rotated = (
      await ada.call('POST', `/api/users/keys/${old.id}/rotate`, { body: { overlapMinutes: 5 } })
    ).json()
    expect(rotated).toMatchObject({ name: 'Script', scopes: ['routers:read'] })
    for (const key of [old, rotated]) expect((await use(key, 'GET', '/api/routers')).statusCode).toBe(200)
    await ageKey(old.id, 'retires_at')
    expectProblem(await use(old, 'GET', '/api/routers'), 401, 'unauthenticated')
    expect((await use(rotated, 'GET', '/api/routers')).statusCode).toBe(200)
  })

  it('is nobody else’s to see, revoke or replace', async () => {
    const bob = await world.person()
    const { id, prefix } = await addKey(['routers:read'])
    expect((await bob.call('GET', '/api/users/keys')).body).not.toContain(prefix)
    expectProblem(await bob.call('DELETE', `/api/users/keys/${id}`), 404, 'not-found')
    expectProblem(await bob.call('POST', `/api/users/keys/${id}/rotate`, { body: {} }), 404, 'not-found')
  })

  it('shows its person’s rows and nobody else’s', async () => {
    const [bob, carol] = [await world.person(), await world.person()]
    await bob.router({ name: 'of bob' })
    const key = await addKey(['routers:read'], {}, carol)
    expect((await use(key, 'GET', '/api/routers')).json()).toMatchObject({ total: 0 })
  })

  it('is not for agents, nor is an agent’s key for people, nor any key in a URL', async () => {
    const key = await addKey(['routers:read'])
    const router = await ada.router()
    expectProblem(await use(key, 'GET', '/api/agent/verify'), 401, 'unauthenticated')
    expectProblem(await router.call('GET', '/api/routers'), 401, 'unauthenticated')
    expectProblem(await world.send('GET', `/api/routers?search=${key.key}`), 400, 'invalid-request')
  })

  it('shows in the log which script did what', async () => {
    const key = await addKey(['routers:write'])
    const { id } = (await use(key, 'POST', '/api/routers', { name: 'Shed' })).json()
    const acts = await rowsOf(
      'select act, detail from user_audit_log where user_id = $1 and target_id = $2',
      [ada.id, id],
    )
    expect(acts).toEqual([{ act: 'addRouter', detail: { keyId: key.id } }])
  })

  it('is one of fifty at most', async () => {
    const dave = await world.person()
    const values = `select $1, 'personal', 'key ' || n, 'npp', sha256(n::text::bytea), '{routers:read}' from generate_series(1, 50) n`
    await rowsOf(
      `insert into user_api_keys (user_id, kind, key_id, prefix, secret_sha256, scopes) ${values}`,
      [dave.id],
    )
    expectProblem(
      await dave.call('POST', '/api/users/keys', {
        body: { scopes: ['routers:read'], password: dave.password },
      }),
      409,
      'key-limit',
    )
  })
})
