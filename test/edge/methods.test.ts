/**
 * What a resource answers beside its contents: to other methods, where it was made, and what was not found;
 * asked of every operation.
 */
import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { ask, nameOf, namesAnId, nobodys, ownedBy } from '../support/identified-requests.ts'
import { listOperations, type Operation, urlOf } from '../support/operations.ts'
import { comparable, expectProblem } from '../support/problems.ts'
import { type Person, type Router, sharedWorld, type World } from '../support/world.ts'

let world: World
let operations: Operation[]
let ada: Person
let root: Person
let router: Router
beforeAll(async () => {
  world = await sharedWorld()
  operations = await listOperations(world)
  ada = await world.person()
  router = await ada.router()
  root = await world.administrator()
})

describe('another method', () => {
  const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

  it('on each path is 405 with those that there are, for whoever may enter there', async () => {
    let tried = 0
    for (const [path, [first, ...others]] of Map.groupBy(operations, ({ path: each }) => each)) {
      if (!first) continue
      const methods = [first, ...others].map(({ method }) => String(method))
      const allowed = ['GET', 'HEAD', ...METHODS.slice(1)].filter((method) =>
        methods.includes(method === 'HEAD' ? 'GET' : method),
      )
      const call = { person: ada.call, admin: root.call, agent: router.call, anyone: world.send }[first.door]
      for (const method of METHODS.filter((each) => !methods.includes(each))) {
        tried += 1
        const url = urlOf(first, {})
        // Also when what is sent could not be read.
        const answer = await call(method, url, {
          body: '<x/>',
          headers: { 'content-type': 'application/xml' },
        })
        expectProblem(answer, 405, 'method-not-allowed')
        expect(answer.headers.allow, `${method} ${path}`).toBe(allowed.join(', '))
        if (!others.concat(first).every(({ door }) => door === first.door)) continue
        if (first.door !== 'anyone') expectProblem(await world.send(method, url), 401, 'unauthenticated')
        if (first.door === 'admin')
          expect(comparable(await ada.call(method, url))).toEqual(
            comparable(await ada.call('GET', '/api/admin/stats')),
          )
      }
    }
    expect(tried).toBeGreaterThan(200)
  })

  it('is not told to the key of a router that is gone, or to one without the scope', async () => {
    const gone = await ada.router()
    await ada.call('DELETE', `/api/routers/${gone.id}`)
    expectProblem(await gone.call('PUT', '/api/agent/heartbeat'), 401, 'unauthenticated')
    const { key } = (
      await ada.call('POST', '/api/users/keys', {
        body: { scopes: ['settings:read'], password: ada.password },
      })
    ).json()
    expectProblem(
      await world.send('PUT', '/api/routers', { headers: { 'x-api-key': key } }),
      403,
      'insufficient-scope',
    )
  })
})

describe('what was made', () => {
  it('says where it is, wherever it has an address of its own', async () => {
    const created = operations.filter(({ door, responses }) => door !== 'anyone' && '201' in responses)
    const silent: string[] = []
    for (const operation of created) {
      const owner = operation.door === 'admin' ? root : await world.person()
      const answer =
        operation.operationId === 'inviteUser'
          ? await root.call('POST', '/api/admin/users', { body: { email: `${randomUUID()}@example.com` } })
          : operation.operationId === 'addPersonalKey'
            ? await owner.call('POST', '/api/users/keys', {
                body: { scopes: ['devices:read'], password: owner.password },
              })
            : await ask(owner.call, operation, await ownedBy(owner, operation))
      const { location } = answer.headers
      if (answer.statusCode === 201 && location) {
        const found = await owner.call('GET', String(location))
        expect(found.statusCode, operation.name).toBe(200)
        expect(found.json().id, operation.name).toBe(answer.json().id)
      } else silent.push(`${operation.operationId} ${answer.statusCode}`)
    }
    // Keys are listed, not found one by one.
    expect(silent.sort()).toEqual([
      'addPersonalKey 201',
      'addRouterKey 201',
      'rotatePersonalKey 201',
      'rotateRouterKey 201',
    ])
  })
})

describe('what is not found', () => {
  it('is named by the field that named it, of every operation that names one', async () => {
    let named = 0
    for (const operation of operations.filter((each) => each.door === 'person' && namesAnId(each))) {
      const answer = await ask(ada.call, operation, nobodys())
      if (answer.statusCode !== 404) continue
      named += 1
      const { errors } = expectProblem(answer, 404, 'not-found')
      expect(errors, nameOf(operation)).toEqual([
        {
          path: expect.stringMatching(/^\/(params|querystring|body)\/\w/),
          code: 'not-found',
          message: expect.stringMatching(/^names no/),
        },
      ])
    }
    expect(named).toBeGreaterThan(45)
  })

  it('of several fields is the one that is wrong', async () => {
    const device = String((await router.scan(['00:00:5e:00:53:21'])) && (await router.devices())[0]?.id)
    const { id: group } = (
      await ada.call('POST', '/api/groups', { body: { routerId: router.id, name: randomUUID() } })
    ).json()
    const nobody = randomUUID()
    const cases: [Parameters<Person['call']>[0], string, object | undefined, string][] = [
      ['PATCH', `/api/devices/${nobody}`, { groupId: group }, '/params/id'],
      ['PATCH', `/api/devices/${device}`, { groupId: nobody }, '/body/groupId'],
      ['POST', `/api/devices/${nobody}/merge`, { from: [device] }, '/params/id'],
      ['POST', `/api/devices/${device}/merge`, { from: [nobody] }, '/body/from'],
      ['POST', `/api/groups/${nobody}/devices`, { add: [device] }, '/params/id'],
      ['POST', `/api/groups/${group}/devices`, { add: [nobody.toUpperCase()] }, '/body/add'],
      ['POST', `/api/groups/${group}/devices`, { remove: [nobody] }, '/body/remove'],
      ['POST', '/api/blocks', { groupId: nobody }, '/body/groupId'],
      [
        'POST',
        '/api/schedules',
        { deviceId: nobody, kind: 'blocked-during', days: ['mon'], start: '21:00', end: '07:00' },
        '/body/deviceId',
      ],
      ['POST', '/api/whitelist', { deviceId: nobody }, '/body/deviceId'],
      ['POST', '/api/whitelist', { routerId: nobody, mac: '00:00:5e:00:53:01' }, '/body/routerId'],
      ['POST', '/api/groups', { routerId: nobody, name: 'kids' }, '/body/routerId'],
      ['DELETE', `/api/devices?routerId=${nobody}`, undefined, '/querystring/routerId'],
      ['GET', `/api/settings/theme?routerId=${nobody}`, undefined, '/querystring/routerId'],
      ['GET', `/api/settings/theme?routerId=${router.id}`, undefined, '/params/key'],
      ['DELETE', '/api/settings/theme', undefined, '/params/key'],
      ['PUT', `/api/settings/theme?routerId=${nobody}`, { value: 1 }, '/querystring/routerId'],
      ['GET', `/api/devices/by-mac/00:00:5e:00:53:99?routerId=${router.id}`, undefined, '/params/mac'],
      ['POST', `/api/routers/${nobody}/keys`, undefined, '/params/id'],
      [
        'POST',
        `/api/routers/${nobody}/policy/preview`,
        { change: { router: { mode: 'none' } } },
        '/params/id',
      ],
      [
        'POST',
        `/api/routers/${router.id}/policy/preview`,
        { change: { blocks: [{ deviceId: nobody }] } },
        '/body/change/blocks',
      ],
    ]
    for (const [method, url, body, path] of cases) {
      const { errors } = expectProblem(await ada.call(method, url, body && { body }), 404, 'not-found')
      expect(
        errors?.map((error) => error.path),
        `${method} ${url} ${JSON.stringify(body)}`,
      ).toEqual([path])
    }
  })
})
