/**
 * Text is kept to the code point: what a body stores is read back equal, or refused by a rule that the
 * documentation states. The fields are found in the OpenAPI document: whatever text a body takes and its
 * answer shows under the same name.
 */
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isAddress } from '../../src/network/email-address.ts'
import { BODIES, nameOf, ownedBy } from '../support/identified-requests.ts'
import { listOperations, type Operation, type Schema, sampleOf, urlOf } from '../support/operations.ts'
import { expectProblem } from '../support/problems.ts'
import { type Answer, type Person, sharedWorld } from '../support/world.ts'

const world = await sharedWorld()
const { paths, components } = (await world.send('GET', '/openapi.json')).json()
const resolved = (schema: Schema & { $ref?: string }): Schema =>
  schema?.$ref ? components.schemas[schema.$ref.split('/').at(-1) ?? ''] : schema

/** Fields with a text of the client's own choice. */
const fields = (await listOperations(world)).flatMap((operation) => {
  const { responses } = paths[operation.path][operation.method.toLowerCase()]
  const shown =
    resolved((responses[200] ?? responses[201])?.content?.['application/json']?.schema)?.properties ?? {}
  return Object.entries(operation.body?.properties ?? {}).flatMap(([field, schema]) =>
    operation.door === 'person' && schema.pattern?.includes('\\ud800') && shown[field]
      ? [{ operation, field, schema }]
      : [],
  )
})
/** What is read back of it. */
const storedIn = async (
  person: Person,
  { path, operationId }: Operation,
  ids: { id: string },
  answer: Answer,
  field: string,
) => {
  const { id } = answer.json()
  const one = operationId?.startsWith('add')
    ? `${path.replace(/\/$/, '')}/${id}`
    : urlOf({ path, parameters: [] } as never, ids)
  const item = await person.call('GET', one)
  if (item.statusCode === 200) return item.json()[field]
  const list = await person.call('GET', path.replace(/\/(\{id\})?$/, '').replace('{id}', ids.id), {
    query: { limit: '200' },
  })
  return list.json().items.find((each: { id: string }) => each.id === (id ?? ids.id))?.[field]
}

/** Fields whose text must be of a kind, which no text below is. */
const OF_A_KIND = ['avatarUrl', 'timeZone', 'mac', 'ip']

const KEPT = [
  ' padded ',
  'line\r\nend\ttab',
  '"quoted" \\ \'single\' `tick` $x %s {{x}} <b>&amp;</b> ; -- /* */',
  'مرحبا \u202e evil \u2066 isolate',
  'e\u0301 and \u00e9 and \u212b',
  '\u0430\u0440\u0440\u04cf\u0435',
  '👩‍👩‍👧‍👦🏳️‍🌈🇩🇪',
  '𝒩𝑒𝓉𝒫𝒾𝓁𝑜𝓉 \u{10ffff}',
  '\ufeffmark\ufffe\uffff\ufdd0',
  '\u0001\u007f\u0085\u2028\u2029',
  'Z͑ͫ̓ͪ̂ͫ̽͏̴̙',
  'null',
  '\\u0000',
  'İıßΣς',
]

/** A key of a person takes a proof that they are there. */
const proofOf = ({ operationId }: Operation, { password }: Person) =>
  operationId === 'addPersonalKey' ? { password } : {}

describe('a text of a body', () => {
  it('is among these fields', () => {
    const found = fields.map(({ operation, field }) => `${nameOf(operation)} ${field}`)
    expect(found).toEqual(
      expect.arrayContaining([
        'POST /api/routers name',
        'PATCH /api/devices/{id} type',
        'POST /api/blocks reason',
      ]),
    )
    expect(found.length).toBeGreaterThan(15)
  })

  it.each(fields.map((field) => ({ ...field, name: `${nameOf(field.operation)} ${field.field}` })))(
    'is read back as it was sent, or refused by its rule: $name, R48',
    async ({ operation, field, schema }) => {
      const { maxLength = 0, pattern } = schema as Schema & { maxLength: number }
      const isVisible = pattern?.startsWith('^\\s*')
      const isCreating = operation.method === 'POST'
      const url = (id: string) => urlOf(operation, { id })
      const fresh = async () => {
        const person = await world.person()
        return { person, ids: await ownedBy(person, operation) }
      }
      let there = await fresh()
      const store = async (text: string) => {
        // Many things may be there once only: each is made beside nothing.
        if (isCreating) there = await fresh()
        const { person, ids } = there
        const body = {
          ...(BODIES[nameOf(operation)]?.(ids) ?? (sampleOf(operation.body ?? {}, { lean: true }) as object)),
          ...proofOf(operation, person),
          [field]: text,
        }
        const answer = await person.call(operation.method, url(ids.id), { body })
        const isKept =
          !text.includes('\0') &&
          text !== '' &&
          [...text].length <= maxLength &&
          !(isVisible && text.trim() === '')
        if (!isKept || (OF_A_KIND.includes(field) && answer.statusCode === 400)) {
          const { errors } = expectProblem(answer, 400, 'invalid-request')
          // What is of a kind may also clash with what else the body names.
          if (!OF_A_KIND.includes(field)) expect(errors?.map(({ path }) => path)).toContain(`/body/${field}`)
          return
        }
        expect(answer.statusCode, `${JSON.stringify(text)} ${answer.body}`).toBeLessThan(300)
        expect(answer.json()[field]).toBe(text)
        expect(await storedIn(person, operation, ids, answer, field)).toBe(text)
      }
      for (const text of isCreating ? [KEPT.join('').slice(0, maxLength).toWellFormed()] : KEPT)
        await store(text.slice(0, maxLength))
      for (const text of ['😀'.repeat(maxLength), '😀'.repeat(maxLength + 1), ' \u00a0\u3000', '\0'])
        await store(text)
      const any = fc.string({ unit: 'binary', maxLength: Math.min(maxLength, 60) })
      await fc.assert(fc.asyncProperty(any, store), { numRuns: isCreating ? 5 : 25 })
    },
    60_000,
  )

  it('of any kind is kept in a setting, at any depth and as a name too', async () => {
    const ada = await world.person()
    const text = fc.string({ unit: 'binary', maxLength: 40 })
    const { value: any } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        text,
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(
          text.filter((name) => name !== '__proto__'),
          tie('value'),
          { maxKeys: 4 },
        ),
      ),
    }))
    await fc.assert(
      fc.asyncProperty(any, async (value) => {
        const answer = await ada.call('PUT', '/api/settings/theme', { body: { value } })
        if (JSON.stringify(value).includes('\\u0000'))
          return void expectProblem(answer, 400, 'invalid-request')
        expect(answer.statusCode, answer.body).toBe(200)
        expect((await ada.call('GET', '/api/settings/theme')).json().value).toEqual(value)
      }),
      { numRuns: 100 },
    )
  })
})

describe('an address', () => {
  const register = (email: string) =>
    world.send('POST', '/api/auth/register', { body: { email, password: `pw ${randomUUID()}` } })

  it.each([
    'a,b@x.com',
    '<a>@b.com',
    'a b@x.com',
    '"a b"@x.com',
    'a(comment)@x.com',
    'a;b@x.com',
    'a:b@x.com',
    'a\\b@x.com',
    'a[1]@x.com',
    '.a@x.com',
    'a.@x.com',
    'a..b@x.com',
    'a@[192.0.2.1]',
    'a@localhost',
    'a@x..com',
    'a@x.com.',
    'a@x_y,z.com',
    'a@b@x.com',
    'a\u200b@x.com',
    'a\u202e@x.com',
    'Ada <ada@x.com>',
    'a@x.com, b@x.com',
    'a@x.com\r\nBcc: b@x.com',
  ])('that no mail can go to gets no account: %s', async (email) => {
    const { errors } = expectProblem(await register(email), 400, 'invalid-request')
    expect(errors?.map(({ path }) => path)).toEqual(['/body/email'])
  })

  it('that has one is trimmed and lower-cased, in any script', async () => {
    for (const local of [
      "o'neil+tag",
      'ΣΊΣΥΦΟΣ',
      'Dvořák',
      'İstanbul',
      '用户',
      'straße',
      'x_y-z.1',
      '!#$%&*/=?^`{|}~',
    ]) {
      const email = ` \u00a0\t${local}@${randomUUID()}.Example `
      const answer = await register(email)
      expect(answer.statusCode, `${local} ${answer.body}`).toBe(201)
      expect(answer.json().user.email).toBe(email.trim().toLowerCase())
    }
  })

  it('of any text is stored so that a mail can go there, or refused', async () => {
    const unit = fc.oneof(
      fc.constantFrom(...'.@ ,<>"aA-ςΣİ'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit, maxLength: 20 }),
        fc.string({ unit, maxLength: 5 }),
        async (local, label) => {
          const email = `${local}@${label}${randomUUID()}.example`
          const answer = await register(email)
          if (answer.statusCode !== 201) return void expectProblem(answer, 400, 'invalid-request')
          expect(answer.json().user.email).toBe(email.trim().toLowerCase())
          expect(isAddress(answer.json().user.email)).toBe(true)
        },
      ),
      { numRuns: 200 },
    )
  })
})
