/**
 * What a request's faults are called: asked of every field of every operation in the OpenAPI document, by
 * breaking each of its rules.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import {
  listOperations,
  type Operation,
  placesOf,
  type Schema,
  sampleOf,
  typesOf,
  urlOf,
} from '../support/operations.ts'
import { expectProblem } from '../support/problems.ts'
import { type Answer, type Person, type Router, sharedWorld, type World } from '../support/world.ts'

let world: World
let operations: Operation[]
let ada: Person
let root: Person
let router: Router
let codes: string[]
beforeAll(async () => {
  world = await sharedWorld()
  operations = await listOperations(world)
  const { components } = (await world.send('GET', '/openapi.json')).json()
  codes = components.schemas.Problem.properties.errors.items.properties.code.enum
  ada = await world.person()
  router = await ada.router()
  root = await world.administrator()
})

const enter = (
  operation: Operation,
  options: Parameters<World['send']>[2] & { values?: Record<string, string> } = {},
) => {
  const call = { person: ada.call, admin: root.call, agent: router.call, anyone: world.send }[operation.door]
  return call(operation.method, urlOf(operation, options.values ?? {}), options)
}

/** One rule of a place broken: the value that breaks it, where and as what it is told. */
type Breach = { rule: string; value: unknown; below?: string; code: string; words?: string[] }

function breachesOf(schema: Schema, sample: unknown): Breach[] {
  const fields = Object.entries((typeof sample === 'object' && sample) || {})
  const without = (dropped: string[]) =>
    Object.fromEntries(fields.filter(([field]) => !dropped.includes(field)))
  const required = (schema.required ?? []).map(
    (field): Breach => ({ rule: 'required', value: without([field]), below: `/${field}`, code: 'missing' }),
  )
  const choices = schema.forms ?? []
  const {
    enum: values,
    minLength = 0,
    maxLength,
    minimum,
    maximum,
    minItems = 0,
    maxItems,
    format,
    pattern,
  } = schema
  return [
    ...required,
    ...(choices.length > 0
      ? [
          {
            rule: 'forms',
            value: without(choices.flat()),
            code: 'exactly-one-of',
            words: ['give exactly one of', ...choices.flat()],
          },
        ]
      : []),
    ...(schema.minProperties
      ? [
          {
            rule: 'minProperties',
            value: {},
            code: schema.maxProperties ? 'exactly-one-of' : 'too-few',
            words: fields.map(([field]) => field),
          },
        ]
      : []),
    ...(schema.maxProperties
      ? [
          {
            rule: 'maxProperties',
            value: sample,
            code: 'exactly-one-of',
            words: fields.map(([field]) => field),
          },
        ]
      : []),
    ...(values
      ? [
          {
            rule: 'enum',
            value: 'no such value',
            code: 'not-permitted',
            words: values.filter(Boolean).map(String),
          },
        ]
      : []),
    ...(minLength > 0 ? [{ rule: 'minLength', value: '', code: 'too-short' }] : []),
    ...(maxLength
      ? [
          {
            rule: 'maxLength',
            value: 'a'.repeat(maxLength + 1),
            code: 'too-long',
            words: [`${maxLength} characters`],
          },
        ]
      : []),
    ...(minimum !== undefined
      ? [{ rule: 'minimum', value: minimum - 1, code: 'too-small', words: [String(minimum)] }]
      : []),
    ...(maximum !== undefined
      ? [{ rule: 'maximum', value: maximum + 1, code: 'too-large', words: [String(maximum)] }]
      : []),
    ...(minItems > 0 ? [{ rule: 'minItems', value: [], code: 'too-few', words: [String(minItems)] }] : []),
    ...(maxItems && Array.isArray(sample) && maxItems < 100
      ? [
          {
            rule: 'maxItems',
            value: Array(maxItems + 1).fill(sample[0]),
            code: 'too-many',
            words: [String(maxItems)],
          },
        ]
      : []),
    ...(schema.uniqueItems && Array.isArray(sample)
      ? [{ rule: 'uniqueItems', value: [sample[0], sample[0]], code: 'duplicate' }]
      : []),
    ...(format ? [{ rule: 'format', value: 'no', code: 'wrong-format', words: [' such as '] }] : []),
    ...(pattern
      ? [{ rule: 'pattern', value: 'a\0', code: minLength > 0 ? 'malformed' : 'wrong-format' }]
      : []),
    ...(pattern && minLength > 0 && !new RegExp(pattern, 'u').test(' ')
      ? [{ rule: 'pattern', value: ' ', code: 'blank' }]
      : []),
  ]
}

/** Whether a pointer into a part of a request leads to a field that is documented. */
function leadsSomewhere(schema: Schema | undefined, [first, ...rest]: string[]): boolean {
  if (first === undefined) return schema !== undefined
  const inner = schema?.properties?.[first] ?? (/^\d+$/.test(first) ? schema?.items : undefined)
  return inner !== undefined && leadsSomewhere(inner, rest)
}
function isField({ body, parameters }: Operation, path: string): boolean {
  const [part = '', ...rest] = path.slice(1).split('/')
  if (part === 'body') return leadsSomewhere(body, rest)
  return parameters.some(
    ({ in: where, name }) =>
      name === rest.join('/') && part === (where === 'path' ? 'params' : 'querystring'),
  )
}

function expectTold(
  answer: Answer,
  operation: Operation,
  pointer: string,
  { rule, value, below = '', code, words = [] }: Breach,
) {
  const context = `${operation.name} ${pointer} ${rule} ${JSON.stringify(value)?.slice(0, 100)}: ${answer.body}`
  const { errors = [] } = expectProblem(answer, 400, 'invalid-request')
  for (const error of errors) {
    expect(codes, context).toContain(error.code)
    expect(isField(operation, error.path), context).toBe(true)
    expect(error.message, context).toMatch(/^[a-z][^^\\[\]{}]+$/)
    expect(error.message, context).not.toMatch(/must match|must have required|schema|pattern|property/i)
  }
  expect(new Set(errors.map(({ path }) => path)).size, context).toBe(errors.length)
  const told = errors.find(({ path }) => path === `${pointer}${below}`)
  expect(told?.code, context).toBe(code)
  for (const word of words) expect(told?.message, context).toContain(word)
}

/** Of a scan each entry is taken or skipped by itself, whatever its texts say. */
const isLenient = (operation: Operation, pointer: string) =>
  operation.path === '/api/agent/scans' && pointer.startsWith('/devices/')

describe('a fault', () => {
  it('of any field of any body names the field, has a code, and is told in words', {
    timeout: 120_000,
  }, async () => {
    let tried = 0
    for (const operation of operations) {
      const { body } = operation
      if (!body) continue
      for (const { pointer, schema, with: put } of placesOf(body)) {
        const name = pointer.split('/').findLast((part) => !/^\d*$/.test(part)) ?? ''
        for (const breach of breachesOf(schema, sampleOf(schema, { name }))) {
          if (isLenient(operation, pointer) && typeof breach.value === 'string') continue
          tried += 1
          const options = {
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify(put(breach.value)),
          }
          expectTold(await enter(operation, options), operation, `/body${pointer}`, breach)
        }
      }
    }
    expect(tried).toBeGreaterThan(250)
  })

  it('of any parameter does too', async () => {
    let tried = 0
    for (const operation of operations) {
      const options = operation.body && { body: sampleOf(operation.body) }
      for (const { in: part, name, schema } of operation.parameters) {
        const breaches = breachesOf(schema, sampleOf(schema, { name }))
        if (!typesOf(schema).includes('string'))
          breaches.push({ rule: 'type', value: 'many', code: 'wrong-type' })
        for (const breach of breaches) {
          // In a path, an empty one would be another path; and longer than any id it is no path of ours.
          const given = encodeURI(String(breach.value))
          if (part === 'path' && (breach.value === '' || given.length > 100)) continue
          tried += 1
          const where =
            part === 'path'
              ? { values: { [name]: String(breach.value) } }
              : { query: { [name]: String(breach.value) } }
          const pointer = `/${part === 'path' ? 'params' : 'querystring'}/${name}`
          expectTold(await enter(operation, { ...options, ...where }), operation, pointer, breach)
        }
      }
    }
    expect(tried).toBeGreaterThan(150)
  })

  it('of a body that is not there says what it should be', async () => {
    for (const operation of operations.filter(({ body }) => body && !typesOf(body).includes('null'))) {
      const answer = await enter(operation)
      const { errors = [], detail } = expectProblem(answer, 400, 'invalid-request')
      if (detail === 'A scan needs a body') continue
      expect(errors, operation.name).toEqual([
        { path: '/body', code: 'missing', message: expect.stringMatching(/^is missing: send an object/) },
      ])
    }
  })

  it('can be of no rule that is not tried here', () => {
    const tried = [
      'type',
      'properties',
      'required',
      'additionalProperties',
      'items',
      'anyOf',
      'forms',
      'enum',
      'format',
      'pattern',
      'uniqueItems',
    ]
    const bounds = ['Length', 'Items', 'Properties'].flatMap((what) => [`min${what}`, `max${what}`])
    const words = ['minimum', 'maximum', 'description', 'examples', 'example', 'default', 'x-expects']
    const used = operations.flatMap(({ body, parameters }) => [
      ...(body ? placesOf(body).map(({ schema }) => schema) : []),
      ...parameters.map(({ schema }) => schema),
    ])
    const keywords = new Set(
      used.flatMap((schema) => [schema, ...(schema.anyOf ?? [])]).flatMap((schema) => Object.keys(schema)),
    )
    expect([...keywords].filter((keyword) => ![...tried, ...bounds, ...words].includes(keyword))).toEqual([])
  })

  it('is told as fast when there are very many', async () => {
    const url = `/api/groups/${router.id}/devices`
    const start = performance.now()
    for (const body of [
      Object.fromEntries(Array.from({ length: 6_000 }, (_, index) => [`f${index}`, 1])),
      { add: Array(1_000).fill('no'), remove: Array(1_000).fill(7) },
    ])
      expect(
        expectProblem(await ada.call('POST', url, { body }), 400, 'invalid-request').errors,
      ).toHaveLength(20)
    expect(performance.now() - start).toBeLessThan(2_000)
  })

  it('reads as it does in these', async () => {
    const faultsOf = async (method: 'GET' | 'POST' | 'DELETE', url: string, body?: object) =>
      expectProblem(await ada.call(method, url, body && { body }), 400, 'invalid-request').errors
    expect(await faultsOf('POST', '/api/auth/register', { email: 'ada' })).toEqual([
      { path: '/body/password', code: 'missing', message: 'is missing' },
      {
        path: '/body/email',
        code: 'wrong-format',
        message: 'must be an e-mail address such as ada@example.com',
      },
    ])
    expect(await faultsOf('POST', '/api/blocks', { deviceId: router.id, groupId: router.id })).toEqual([
      { path: '/body', code: 'exactly-one-of', message: 'give exactly one of deviceId, groupId, routerId' },
    ])
    expect(await faultsOf('POST', '/api/whitelist', { routerId: router.id })).toEqual([
      {
        path: '/body',
        code: 'exactly-one-of',
        message: 'give exactly one of deviceId, routerId with mac, routerId with ip',
      },
    ])
    expect(await faultsOf('DELETE', '/api/users/account')).toEqual([
      {
        path: '/body',
        code: 'missing',
        message: 'is missing: send an object with exactly one of password, googleIdToken, providerCode',
      },
    ])
    expect(await faultsOf('GET', '/api/routers?sort=age&limit=many')).toEqual([
      { path: '/querystring/limit', code: 'wrong-type', message: 'must be a whole number from 1 to 200' },
      {
        path: '/querystring/sort',
        code: 'not-permitted',
        message: 'must be one of name, -name, createdAt, -createdAt, lastSeen, -lastSeen',
      },
    ])
    expect(await faultsOf('GET', '/api/routers?limit=5&limit=6')).toEqual([
      { path: '/querystring/limit', code: 'duplicate', message: 'is given more than once' },
    ])
    expect(await faultsOf('POST', '/api/routers', { name: ' ', fullRate: 'fast', tunnelPort: 0 })).toEqual([
      { path: '/body/name', code: 'blank', message: 'must not be blank' },
      {
        path: '/body/tunnelPort',
        code: 'too-small',
        message: 'must be a whole number from 1 to 65535 or null',
      },
      {
        path: '/body/fullRate',
        code: 'wrong-format',
        message: 'must be a whole number from 1 to 2000000000, a rate such as 50mbit or null',
      },
    ])
  })
})
