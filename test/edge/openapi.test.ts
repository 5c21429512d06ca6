/**
 * What the API document says of every operation beside its schemas: who may enter, what it answers, and how
 * it fails.
 */
import { randomUUID } from 'node:crypto'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import { beforeAll, describe, expect, it } from 'vitest'
import { ask, nameOf, nobodys } from '../support/identified-requests.ts'
import { listOperations, type Operation } from '../support/operations.ts'
import { sharedWorld, type World } from '../support/world.ts'

type Described = {
  operationId: string
  tags: string[]
  security?: Record<string, string[]>[]
  parameters?: { in: string; name: string }[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<
    string,
    { description: string; headers?: Record<string, unknown>; content?: Record<string, Media> }
  >
}
type Media = { schema: { $ref?: string }; example?: unknown; examples?: Record<string, { $ref: string }> }
type Components = {
  schemas: Record<string, object>
  examples: Record<string, { value: { status: number; code: string } }>
}
let world: World
let operations: Operation[]
let described: Map<string, Described>
let components: Components
beforeAll(async () => {
  world = await sharedWorld()
  operations = await listOperations(world)
  const document = (await world.send('GET', '/openapi.json')).json()
  const { paths } = document
  components = document.components
  described = new Map(
    Object.entries<Record<string, Described>>(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(
        ([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const,
      ),
    ),
  )
})

/** Every body of an answer that has this media type. */
const answersOf = (type: string) =>
  [...described].flatMap(([operation, { responses }]) =>
    Object.entries(responses).flatMap(([status, { content }]) => {
      const media = content?.[type]
      return media ? [{ operation, name: `${operation} ${status}`, status, ...media }] : []
    }),
  )

describe('every operation', () => {
  it('says who may enter, each way once; none where anybody may', () => {
    for (const [name, { security }] of described) {
      expect(security, name).toBeDefined()
      const ways = (security ?? []).map((way) => JSON.stringify(way))
      expect(new Set(ways.map((way) => Object.keys(JSON.parse(way))[0])).size, name).toBe(ways.length)
    }
    expect(described.get('POST /api/auth/login')?.security).toEqual([])
    expect(described.get('GET /api/devices')?.security).toEqual([
      { person: [] },
      { script: ['devices:read'] },
    ])
  })

  it('describes each of its answers in words', () => {
    for (const [name, { responses }] of described)
      for (const [status, { description }] of Object.entries(responses))
        expect(description, `${name} ${status}`).toMatch(/^(?!Default Response)\S.{3,}/)
  })

  it('shows what it takes and answers by an example that is one, down to each text', () => {
    const ajv = addFormats.default(new Ajv({ strict: false }))
    const textsOf = (value: unknown): unknown[] =>
      typeof value === 'object' && value !== null
        ? Object.values(value).flatMap(textsOf)
        : typeof value === 'string'
          ? [value]
          : []
    let shown = 0
    const asked = [...described].flatMap(([name, { requestBody }]) =>
      Object.values(requestBody?.content ?? {}).map((media) => ({ name, ...media })),
    )
    for (const { name, schema, example } of [...asked, ...answersOf('application/json')]) {
      shown += 1
      expect(example, name).toBeDefined()
      const validate = ajv.compile({ ...schema, components })
      expect(validate(example), `${name} ${JSON.stringify(validate.errors)}`).toBe(true)
      for (const text of textsOf(example)) expect(text, name).toMatch(/^(?!string$|sample$|0$)\S/)
    }
    expect(shown).toBeGreaterThan(150)
  })

  it('shows each code that it fails with, at the status that it has', () => {
    const validate = new Ajv({ strict: false, formats: { uuid: true } }).compile({
      $ref: '#/components/schemas/Problem',
      components,
    })
    for (const { name, status, examples } of answersOf('application/problem+json')) {
      expect(Object.keys(examples ?? {}), name).not.toEqual([])
      for (const [code, { $ref }] of Object.entries(examples ?? {})) {
        const { value } = components.examples[$ref.replace('#/components/examples/', '')] ?? {}
        expect(value, `${name} ${code}`).toMatchObject({ code, status: Number(status.replace('XX', '00')) })
        expect(validate(value), `${name} ${code} ${JSON.stringify(validate.errors)}`).toBe(true)
      }
    }
  })

  it('refers to what has a name, and gives each of its answers one', () => {
    const named = new Map(
      Object.entries(components.schemas).map(([name, schema]) => [JSON.stringify(schema), name]),
    )
    const copiesIn = (value: unknown): string[] =>
      typeof value === 'object' && value !== null
        ? [
            ...(named.has(JSON.stringify(value)) ? [String(named.get(JSON.stringify(value)))] : []),
            ...Object.values(value).flatMap(copiesIn),
          ]
        : []
    expect(
      [...described].flatMap(([name, operation]) => copiesIn(operation).map((copy) => `${name} ${copy}`)),
    ).toEqual([])
    const parts = Object.values(components.schemas).map((schema) => Object.values(schema))
    expect(parts.flatMap(copiesIn)).toEqual([])
    for (const { name, schema } of answersOf('application/json'))
      expect(schema.$ref, name).toMatch(/^#\/components\/schemas\/[A-Z]/)
    for (const [, referred = ''] of JSON.stringify([...described, components]).matchAll(
      /"\$ref":"([^"]*)"/g,
    )) {
      const [kind, name] = referred.replace('#/components/', '').split('/') as [keyof Components, string]
      expect(components[kind], referred).toHaveProperty([name])
    }
  })

  it('names the values of what has few of them', () => {
    const { Reason, AuditEvent, Key } = components.schemas as Record<
      string,
      { properties: Record<string, { enum?: string[]; items?: object }> }
    >
    expect(Reason?.properties.code?.enum).toContain('outside-schedule')
    expect(AuditEvent?.properties.targetKind?.enum).toEqual(
      expect.arrayContaining(['devices', 'users', null]),
    )
    expect(Key?.properties.scopes?.items).toMatchObject({
      enum: expect.arrayContaining(['scans:write', 'blocks:read']),
    })
  })

  it('tells its failures by status and code, with the headers that they have', () => {
    for (const [name, { responses, security = [], tags }] of described) {
      if (tags[0] === 'health') continue
      expect(responses['503']?.headers, name).toHaveProperty('Retry-After')
      if (security.length > 0) expect(responses['401']?.headers, name).toHaveProperty('WWW-Authenticate')
      for (const [status, { content }] of Object.entries(responses).filter(([each]) => /^[45]/.test(each)))
        expect(content?.['application/problem+json']?.schema.$ref, `${name} ${status}`).toBe(
          '#/components/schemas/Problem',
        )
    }
    const login = described.get('POST /api/auth/login')?.responses
    expect(login?.['401']?.description).toMatch(/invalid-credentials.*second-factor-required/)
    expect(login?.['429']?.description).toMatch(/locked-out/)
    expect(described.get('POST /api/auth/second-factor')?.responses['401']?.description).toMatch(
      /wrong-code.*challenge-ended/,
    )
    expect(described.get('POST /api/blocks')?.responses['409']?.description).toMatch(
      /conflict.*protected.*own-device/,
    )
  })

  it('names versions and addresses where it has them', () => {
    const change = described.get('PATCH /api/devices/{id}')
    expect(change?.parameters).toContainEqual(expect.objectContaining({ in: 'header', name: 'If-Match' }))
    expect(change?.responses['200']?.headers).toHaveProperty('ETag')
    expect(change?.responses['412']?.description).toContain('precondition-failed')
    expect(described.get('GET /api/devices/{id}')?.responses['200']?.headers).toHaveProperty('ETag')
    expect(described.get('POST /api/routers')?.responses['201']?.headers).toHaveProperty('Location')
    expect(described.get('GET /api/devices')?.responses['200']?.headers).toBeUndefined()
    const headersOf = (name: string) =>
      described.get(name)?.parameters?.flatMap((each) => (each.in === 'header' ? each.name : []))
    for (const { operation, schema } of answersOf('application/json'))
      if (schema.$ref?.endsWith('/Tokens'))
        expect(headersOf(operation), operation).toContain('X-Token-Transport')
    expect(headersOf('POST /api/auth/refresh')).toContain('X-CSRF-Token')
    expect(headersOf('GET /api/agent/policy')).toEqual(['If-None-Match'])
  })

  it('answers no failure that its document does not name', async () => {
    const ada = await world.person()
    const router = await ada.router()
    const root = await world.administrator()
    const unnamed = new Set<string>()
    for (const operation of operations.filter(({ path }) => path.startsWith('/api/'))) {
      const call = { person: ada.call, admin: root.call, agent: router.call, anyone: world.send }[
        operation.door
      ]
      const answers = [
        await ask(call, operation, nobodys()),
        await call(operation.method, operation.path.replaceAll(/\{\w+\}/g, randomUUID()), {
          query: { nonsense: '1' },
        }),
        await world.send(operation.method, operation.path.replaceAll(/\{\w+\}/g, randomUUID())),
        await call(operation.method, operation.path.replaceAll(/\{\w+\}/g, '7'), { body: { nonsense: 1 } }),
        ...(operation.body
          ? [
              await call(operation.method, operation.path.replaceAll(/\{\w+\}/g, randomUUID()), {
                body: '<x/>',
                headers: { 'content-type': 'application/xml' },
              }),
            ]
          : []),
      ]
      for (const { statusCode, body } of answers.filter((answer) => answer.statusCode >= 400)) {
        const { code } = JSON.parse(body)
        const told = described.get(operation.name)?.responses[String(statusCode)]?.description ?? ''
        if (!told.includes(`\`${code}\``)) unnamed.add(`${nameOf(operation)} ${statusCode} ${code}`)
      }
    }
    expect([...unnamed]).toEqual([])
  })
})
