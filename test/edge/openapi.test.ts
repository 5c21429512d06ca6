/**
 * What the API document says of every operation beside its schemas: who may enter, what it answers, and how
 * it fails.
 */
import { randomUUID } from 'node:crypto'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import { beforeAll, describe, expect, it } from 'vitest'
import { GLOSSARY } from '../../src/http/openapi/glossary.ts'
import { ask, nameOf, nobodys } from '../support/identified-requests.ts'
import { listOperations, type Operation, type Schema, sampleOf, urlOf } from '../support/operations.ts'
import { sharedWorld, type World } from '../support/world.ts'

type Described = {
  operationId: string
  summary?: string
  description?: string
  tags: string[]
  security?: Record<string, string[]>[]
  parameters?: { in?: string; name?: string; $ref?: string; description?: string }[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<
    string,
    { description: string; headers?: Record<string, unknown>; content?: Record<string, Media> }
  >
}
type Media = { schema: { $ref?: string }; example?: unknown; examples?: Record<string, { $ref: string }> }
type Components = {
  schemas: Record<string, object>
  securitySchemes: Record<string, object>
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

/** Every object within, but for examples. */
const partsOf = (value: unknown): Record<string, unknown>[] =>
  typeof value === 'object' && value !== null
    ? [
        ...(Array.isArray(value) ? [] : [value as Record<string, unknown>]),
        ...Object.entries(value).flatMap(([name, part]) => (/^examples?$/.test(name) ? [] : partsOf(part))),
      ]
    : []

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
        expect(description, `${name} ${status}`).toMatch(/^(?!Default Response)\S.{9,}/)
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

  it('has no choice but between whole objects that have names', () => {
    const choices = partsOf([...described.values(), components.schemas]).flatMap(({ oneOf, allOf }) => [
      ...((oneOf ?? []) as object[]),
      ...((allOf ?? []) as object[]),
    ])
    expect(choices.length).toBeGreaterThan(25)
    for (const choice of choices)
      expect(choice).toEqual({ $ref: expect.stringMatching(/^#.components.schemas./) })
  })

  it('has the forms of a body that the server has: for each combination of their fields both say the same', async () => {
    const ajv = addFormats.default(new Ajv({ strict: false }))
    const ada = await world.person()
    const router = await ada.router()
    const calls = { person: ada.call, admin: ada.call, agent: router.call, anyone: world.send }
    let tried = 0
    for (const operation of operations.filter(({ body }) => body?.forms)) {
      const { forms = [], properties = {}, required = [] } = operation.body as Schema
      const { content = {} } = described.get(operation.name)?.requestBody ?? {}
      const isDescribed = ajv.compile({ ...content['application/json']?.schema, components })
      const choices = [...new Set(forms.flat())]
      const sampleFor = (name: string) => sampleOf(properties[name] ?? {}, { name })
      for (let bits = 0; bits < 2 ** choices.length; bits += 1) {
        const names = [...required, ...choices.filter((_, index) => bits & (2 ** index))]
        const body = Object.fromEntries(names.map((name) => [name, sampleFor(name)]))
        const answer = await calls[operation.door](operation.method, urlOf(operation, nobodys()), { body })
        const isRefused = answer.statusCode === 400 && answer.body.includes('"exactly-one-of"')
        expect(isRefused, `${operation.name} ${names}: ${answer.body}`).toBe(!isDescribed(body))
        tried += 1
      }
    }
    expect(tried).toBeGreaterThan(80)
  })

  it('describes itself, its parameters and every field, in sentences of at most 25 words', () => {
    // The description of this one is still to be written.
    const unfinished: string[] = []
    for (const [name, { operationId, summary, description, parameters = [] }] of described) {
      expect(summary, name).toMatch(/^[A-Z]/)
      if (!unfinished.includes(operationId)) expect(description, name).toMatch(/\.$|\?$/)
      for (const parameter of parameters)
        expect(parameter.$ref ?? parameter.description, `${name} ${parameter.name}`).toMatch(/\S{3}/)
    }
    for (const { properties = {} } of partsOf([...described.values(), components.schemas]))
      for (const [name, field] of Object.entries(
        properties as Record<string, Schema & { description?: string }>,
      ))
        expect(field.$ref ?? field.description, name).toMatch(/\S{3}/)
    const words = partsOf([...described.values(), components]).flatMap(({ description }) => description ?? [])
    expect(words.length).toBeGreaterThan(1_000)
    const sentences = words.flatMap((text) => String(text).split(/(?<=[.:;!?])\s+/))
    expect(sentences.filter((sentence) => sentence.split(/\s+/).length > 25)).toEqual([])
  })

  it('has one word for each field, and none for a field that there is not', () => {
    const text = JSON.stringify([...described.values(), components])
    expect(Object.values(GLOSSARY).filter((words) => !text.includes(JSON.stringify(words)))).toEqual([])
  })

  it('names its headers once, and those that each answer has', () => {
    for (const [name, { responses }] of described)
      for (const [status, { headers = {} }] of Object.entries(responses)) {
        expect(headers, `${name} ${status}`).toHaveProperty('X-Request-Id')
        for (const [header, reference] of Object.entries(headers))
          expect(reference).toEqual({ $ref: `#/components/headers/${header}` })
        if (status === '429') expect(headers, name).toHaveProperty('RateLimit')
      }
    const cookies = [...described].filter(([, { responses }]) =>
      Object.values(responses).some(({ headers = {} }) => 'Set-Cookie' in headers),
    )
    expect(cookies.map(([name]) => name)).toEqual(
      expect.arrayContaining(['POST /api/auth/login', 'POST /api/auth/logout', 'GET /api/auth/google/start']),
    )
    expect(described.get('POST /api/auth/refresh')?.security).toEqual([{}, { refreshCookie: [] }])
    expect(components.securitySchemes.refreshCookie).toMatchObject({ type: 'apiKey', in: 'cookie' })
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
    const unnamed = partsOf([...described.values(), components.schemas]).flatMap((part) =>
      part.properties === undefined || Object.values(components.schemas).includes(part)
        ? []
        : JSON.stringify(part),
    )
    expect(unnamed.filter((part, index) => unnamed.indexOf(part) !== index)).toEqual([])
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
    expect(change?.parameters).toContainEqual({ $ref: '#/components/parameters/If-Match' })
    expect(change?.responses['200']?.headers).toHaveProperty('ETag')
    expect(change?.responses['412']?.description).toContain('precondition-failed')
    expect(described.get('GET /api/devices/{id}')?.responses['200']?.headers).toHaveProperty('ETag')
    expect(described.get('POST /api/routers')?.responses['201']?.headers).toHaveProperty('Location')
    expect(described.get('GET /api/devices')?.responses['200']?.headers).not.toHaveProperty('ETag')
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
