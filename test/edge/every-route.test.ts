/**
 * What holds for every route: asked of each operation in the OpenAPI document, so that a new route is covered
 * from its first day.
 */
import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { listOperations, type Operation, placesOf, sampleOf, typesOf, urlOf } from '../support/operations.ts'
import { expectProblem } from '../support/problems.ts'
import { type Answer, type Person, type Router, sharedWorld, type World } from '../support/world.ts'

let world: World
let operations: Operation[]
let ada: Person
let router: Router
let root: Person
beforeAll(async () => {
  world = await sharedWorld()
  operations = await listOperations(world)
  ada = await world.person()
  router = await ada.router()
  root = await world.administrator()
})

/** As whoever may enter: the person, the person's agent, or nobody in particular. */
const enter = (
  operation: Operation,
  { values = {}, ...options }: Parameters<World['send']>[2] & { values?: Record<string, string> } = {},
) => {
  const call = { person: ada.call, admin: root.call, agent: router.call, anyone: world.send }[operation.door]
  return call(operation.method, urlOf(operation, values), options)
}
const withBodies = () =>
  operations.flatMap((operation) => (operation.body ? [{ operation, body: operation.body }] : []))
/**
 * What a router saw is taken as far as it makes sense: an entry is skipped, never the scan refused, for what
 * it says.
 */
const isLenient = (operation: Operation, pointer: string) =>
  operation.path === '/api/agent/scans' && pointer.startsWith('/devices/')

function expectFault(answer: Answer, pointer: string, context: string) {
  const { errors = [] } = expectProblem(answer, 400, 'invalid-request')
  expect(
    errors.map(({ path }) => path),
    context,
  ).toContain(pointer)
}

describe('the OpenAPI document', () => {
  it('is of version 3.1 and tells of each operation what it does, where it belongs, and how it fails', async () => {
    const { openapi, info, tags, components } = (await world.send('GET', '/openapi.json')).json()
    expect(openapi).toMatch(/^3\.1\./)
    expect(info).toMatchObject({ title: 'NetPilot', version: '0.0.0-test' })
    expect(components.schemas.Problem.required).toEqual(['type', 'title', 'status', 'code', 'requestId'])
    expect(operations.length).toBeGreaterThan(20)
    const groups = tags.map(({ name }: { name: string }) => name)
    for (const { name, operationId, summary, tags: [tag, ...more] = [], responses } of operations) {
      expect(operationId, name).toMatch(/^[a-z][A-Za-z]+$/)
      expect(summary, name).toMatch(/^[A-Z].{5,}[^.]$/)
      expect(groups, name).toContain(tag)
      expect(more, name).toEqual([])
      expect(
        Object.keys(responses).some((status) => /^2|^302/.test(status)),
        name,
      ).toBe(true)
      const failures = Object.values(responses['4XX']?.content ?? {}).map(({ schema }) => schema.$ref)
      // Health fails in a form of its own.
      expect(failures, name).toEqual(tag === 'health' ? [] : ['#/components/schemas/Problem'])
    }
    const summaries = operations.map(({ summary }) => summary)
    expect(new Set(summaries).size).toBe(summaries.length)
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length)
  })

  it('gives failures the media type that they have, and paths the spelling of the contract', () => {
    for (const { name, path, tags, responses } of operations) {
      expect(path, name).not.toMatch(/.\/$/)
      if (tags[0] !== 'health')
        expect(Object.keys(responses['4XX']?.content ?? {}), name).toEqual(['application/problem+json'])
    }
  })

  it('names the door of every route under /api but those for signing in', () => {
    const open = operations
      .filter(({ path, door }) => path.startsWith('/api/') && door === 'anyone')
      .map(({ name }) => name)
    expect(open.sort()).toEqual([
      'GET /api/auth/google/callback',
      'GET /api/auth/google/start',
      'GET /api/auth/oidc/callback',
      'GET /api/auth/oidc/start',
      'GET /api/auth/options',
      'GET /api/auth/password-requirements',
      'POST /api/auth/exchange',
      'POST /api/auth/forgot-password',
      'POST /api/auth/google',
      'POST /api/auth/login',
      'POST /api/auth/refresh',
      'POST /api/auth/register',
      'POST /api/auth/resend-verification',
      'POST /api/auth/reset-password',
      'POST /api/auth/second-factor',
      'POST /api/auth/verify-email',
      'POST /api/users/reactivate',
    ])
    for (const { path, door } of operations) {
      expect(door === 'agent', path).toBe(path.startsWith('/api/agent/'))
      expect(door === 'admin', path).toBe(path.startsWith('/api/admin/'))
    }
  })
})

describe('every body', () => {
  it('is of the right type in every place: nothing is coerced, T29', async () => {
    let tried = 0
    for (const { operation, body } of withBodies()) {
      for (const { pointer, schema, with: put } of placesOf(body)) {
        const types = typesOf(schema)
        const wrong = [null, 5, 1.5, '5', 'true', true, [], ['x'], {}].filter((value) => {
          const type =
            value === null
              ? 'null'
              : Array.isArray(value)
                ? 'array'
                : Number.isInteger(value)
                  ? 'integer'
                  : typeof value
          return types.length > 0 && !types.includes(type)
        })
        for (const value of wrong) {
          tried += 1
          const context = `${operation.name} ${pointer} ${JSON.stringify(value)}`
          expectFault(
            await enter(operation, {
              headers: { 'content-type': 'application/json' },
              body: JSON.stringify(put(value)),
            }),
            `/body${pointer}`,
            context,
          )
        }
      }
    }
    expect(tried).toBeGreaterThan(150)
  })

  it('has known fields only: nobody sets a role, an owner, an id or a time, T29', async () => {
    const FOREIGN = [
      'role',
      'userId',
      'user_id',
      'id',
      'isActive',
      'is_active',
      'createdAt',
      'lastSeen',
      'emailVerified',
      'status',
      'hasOwnProperty',
      '',
    ]
    for (const { operation, body } of withBodies()) {
      for (const { pointer, schema, with: put } of placesOf(body)) {
        if (!schema.properties) continue
        for (const field of FOREIGN.filter((name) => !Object.hasOwn(schema.properties ?? {}, name))) {
          const answer = await enter(operation, {
            body: put({ ...(sampleOf(schema) as object), [field]: 'x' }),
          })
          expectFault(answer, `/body${pointer}/${field}`, `${operation.name} ${field}`)
        }
      }
    }
  })

  it('holds no U+0000 and no lone surrogate in any text, R48 T13', async () => {
    let tried = 0
    for (const { operation, body } of withBodies()) {
      for (const { pointer, schema, with: put } of placesOf(body)) {
        if (!typesOf(schema).includes('string')) continue
        const text = String(
          sampleOf(schema, { name: pointer.split('/').findLast((part) => part !== '0') ?? '' }),
        )
        for (const hostile of [
          '\0',
          `${text}\0`,
          `a\0${text}`,
          '\ud800',
          `${text}\udfff`,
          `\udc00\ud800${text}`,
        ]) {
          tried += 1
          const context = `${operation.name} ${pointer} ${JSON.stringify(hostile)}`
          if (isLenient(operation, pointer)) {
            const answer = await enter(operation, {
              body: { ...(put(hostile) as object), scanId: randomUUID() },
            })
            expect(answer.statusCode, context).toBe(200)
          } else expectFault(await enter(operation, { body: put(hostile) }), `/body${pointer}`, context)
        }
      }
    }
    expect(tried).toBeGreaterThan(100)
  })
})

describe('every pattern', () => {
  it('is matched in linear time, T35', () => {
    const schemas = [
      ...withBodies().flatMap(({ body }) => placesOf(body)),
      ...operations.flatMap(({ parameters }) => parameters),
    ].map(({ schema }) => schema)
    const patterns = new Set(
      schemas.flatMap((schema) => [schema, ...(schema.anyOf ?? [])]).flatMap(({ pattern }) => pattern ?? []),
    )
    expect(patterns.size).toBeGreaterThan(2)
    // Short texts first: on a long one, an exponential pattern would never come back to be told.
    const counts = [...Array.from({ length: 24 }, (_, step) => 14 + 2 * step), 300, 30_000]
    for (const pattern of patterns) {
      const regex = new RegExp(pattern, 'u')
      for (const pump of [' ', 'a', '@', '.', '0', 'a.', 'a@', ' a', '1.1', 'k', 'm']) {
        for (const text of counts.flatMap((count) =>
          ['', 'a@', 'a@a.'].map((start) => `${start}${pump.repeat(count)}\0`),
        )) {
          const start = performance.now()
          expect(regex.test(text)).toBe(false)
          expect(performance.now() - start, `${pattern} ${pump} ${text.length}`).toBeLessThan(1_000)
        }
      }
    }
  })
})

describe('every parameter', () => {
  it('that is text holds no U+0000, and each is given once, T33', async () => {
    for (const operation of operations) {
      for (const { in: part, name, schema } of operation.parameters) {
        const value = encodeURIComponent(String(sampleOf(schema, { name })))
        const options = operation.body && { body: sampleOf(operation.body) }
        const hostile = { [name]: `${sampleOf(schema, { name })}\0` }
        const answer = await enter(operation, {
          ...options,
          ...(part === 'path' ? { values: hostile } : { query: hostile }),
        })
        expectFault(answer, `/${part === 'path' ? 'params' : 'querystring'}/${name}`, operation.name)
        if (part === 'path') continue
        const call =
          operation.door === 'agent' ? router.call : operation.door === 'admin' ? root.call : ada.call
        const twice = `${urlOf(operation, {})}?${name}=${value}&${name}=${value}`
        expectFault(await call(operation.method, twice, options), `/querystring/${name}`, operation.name)
      }
    }
  })

  it('that is an id is a uuid', async () => {
    for (const operation of operations) {
      for (const { name } of operation.parameters.filter(
        ({ in: part, schema }) => part === 'path' && schema.format === 'uuid',
      )) {
        for (const malformed of ['7', 'me', `${randomUUID()}0`, randomUUID().replaceAll('-', '')])
          expectFault(
            await enter(operation, { values: { [name]: malformed } }),
            `/params/${name}`,
            operation.name,
          )
      }
    }
  })
})

describe('every door', () => {
  it('is closed to nobody in particular and to who belongs at another', async () => {
    for (const { door, method, name, ...operation } of operations.filter(({ door }) => door !== 'anyone')) {
      const url = urlOf({ door, method, name, ...operation }, {})
      const wrong = door === 'agent' ? ada.accessToken : router.key
      for (const headers of [
        {},
        { authorization: `Bearer ${wrong}` },
        { authorization: 'Basic YTpi' },
        { 'x-api-key': wrong },
        { cookie: `token=${ada.accessToken}` },
      ])
        expectProblem(
          await world.send(method, url, {
            headers: headers as Record<string, string>,
            body: { unknown: true },
          }),
          401,
          'unauthenticated',
        )
    }
  })
})
