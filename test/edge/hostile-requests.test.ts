/**
 * The edge under attack: bodies, queries, methods, types and tokens that nobody sends in good faith, to every
 * operation of the OpenAPI document. None is answered 5xx, each refusal is a problem document with its code,
 * and nothing is stored.
 */
import { createHmac, randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { type BodyOperation, enterAs, storedOf } from '../support/callers.ts'
import { listOperations, type Operation, sampleOf, urlOf } from '../support/operations.ts'
import { comparable, expectProblem } from '../support/problems.ts'
import { type Answer, type Person, type Router, sharedWorld, type World } from '../support/world.ts'

let world: World
let operations: Operation[]
let withBodies: BodyOperation[]
let ada: Person
let router: Router
let root: Person
let enter: ReturnType<typeof enterAs>
beforeAll(async () => {
  world = await sharedWorld()
  operations = await listOperations(world)
  withBodies = operations.flatMap((operation) =>
    operation.body ? [{ ...operation, body: operation.body }] : [],
  )
  ada = await world.person()
  router = await ada.router()
  root = await world.administrator()
  enter = enterAs({ world, person: ada, router, administrator: root })
})

const JSON_TYPE = { 'content-type': 'application/json' }
const post = (body: string | Buffer, type = 'application/json', url = '/api/routers') =>
  ada.call('POST', url, { body, headers: { 'content-type': type } })
const named = (name: string) => post(`{"name":${name}}`)

/** Runs it, and finds everybody's rows as they were before. */
async function storingNothing(work: () => Promise<void>) {
  const before = await storedOf([ada, root])
  await work()
  expect(await storedOf([ada, root])).toEqual(before)
}

describe('a hostile body', () => {
  it.each<[what: string, body: string | Buffer]>([
    ['a name given twice', '{"name":"a","name":"b"}'],
    ['a name given twice, once escaped', '{"name":"a","n\\u0061me":"b"}'],
    ['a name given twice, below', '{"name":"a","x":[{"y":{"z":1,"z":1}}]}'],
    ['__proto__, escaped', '{"name":"a","\\u005f_proto__":{}}'],
    ['constructor.prototype, escaped', '{"name":"a","constructor":{"prot\\u006ftype":1}}'],
    ['trailing garbage', '{"name":"a"}x'],
    ['a second value', '{"name":"a"}{"name":"b"}'],
    ['a NUL after it', '{"name":"a"}\0'],
    ['a trailing comma', '{"name":"a",}'],
    ['a comment', '{"name":"a"/**/}'],
    ['single quotes', "{'name':'a'}"],
    ['a bare NaN', '{"name":"a","tunnelPort":NaN}'],
    ['a leading zero', '{"name":"a","tunnelPort":01}'],
    ['a hexadecimal number', '{"name":"a","tunnelPort":0x50}'],
    ['a bare line end in a string', '{"name":"a\nb"}'],
    ['a bare NUL in a string', '{"name":"a\0b"}'],
    ['half an escape', '{"name":"\\u00"}'],
    ['UTF-16, little end first', Buffer.from('\ufeff{"name":"a"}', 'utf16le')],
    ['UTF-16, big end first', Buffer.from('\ufeff{"name":"a"}', 'utf16le').swap16()],
    ['a byte that is none of UTF-8', Buffer.from('{"name":"\xff"}', 'latin1')],
    // Three bytes, like the U+FFFD that a lenient reader puts in their place: no length tells.
    ['a character cut short', Buffer.from('{"name":"\xf0\x9f\x98"}', 'latin1')],
    ['an overlong quotation mark', Buffer.from('{"name":"a\xc0\xa2}', 'latin1')],
    ['a surrogate in UTF-8', Buffer.from('{"name":"\xed\xa0\x80"}', 'latin1')],
    ['a code point beyond the last', Buffer.from('{"name":"\xf4\x90\x80\x80"}', 'latin1')],
    ['an escaped NUL', '{"name":"a\\u0000"}'],
    ['an escaped lone surrogate', '{"name":"\\ud83d"}'],
    ['escaped surrogates the wrong way round', '{"name":"\\ude00\\ud83d"}'],
    ['white space alone for a name', '{"name":" \\t\\u00a0\\u3000\\ufeff"}'],
    ['a number beyond all numbers', '{"name":"a","tunnelPort":1e400}'],
    ['the other one', '{"name":"a","tunnelPort":-1e400}'],
    ['minus zero', '{"name":"a","tunnelPort":-0}'],
    ['a number of a thousand digits', `{"name":"a","limitRate":1${'0'.repeat(1_000)}}`],
    ['a fraction that rounds to nothing', '{"name":"a","tunnelPort":80.5}'],
  ])('is refused: %s', async (_what, body) => {
    await storingNothing(async () => void expectProblem(await post(body), 400, 'invalid-request'))
  })

  it('is read when it is only unusual: a byte order mark, escapes, exponents, a colon and a quotation mark in strings', async () => {
    for (const [body, read] of [
      ['\ufeff{"name":"a"}', { name: 'a' }],
      ['\t\r\n {"name":"\\u0061\\ud83d\\ude00"} ', { name: 'a😀' }],
      ['{"name":"a","tunnelPort":8.08e3}', { tunnelPort: 8_080 }],
      ['{"name":"\\":\\"x\\":\\\\","ip":null}', { name: '":"x":\\' }],
    ] as const) {
      const answer = await post(body)
      expect(answer.statusCode, body).toBe(201)
      expect(answer.json()).toMatchObject(read)
    }
  })

  it('of a megabyte in one string is too large, also where a scan may be that large', async () => {
    await storingNothing(
      async () =>
        expectProblem(await named(JSON.stringify('x'.repeat(1_048_576))), 413, 'too-large') as never,
    )
    const scan = {
      scanId: randomUUID(),
      takenAt: '2026-01-01T00:00:00Z',
      devices: [{ mac: '02:00:5e:10:00:01', hostname: '' }],
    }
    const body = JSON.stringify(scan).replace('""', `"${'x'.repeat(1_048_576)}"`)
    expectProblem(
      await router.call('POST', '/api/agent/scans', { body, headers: JSON_TYPE }),
      413,
      'too-large',
    )
  })

  it('of text is UTF-8 too', async () => {
    const body = Buffer.from('02:00:5e:10:00:01 \xf0\x9f\x98', 'latin1')
    const headers = { 'content-type': 'text/plain' }
    expectProblem(
      await router.call('POST', '/api/agent/scans?format=arp-scan', { body, headers }),
      400,
      'invalid-request',
    )
  })

  it('is refused by every operation that has one, and stores nothing', () =>
    storingNothing(async () => {
      for (const operation of withBodies) {
        const text = JSON.stringify(sampleOf(operation.body))
        const twice = text.replace('{', text === '{}' ? '{"twice":1,"twice":2' : '{"twice":1,"twice":2,')
        const hostile = [
          twice,
          `${text}x`,
          `${text}${text}`,
          `[${text}]`,
          `${'['.repeat(60_000)}`,
          '"',
          '1e400',
          '\0',
          text.slice(0, -1),
        ]
        for (const body of [
          ...hostile,
          Buffer.from(text, 'utf16le'),
          Buffer.concat([Buffer.from(text), Buffer.from([0xff])]),
        ]) {
          const answer = await enter(operation, { body, headers: JSON_TYPE })
          expect(answer.statusCode, `${operation.name} ${body.toString().slice(0, 60)}`).toBe(400)
          const { detail } = expectProblem(answer, 400, 'invalid-request')
          if (body === twice) expect(detail, operation.name).toContain('a name twice')
        }
      }
    }))

  it('has a type that says JSON in UTF-8 and nothing else, of every operation', () =>
    storingNothing(async () => {
      for (const operation of withBodies) {
        const body = JSON.stringify(sampleOf(operation.body))
        for (const type of [
          '',
          'json',
          'text/html',
          'text/xml',
          'text/plain; charset=utf-16',
          'application/jsonx',
          'application/ld+json',
          'application/json, text/html',
          'text/html, application/json',
          'application/json;charset=utf-16',
          'application/json; charset="UTF-16LE"',
          'application/json; Charset=iso-8859-1',
          'application/json; q=1; charset=utf-7',
          'application/x-www-form-urlencoded',
          'multipart/form-data; boundary=x',
          'multipart/form-data',
        ])
          expectProblem(
            await enter(operation, { body, headers: { 'content-type': type } }),
            415,
            'unsupported-media-type',
          )
      }
    }))

  it('may spell its type in any case, and say that it is UTF-8', async () => {
    for (const type of [
      'APPLICATION/JSON',
      'application/json; charset=utf-8',
      'Application/Json;Charset="UTF-8"',
      'application/json; charset=utf8',
    ])
      expect((await post('{"name":"a"}', type)).statusCode, type).toBe(201)
  })
})

describe('a hostile query', () => {
  /** Health answers whoever asks however, and Google adds to its answer what it likes. */
  const isLenient = ({ tags, path }: Operation) =>
    tags[0] === 'health' || /\/(google|oidc)\/callback$/.test(path)

  it('is refused by every operation, and touches no prototype, T31 T33', () =>
    storingNothing(async () => {
      let tried = 0
      for (const operation of operations) {
        const body = operation.body && { body: sampleOf(operation.body) }
        for (const query of [
          '__proto__=1',
          '__proto__[polluted]=1',
          'constructor[prototype][polluted]=1',
          'constructor=1',
          'toString=1',
          'a[]=1&a[]=2',
          'a[b][c]=1',
          '%00=%00',
          '%zz=%zz',
          '%ff%fe=%c0%80',
          '=1',
          '?limit=1',
          `${'a'.repeat(8_000)}=1`,
          `x=${'%41'.repeat(4_000)}`,
          Array.from({ length: 2_000 }, (_, index) => `p${index}=`).join('&'),
          'a=1&'.repeat(2_000),
        ]) {
          const answer = await enter(operation, body, query)
          tried += 1
          if (isLenient(operation)) expect(answer.statusCode, `${operation.name} ${query}`).toBeLessThan(500)
          else {
            expect(answer.statusCode, `${operation.name} ${query}`).toBe(400)
            expectProblem(answer, 400, 'invalid-request')
          }
        }
      }
      expect(tried).toBeGreaterThan(1_000)
      expect(({} as Record<string, unknown>).polluted).toBeUndefined()
    }))

  it('spells each number one way: plain decimal digits, T34', async () => {
    let tried = 0
    for (const operation of operations) {
      for (const { name, schema } of operation.parameters.filter(
        ({ in: part, schema }) => part === 'query' && schema.type === 'integer',
      )) {
        for (const spelled of [
          '0x10',
          '1e1',
          ' 5',
          '5 ',
          '+5',
          '05',
          '5.0',
          '5.',
          '-0',
          '0b1',
          '1_0',
          '٥',
          '',
          'NaN',
          'Infinity',
          '9'.repeat(30),
          'true',
        ]) {
          tried += 1
          const { errors } = expectProblem(
            await enter(operation, {}, `${name}=${encodeURIComponent(spelled)}`),
            400,
            'invalid-request',
          )
          expect(
            errors?.map(({ path }) => path),
            `${operation.name} ${spelled}`,
          ).toContain(`/querystring/${name}`)
        }
        const others = operation.parameters.filter(
          (other) => other.required && other.in === 'query' && other.name !== name,
        )
        const query = [
          `${name}=${schema.minimum ?? 1}`,
          ...others.map((other) => `${other.name}=${sampleOf(other.schema, other)}`),
        ].join('&')
        const plain = await enter(operation, {}, query)
        expect(plain.statusCode, operation.name).not.toBe(400)
      }
    }
    expect(tried).toBeGreaterThan(100)
  })
})

describe('a method', () => {
  it('that a path does not have is no route, whatever its name', () =>
    storingNothing(async () => {
      const methodsOf = (path: string) =>
        operations.filter((operation) => operation.path === path).map(({ method }) => String(method))
      for (const operation of operations) {
        const known = methodsOf(operation.path)
        for (const method of [
          'GET',
          'POST',
          'PUT',
          'PATCH',
          'DELETE',
          'TRACE',
          'PROPFIND',
          'SEARCH',
          'LOCK',
          'MKCOL',
        ]) {
          // Of another route's pattern: /sessions/all is also a /sessions/{id}.
          if (known.includes(method)) continue
          const answer = await enter({ ...operation, method: method as Operation['method'] })
          expect(answer.statusCode, `${method} ${operation.path}`).toBeGreaterThanOrEqual(400)
          expect(answer.statusCode, `${method} ${operation.path}`).toBeLessThan(500)
          expectProblem(answer, answer.statusCode, answer.json().code)
        }
      }
    }))

  it('is that of the request line, whatever a header, the query or the body says', async () => {
    const { id } = await ada.router()
    for (const name of ['x-http-method-override', 'x-http-method', 'x-method-override']) {
      const answer = await ada.call('GET', `/api/routers/${id}`, { headers: { [name]: 'DELETE' } })
      expect(answer.json(), name).toMatchObject({ id })
    }
    expectProblem(await ada.call('GET', `/api/routers/${id}?_method=DELETE`), 400, 'invalid-request')
    expectProblem(
      await ada.call('PATCH', `/api/routers/${id}`, { body: { _method: 'DELETE' } }),
      400,
      'invalid-request',
    )
    expect((await ada.call('GET', `/api/routers/${id}`)).statusCode).toBe(200)
  })
})

describe('a forged credential', () => {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = (head: string, payload: string, secret: string) =>
    `${head}.${payload}.${createHmac('sha256', secret).update(`${head}.${payload}`).digest('base64url')}`
  const tokensFrom = (genuine: string, other: string) => {
    const [head = '', payload = '', signature = ''] = genuine.split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    return [
      `${part({ alg: 'none', typ: 'at+jwt' })}.${payload}.`,
      `${head}.${payload}.`,
      `${head}.${payload}`,
      `${genuine}.${signature}`,
      `${genuine}=`,
      `${head}.${part({ ...claims, role: 'admin' })}.${signature}`,
      `${head}.${other.split('.')[1]}.${signature}`,
      signed(head, payload, ''),
      signed(head, payload, 'secret'),
      signed(part({ alg: 'HS256', typ: 'at+jwt', kid: '../../dev/null' }), payload, ''),
      'a.'.repeat(4_000),
      'null',
      '..',
    ]
  }

  it('opens no door that asks for a person, and is answered like any other text, T1 T2 T5', async () => {
    for (const operation of operations.filter(({ door }) => door === 'person' || door === 'admin')) {
      const holder = operation.door === 'admin' ? root : ada
      const send = (headers: Record<string, string>) =>
        world.send(operation.method, urlOf(operation, {}), { headers })
      const none = comparable(await send({ authorization: 'Bearer x' }))
      for (const token of tokensFrom(holder.accessToken, (holder === ada ? root : ada).accessToken)) {
        const answer = await send({ authorization: `Bearer ${token}` })
        expectProblem(answer, 401, 'unauthenticated')
        expect(comparable(answer), `${operation.name} ${token.slice(0, 60)}`).toEqual(none)
      }
      for (const authorization of [
        `Bearer ${holder.accessToken}, Bearer ${holder.accessToken}`,
        `Bearer  ${holder.accessToken} x`,
        `Token ${holder.accessToken}`,
        holder.accessToken,
      ])
        expectProblem(await send({ authorization }), 401, 'unauthenticated')
    }
  })

  it('opens no door that asks for an agent, T26', async () => {
    const { key } = router
    const flipped = key.slice(0, -1) + (key.endsWith('0') ? '1' : '0')
    const spelled = [
      flipped,
      key.replace('npa_', 'npp_'),
      key.toUpperCase(),
      `${key}0`,
      key.slice(0, -1),
      `${key},${key}`,
      'npa_',
      'null',
      'x'.repeat(8_000),
    ]
    for (const operation of operations.filter(({ door }) => door === 'agent')) {
      for (const wrong of spelled)
        for (const headers of [{ 'x-api-key': wrong }, { authorization: `Bearer ${wrong}` }] as Record<
          string,
          string
        >[])
          expectProblem(
            await world.send(operation.method, urlOf(operation, {}), { headers }),
            401,
            'unauthenticated',
          )
    }
  })

  it('of eight thousand characters, or of any bytes, is no failure of the server anywhere', async () => {
    for (const operation of operations) {
      for (const value of ['x'.repeat(8_000), '\xff\xfe\x80', '"; drop', '%00', '{}', '=;=,=']) {
        const names = [
          'cookie',
          'user-agent',
          'accept',
          'if-none-match',
          'origin',
          'x-csrf-token',
          'x-token-transport',
          'x-forwarded-for',
          'accept-language',
        ]
        const headers = Object.fromEntries(names.map((name) => [name, value]))
        const answer: Answer = await world.send(operation.method, urlOf(operation, {}), { headers })
        expect(answer.statusCode, `${operation.name} ${value.slice(0, 20)}`).toBeLessThan(500)
      }
    }
  })
})
