/** What the API document says of every operation beside its schemas: who may enter, what it answers, and how it fails. */
import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { ask, nameOf, nobodys } from './support/identified-requests.ts'
import { listOperations, type Operation } from './support/operations.ts'
import { sharedWorld, type World } from './support/world.ts'

type Described = {
  operationId: string
  tags: string[]
  security?: Record<string, string[]>[]
  parameters?: { in: string; name: string }[]
  responses: Record<
    string,
    { description: string; headers?: Record<string, unknown>; content?: Record<string, { schema: { $ref?: string } }> }
  >
}
let world: World
let operations: Operation[]
let described: Map<string, Described>
beforeAll(async () => {
  world = await sharedWorld()
  operations = await listOperations(world)
  const { paths } = (await world.send('GET', '/openapi.json')).json()
  described = new Map(
    Object.entries<Record<string, Described>>(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const),
    ),
  )
})

describe('every operation', () => {
  it('says who may enter, each way once; none where anybody may', () => {
    for (const [name, { security }] of described) {
      expect(security, name).toBeDefined()
      const ways = (security ?? []).map((way) => JSON.stringify(way))
      expect(new Set(ways.map((way) => Object.keys(JSON.parse(way))[0])).size, name).toBe(ways.length)
    }
    expect(described.get('POST /api/auth/login')?.security).toEqual([])
    expect(described.get('GET /api/devices')?.security).toEqual([{ person: [] }, { script: ['devices:read'] }])
  })

  it('describes each of its answers in words', () => {
    for (const [name, { responses }] of described)
      for (const [status, { description }] of Object.entries(responses))
        expect(description, `${name} ${status}`).toMatch(/^(?!Default Response)\S.{3,}/)
  })

  it('tells its failures by status and code, with the headers that they have', () => {
    for (const [name, { responses, security = [], tags }] of described) {
      if (tags[0] === 'health') continue
      expect(responses['503']?.headers, name).toHaveProperty('Retry-After')
      if (security.length > 0) expect(responses['401']?.headers, name).toHaveProperty('WWW-Authenticate')
      for (const [status, { content }] of Object.entries(responses).filter(([each]) => /^[45]/.test(each)))
        expect(content?.['application/problem+json']?.schema.$ref, `${name} ${status}`).toBe('#/components/schemas/Problem')
    }
    const login = described.get('POST /api/auth/login')?.responses
    expect(login?.['401']?.description).toMatch(/invalid-credentials.*second-factor-required/)
    expect(login?.['429']?.description).toMatch(/locked-out/)
    expect(described.get('POST /api/auth/second-factor')?.responses['401']?.description).toMatch(/wrong-code.*challenge-ended/)
    expect(described.get('POST /api/blocks')?.responses['409']?.description).toMatch(/conflict.*protected.*own-device/)
  })

  it('names versions and addresses where it has them', () => {
    const change = described.get('PATCH /api/devices/{id}')
    expect(change?.parameters).toContainEqual(expect.objectContaining({ in: 'header', name: 'If-Match' }))
    expect(change?.responses['200']?.headers).toHaveProperty('ETag')
    expect(change?.responses['412']?.description).toContain('precondition-failed')
    expect(described.get('GET /api/devices/{id}')?.responses['200']?.headers).toHaveProperty('ETag')
    expect(described.get('POST /api/routers')?.responses['201']?.headers).toHaveProperty('Location')
    expect(described.get('GET /api/devices')?.responses['200']?.headers).toBeUndefined()
  })

  it('answers no failure that its document does not name', async () => {
    const ada = await world.person()
    const router = await ada.router()
    const root = await world.administrator()
    const unnamed = new Set<string>()
    for (const operation of operations.filter(({ path }) => path.startsWith('/api/'))) {
      const call = { person: ada.call, admin: root.call, agent: router.call, anyone: world.send }[operation.door]
      const answers = [
        await ask(call, operation, nobodys()),
        await call(operation.method, operation.path.replaceAll(/\{\w+\}/g, randomUUID()), { query: { nonsense: '1' } }),
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
