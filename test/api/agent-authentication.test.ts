/** Who enters as an agent, and what others learn at the door: T26 and the scopes. */
import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { makeApiKey } from '../../src/auth/api-keys/format.ts'
import { expectProblem } from '../support/problems.ts'
import {
  type Answer,
  openServer,
  type Person,
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

const verify = (key: string, { send } = world) =>
  send('GET', '/api/agent/verify', { headers: { 'x-api-key': key } })
const expectRefused = (answer: Answer) => expectProblem(answer, 401, 'unauthenticated')

describe('the door for agents', () => {
  it('asks the database about no key with a wrong form or checksum', async () => {
    const server = await openServer()
    onTestFinished(server.close)
    const stranger = worldOf(server)
    const calls = [vi.spyOn(server.pools.server, 'connect'), vi.spyOn(server.pools.auth, 'connect')]
    const { key } = makeApiKey('agent', randomUUID())
    const typo = `${key.slice(0, -1)}${key.endsWith('x') ? 'y' : 'x'}`
    for (const wrong of [
      typo,
      `${key}0`,
      key.slice(0, -6),
      key.toUpperCase(),
      'npa_',
      'x',
      makeApiKey('personal', randomUUID()).key,
    ])
      expectRefused(await verify(wrong, stranger))
    for (const call of calls) expect(call).not.toHaveBeenCalled()
    expectRefused(await verify(key, stranger))
    expect(calls[0]).toHaveBeenCalledTimes(1)
  })

  it('refuses a key of the personal form, and an agent’s form of a key that is stored as personal', async () => {
    for (const form of ['personal', 'agent'] as const) {
      const { key, keyId, prefix, sha256 } = makeApiKey(form, ada.id)
      await rowsOf(
        `insert into user_api_keys (user_id, kind, key_id, prefix, secret_sha256, scopes) values ($1, 'personal', $2, $3, $4, '{scans:write}')`,
        [ada.id, keyId, prefix, sha256],
      )
      expectRefused(await verify(key))
    }
  })

  it('asks for the whole secret: the right id is not enough', async () => {
    const { key, keyId } = await ada.router()
    expect((await verify(key)).statusCode).toBe(200)
    await rowsOf('update user_api_keys set secret_sha256 = $2 where id = $1', [
      keyId,
      makeApiKey('agent', ada.id).sha256,
    ])
    expectRefused(await verify(key))
  })

  it('takes no key in a URL, valid or not, and does not repeat it', async () => {
    const router = await ada.router()
    for (const query of [
      `key=${router.key}`,
      'api_key=x',
      'apikey=x',
      'X-API-Key=x',
      'access_token=x',
      'token=x',
      `a=b&c=${router.key}`,
    ]) {
      for (const call of [router.call, world.send]) {
        const answer = await call('GET', `/api/agent/verify?${query}`)
        expectProblem(answer, 400, 'invalid-request')
        expect(answer.body).not.toContain(router.key)
      }
    }
  })

  it('tells what is wrong with a body to the holder of a live key only', async () => {
    const router = await ada.router()
    const bodies: [status: number, code: string, contentType: string, body: string][] = [
      [400, 'invalid-request', 'application/json', '{'],
      [400, 'invalid-request', 'application/json', '{"unknown":1}'],
      [413, 'too-large', 'application/json', `"${'x'.repeat(1_100_000)}"`],
      [415, 'unsupported-media-type', 'application/xml', '<scan/>'],
    ]
    const post = ([, , contentType, body]: (typeof bodies)[number]) =>
      router.call('POST', '/api/agent/scans', { body, headers: { 'content-type': contentType } })
    for (const body of bodies) expectProblem(await post(body), body[0], body[1])
    await ada.call('DELETE', `/api/routers/${router.id}/keys/${router.keyId}`)
    for (const body of bodies) expectRefused(await post(body))
  })

  it('lets a key do what its scopes say and no more', async () => {
    const { id } = (await ada.call('POST', '/api/routers', { body: { name: 'Home' } })).json()
    const withScopes = async (...scopes: string[]) => {
      const { key, id: keyId } = (
        await ada.call('POST', `/api/routers/${id}/keys`, { body: { scopes } })
      ).json()
      return world.routerOf(ada, id, key, keyId)
    }
    const reader = await withScopes('policy:read')
    expect((await reader.call('GET', '/api/agent/verify')).json()).toMatchObject({ scopes: ['policy:read'] })
    expectProblem(await reader.call('POST', '/api/agent/heartbeat', { body: {} }), 403, 'insufficient-scope')
    expectProblem(await reader.scan(['00:00:5e:00:53:01']), 403, 'insufficient-scope')
    expect(await reader.devices()).toEqual([])
    const writer = await withScopes('scans:write')
    expect((await writer.scan(['00:00:5e:00:53:01'])).statusCode).toBe(200)
  })
})
