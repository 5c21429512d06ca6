/** A router that its owner has deactivated: what its agent is told, and what goes on. */
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { changedWhileWaiting } from '../support/held-router.ts'
import { listOperations, sampleOf, urlOf } from '../support/operations.ts'
import { expectProblem } from '../support/problems.ts'
import {
  type Answer,
  newMac,
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

const setActive = ({ id, owner }: Router, isActive: boolean) =>
  owner.call('PATCH', `/api/routers/${id}`, { body: { isActive } })
const inactiveRouter = async () => {
  const router = await ada.router()
  const [mac] = [newMac()]
  await router.scan([mac])
  expect((await setActive(router, false)).json()).toMatchObject({ isActive: false })
  return { router, mac }
}
const expectInactive = (answer: Answer) => {
  expectProblem(answer, 403, 'router-inactive')
  expect(answer.headers['retry-after']).toBe('3600')
}

describe('the agent of an inactive router', () => {
  it('is refused by every operation but the one that tells whose key it has, and told when to ask again', async () => {
    const { router } = await inactiveRouter()
    const operations = (await listOperations(world)).filter(({ door }) => door === 'agent')
    expect(operations.length).toBeGreaterThan(6)
    for (const operation of operations) {
      const { method, body, operationId, responses } = operation
      const answer = await router.call(method, urlOf(operation, {}), {
        ...(body && { body: sampleOf(body, { lean: true }) as object }),
      })
      if (operationId === 'verifyKey')
        expect(answer.json()).toMatchObject({ routerId: router.id, routerName: 'Home' })
      else {
        expectInactive(answer)
        expect(JSON.stringify(responses['403']), operationId).toContain('router-inactive')
      }
    }
  })

  it('leaves no trace of what it was refused, and is heard again once the router is active', async () => {
    const { router, mac } = await inactiveRouter()
    const stored = () =>
      rowsOf(
        `select r.last_seen, r.applied_revision, (select count(*) from user_devices d where d.router_id = r.id) as devices,
          (select count(*) from user_scans s where s.router_id = r.id) as scans,
          (select count(*) from user_audit_log l where l.user_id = r.user_id) as acts from user_routers r where r.id = $1`,
        [router.id],
      )
    const before = await stored()
    expectInactive(await router.scan([newMac(), mac]))
    expectInactive(await router.call('POST', '/api/agent/heartbeat', { body: {} }))
    expect(await stored()).toEqual(before)
    await setActive(router, true)
    expect((await router.scan([mac])).json()).toMatchObject({ created: 0, unchanged: 1 })
    expect((await router.call('GET', '/api/agent/policy')).statusCode).toBe(200)
  })

  it('is refused a scan that was on its way when its router was deactivated', async () => {
    const router = await ada.router()
    const answer = await changedWhileWaiting(router.id, () => router.scan([newMac()]), [
      'update user_routers set is_active = false where id = $1',
      [router.id],
    ])
    expectInactive(answer)
    expect(await router.devices()).toEqual([])
  })

  it('is refused for another reason first, where there is one', async () => {
    const { router } = await inactiveRouter()
    const { key } = (
      await ada.call('POST', `/api/routers/${router.id}/keys`, { body: { scopes: ['policy:read'] } })
    ).json()
    const reader = world.routerOf(ada, router.id, key, '')
    expectProblem(await reader.call('POST', '/api/agent/heartbeat', { body: {} }), 403, 'insufficient-scope')
    await ada.call('DELETE', `/api/routers/${router.id}/keys/${router.keyId}`)
    expectProblem(await router.scan([newMac()]), 401, 'unauthenticated')
  })
})

describe('who waits for the policy', () => {
  /** @returns an agent that waits for so many seconds, with the policy that it has; it has looked twice */
  async function waiting(isActive: boolean, seconds = 60) {
    const server = await openServer()
    onTestFinished(server.close)
    const router = await (await worldOf(server).person()).router()
    const { revision } = (await router.call('GET', '/api/agent/policy')).json()
    await setActive(router, isActive)
    const { server: pool } = server.pools
    const looks = vi.spyOn(pool, 'connect')
    const answer = router.call('GET', '/api/agent/policy', {
      headers: { 'if-none-match': `"${revision}"` },
      query: { wait: `${seconds}` },
    })
    await expect
      .poll(() => looks.mock.calls.length >= 2 && pool.idleCount === pool.totalCount, { timeout: 5_000 })
      .toBe(true)
    return { router, answer }
  }

  it('hears at once that the router was deactivated', async () => {
    const { router, answer } = await waiting(true)
    await setActive(router, false)
    expectInactive(await answer)
  })

  it('hears at once that it is active again, and whether its policy is still right', async () => {
    const [same, other] = await Promise.all([waiting(false), waiting(false)])
    await setActive(same.router, true)
    expect((await same.answer).statusCode).toBe(304)
    await other.router.owner.call('PATCH', `/api/routers/${other.router.id}`, {
      body: { isActive: true, mode: 'whitelist' },
    })
    expect((await other.answer).json()).toMatchObject({ mode: 'whitelist' })
  })

  it('is refused at the end of its wait, whatever else was changed meanwhile', async () => {
    const { router, answer } = await waiting(false, 2)
    await router.owner.call('PATCH', `/api/routers/${router.id}`, { body: { mode: 'whitelist' } })
    expectInactive(await answer)
  })
})

describe('the owner of an inactive router', () => {
  it('goes on with it: sees its devices, blocks one, reads and previews its policy, and replaces its key', async () => {
    const { router, mac } = await inactiveRouter()
    const [device] = await router.devices()
    expect(device).toMatchObject({ macs: [mac] })
    const answers = [
      await ada.call('POST', '/api/blocks', { body: { deviceId: device?.id } }),
      await ada.call('GET', `/api/routers/${router.id}/policy`),
      await ada.call('POST', `/api/routers/${router.id}/policy/preview`, {
        body: { change: { router: { mode: 'whitelist' } } },
      }),
      await ada.call('POST', `/api/routers/${router.id}/keys/${router.keyId}/rotate`, { body: {} }),
    ]
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([201, 200, 200, 201])
  })

  it('sees when it last reported: it is online until that is too long ago', async () => {
    const { router } = await inactiveRouter()
    const show = async () => (await ada.call('GET', `/api/routers/${router.id}`)).json()
    expect(await show()).toMatchObject({ isActive: false, status: 'online' })
    await rowsOf(`update user_routers set last_seen = now() - interval '16 minutes' where id = $1`, [
      router.id,
    ])
    await router.scan([newMac()])
    expect(await show()).toMatchObject({ isActive: false, status: 'offline' })
  })
})
