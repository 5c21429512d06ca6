/** Settings: any JSON by key, a person's own and a router's, and what is refused. */
import { randomUUID } from 'node:crypto'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { comparable, expectProblem } from '../support/problems.ts'
import { type Person, rowsOf, sharedWorld, type World } from '../support/world.ts'

let world: World
let ada: Person
beforeAll(async () => {
  world = await sharedWorld()
})
beforeEach(async () => {
  ada = await world.person()
})

const inScope = (routerId?: string) => (routerId ? { query: { routerId } } : {})
const put = (key: string, value: unknown, routerId?: string, person = ada) =>
  person.call('PUT', `/api/settings/${key}`, { body: { value }, ...inScope(routerId) })
const get = (key: string, routerId?: string, person = ada) =>
  person.call('GET', `/api/settings/${key}`, inScope(routerId))
const remove = (key: string, routerId?: string, person = ada) =>
  person.call('DELETE', `/api/settings/${key}`, inScope(routerId))
const list = (query: Record<string, string> = {}, person = ada) =>
  person.call('GET', '/api/settings', { query })
const addRouter = async (person = ada): Promise<string> =>
  (await person.call('POST', '/api/routers', { body: { name: 'Home' } })).json().id

describe('a setting', () => {
  it.each([
    ['a text', 'dark'],
    ['a text that looks like a number', '5'],
    ['a text that looks like JSON', '{"a":[1]}'],
    ['null', null],
    ['false', false],
    ['zero', 0],
    ['a number', -1.5e-7],
    ['the empty text', ''],
    ['a list', [1, 'zwei', null, [], {}]],
    ['an object', { 'a key': { b: [{ c: '🏢 \\u0000' }] }, '': 1 }],
  ])('keeps %s as it is', async (_what, value) => {
    const answer = await put('theme.color-2', value)
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual({
      key: 'theme.color-2',
      value,
      updatedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    })
    expect((await get('theme.color-2')).json()).toEqual(answer.json())
    expect((await list()).json()).toEqual({ items: [answer.json()], total: 1, limit: 50, offset: 0 })
  })

  it('is replaced by the next value, and gone when it is removed', async () => {
    await put('theme', 'dark')
    await rowsOf(`update user_settings set updated_at = '2026-01-01' where user_id = $1`, [ada.id])
    const { updatedAt } = (await put('theme', 'light')).json()
    expect(Date.now() - Date.parse(updatedAt)).toBeLessThan(60_000)
    expect((await get('theme')).json().value).toBe('light')
    const answer = await remove('theme')
    expect([answer.statusCode, answer.body]).toEqual([204, ''])
    expectProblem(await remove('theme'), 404, 'not-found')
    expectProblem(await get('theme'), 404, 'not-found')
    expect((await list()).json().items).toEqual([])
  })

  it('is of a person or of one router, and neither hides another', async () => {
    const [home, office] = await Promise.all([addRouter(), addRouter()])
    await Promise.all([put('theme', 'mine'), put('theme', 'home', home), put('theme', 'office', office)])
    for (const [routerId, value] of [
      [undefined, 'mine'],
      [home, 'home'],
      [office, 'office'],
    ]) {
      expect((await get('theme', routerId)).json().value).toBe(value)
      expect((await list(routerId ? { routerId } : {})).json()).toMatchObject({
        total: 1,
        items: [{ value }],
      })
    }
    expect((await remove('theme', home)).statusCode).toBe(204)
    expect((await get('theme')).statusCode).toBe(200)
    await ada.call('DELETE', `/api/routers/${office}`)
    expect(
      await rowsOf('select setting_value as value from user_settings where user_id = $1', [ada.id]),
    ).toEqual([{ value: 'mine' }])
  })

  it('is one however many write it at once, a person’s own too', async () => {
    const routerId = await addRouter()
    for (const scope of [undefined, routerId]) {
      const answers = await Promise.all(Array.from({ length: 10 }, (_, value) => put('theme', value, scope)))
      expect(answers.map(({ statusCode }) => statusCode)).toEqual(Array(10).fill(200))
      expect((await list(scope ? { routerId: scope } : {})).json().total).toBe(1)
    }
  })

  it.each(['Theme', '1st', '-a', 'a_b', 'a b', 'ä', 'a'.repeat(65), 'a%00', 'a%2Fb'])(
    'cannot be named %s',
    async (key) => {
      for (const answer of [await put(key, 1), await get(key), await remove(key)]) {
        const { errors = [] } = expectProblem(answer, 400, 'invalid-request')
        expect(errors.map(({ path }) => path)).toEqual(['/params/key'])
      }
    },
  )

  it.each([
    ['U+0000 in a text', '"a\\u0000"'],
    ['U+0000 in a name', '{"a":[{"b\\u0000":1}]}'],
    ['lone surrogate', '[["\\ud800"]]'],
    ['lone surrogate in a name', '{"\\udc00":1}'],
    ['number beyond all bounds', '{"a":1e999}'],
  ])('holds no %s', async (_what, json) => {
    const answer = await ada.call('PUT', '/api/settings/theme', {
      headers: { 'content-type': 'application/json' },
      body: `{"value":${json}}`,
    })
    expect(expectProblem(answer, 400, 'invalid-request').errors?.map(({ path }) => path)).toEqual([
      '/body/value',
    ])
    expectProblem(await get('theme'), 404, 'not-found')
  })

  it('has a value of up to 16 KiB as UTF-8', async () => {
    expect((await put('theme', 'x'.repeat(16_382))).statusCode).toBe(200)
    for (const value of ['x'.repeat(16_383), 'ü'.repeat(8_192), Array(8_192).fill(1)])
      expectProblem(await put('theme', value), 413, 'too-large')
    expect((await get('theme')).json().value).toHaveLength(16_382)
  })

  it('needs a value, and nothing else', async () => {
    for (const body of [{}, { value: 1, key: 'other' }, [], 'x', null])
      expectProblem(
        await ada.call('PUT', '/api/settings/theme', {
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        }),
        400,
        'invalid-request',
      )
  })
})

describe('a setting that NetPilot once checked', () => {
  it.each(['timeZone', 'locale', 'notifications'])('is the client’s own now: %s', async (key) => {
    await rowsOf('insert into user_settings (user_id, setting_key, setting_value) values ($1, $2, $3)', [
      ada.id,
      key,
      '"as it was"',
    ])
    expect((await get(key)).json().value).toBe('as it was')
    expect((await list()).json()).toMatchObject({ total: 1, items: [{ key, value: 'as it was' }] })
    for (const value of ['', { sms: true }, null]) {
      expect((await put(key, value)).statusCode).toBe(200)
      expect((await get(key)).json().value).toEqual(value)
    }
    expect((await remove(key)).statusCode).toBe(204)
  })
})

describe('the settings of a scope', () => {
  it('are a hundred at most, also when more come at once; those that are there can be changed still', async () => {
    const routerId = await addRouter()
    for (const scope of [undefined, routerId]) {
      await rowsOf(
        `insert into user_settings (user_id, router_id, setting_key, setting_value)
          select $1, $2, 'key' || n, '1' from generate_series(1, 95) n`,
        [ada.id, scope ?? null],
      )
      const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => put(`late${n}`, n, scope)))
      expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([
        ...Array(5).fill(200),
        ...Array(5).fill(409),
      ])
      for (const answer of answers.filter(({ statusCode }) => statusCode === 409))
        expectProblem(answer, 409, 'conflict')
      expect((await put('key1', 'changed', scope)).statusCode).toBe(200)
      expect((await list({ limit: '1', ...(scope && { routerId: scope }) })).json().total).toBe(100)
      await remove('key1', scope)
      expect((await put('free', 1, scope)).statusCode).toBe(200)
    }
  })

  it('come in pages, by key or by age', async () => {
    for (const key of ['b', 'c', 'a']) await put(key, key)
    const keys = async (query: Record<string, string>) =>
      (await list(query)).json().items.map(({ key }: { key: string }) => key)
    expect(await keys({})).toEqual(['a', 'b', 'c'])
    expect(await keys({ sort: '-key' })).toEqual(['c', 'b', 'a'])
    expect(await keys({ sort: 'updatedAt' })).toEqual(['b', 'c', 'a'])
    expect(await keys({ sort: '-updatedAt' })).toEqual(['a', 'c', 'b'])
    expect((await list({ limit: '1', offset: '1' })).json()).toMatchObject({
      items: [{ key: 'b' }],
      total: 3,
      limit: 1,
      offset: 1,
    })
    expect((await list({ offset: '9' })).json()).toMatchObject({ items: [], total: 3 })
    for (const query of [
      { limit: '0' },
      { limit: '201' },
      { offset: '-1' },
      { sort: 'value' },
      { routerId: '7' },
    ])
      expectProblem(await list(query as Record<string, string>), 400, 'invalid-request')
  })
})

describe('somebody else’s settings', () => {
  it('do not exist: a foreign router answers as one that nobody has', async () => {
    const bob = await world.person()
    const routerId = await addRouter()
    await Promise.all([put('theme', 'dark'), put('theme', 'dark', routerId)])
    expect((await list({}, bob)).json().items).toEqual([])
    expectProblem(await get('theme', undefined, bob), 404, 'not-found')
    expectProblem(await remove('theme', undefined, bob), 404, 'not-found')
    const asks = [
      (id: string) => list({ routerId: id }, bob),
      (id: string) => get('theme', id, bob),
      (id: string) => put('theme', 'bob', id, bob),
      (id: string) => remove('theme', id, bob),
    ]
    for (const ask of asks) {
      const foreign = await ask(routerId)
      expectProblem(foreign, 404, 'not-found')
      expect(comparable(foreign)).toEqual(comparable(await ask(randomUUID())))
    }
    expect((await get('theme', routerId)).json().value).toBe('dark')
    await put('theme', 'light', undefined, bob)
    expect((await get('theme')).json().value).toBe('dark')
  })
})
