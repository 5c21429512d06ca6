/** The edge: what every answer looks like, whatever goes wrong and whoever asks. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listOperations } from '../support/operations.ts'
import { expectProblem } from '../support/problems.ts'
import {
  type Answer,
  openServer,
  type Person,
  sharedWorld,
  type TestServer,
  type World,
  worldOf,
} from '../support/world.ts'

let world: World
let ada: Person
beforeAll(async () => {
  world = await sharedWorld()
  ada = await world.person()
})

const post = (body: string, contentType = 'application/json', url = '/api/routers') =>
  ada.call('POST', url, { body, headers: { 'content-type': contentType } })
const nested = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`

describe('every failure', () => {
  it.each<[what: string, status: number, code: string, ask: () => Promise<Answer>]>([
    ['a path that is no route', 404, 'not-found', () => world.send('GET', '/nothing/here?really=not')],
    ['a method that a route does not have', 405, 'method-not-allowed', () => ada.call('PUT', '/api/auth/me')],
    ['an id that nobody has', 404, 'not-found', () => ada.call('GET', `/api/routers/${randomUUID()}`)],
    ['an id that is none', 400, 'invalid-request', () => ada.call('GET', '/api/routers/7')],
    ['malformed JSON', 400, 'invalid-request', () => post('{"name":')],
    ['an empty body', 400, 'invalid-request', () => post('')],
    ['no body', 400, 'invalid-request', () => ada.call('POST', '/api/routers')],
    ['a body that is no object', 400, 'invalid-request', () => post('"Home"')],
    ['a body of null', 400, 'invalid-request', () => post('null')],
    ['a body deeper than 32 levels', 400, 'invalid-request', () => post(nested(33))],
    ['a body of 30,000 levels', 400, 'invalid-request', () => post(nested(30_000))],
    [
      '__proto__ in a body',
      400,
      'invalid-request',
      () => post('{"name":"Home","__proto__":{"isActive":false}}'),
    ],
    [
      'constructor.prototype in a body',
      400,
      'invalid-request',
      () => post('{"name":"Home","constructor":{"prototype":{}}}'),
    ],
    [
      '__proto__ in a query',
      400,
      'invalid-request',
      () => ada.call('GET', '/api/routers?__proto__[limit]=1&__proto__=1'),
    ],
    [
      '2,000 parameters',
      400,
      'invalid-request',
      () => ada.call('GET', `/api/routers?${'limit=1&'.repeat(2_000)}`),
    ],
    ['XML', 415, 'unsupported-media-type', () => post('<name/>', 'application/xml')],
    ['JSON as text', 415, 'unsupported-media-type', () => post('{"name":"Home"}', 'text/plain')],
    [
      'JSON as a form',
      415,
      'unsupported-media-type',
      () => post('{"name":"Home"}', 'application/x-www-form-urlencoded'),
    ],
    ['a body of no type', 415, 'unsupported-media-type', () => post('{"name":"Home"}', '')],
    ['a body over 64 kB', 413, 'too-large', () => post(JSON.stringify({ name: 'x'.repeat(65_536) }))],
    ['no credentials', 401, 'unauthenticated', () => world.send('GET', '/api/routers')],
    [
      'a wrong password',
      401,
      'invalid-credentials',
      () => post('{"email":"a@b.example","password":"x"}', undefined, '/api/auth/login'),
    ],
    [
      'an address that is taken',
      409,
      'email-taken',
      () =>
        post(JSON.stringify({ email: ada.email, password: ada.password }), undefined, '/api/auth/register'),
    ],
  ])('is a problem document: %s', async (_what, status, code, ask) => {
    expectProblem(await ask(), status, code)
  })

  it('is one also where a URL cannot be decoded or is too long, and repeats nothing of it', async () => {
    for (const url of [
      '/api/routers/%zz?token=url-secret',
      `/api/routers/${'a'.repeat(101)}?token=url-secret`,
    ]) {
      const answer = await ada.call('GET', url)
      expectProblem(answer, 400, 'invalid-request')
      expect(answer.body).not.toContain('url-secret')
    }
  })

  it('of a token tells whoever showed one, and nobody else, that it is the token (RFC 6750)', async () => {
    const challengeOf = async (headers: Record<string, string>) =>
      (await world.send('GET', '/api/routers', { headers })).headers['www-authenticate']
    expect(await challengeOf({})).toBe('Bearer realm="netpilot"')
    expect(await challengeOf({ authorization: 'Basic YTpi' })).toBe('Bearer realm="netpilot"')
    const { accessToken, call } = await world.person()
    expect((await call('POST', '/api/auth/logout')).statusCode).toBe(204)
    for (const headers of [
      { authorization: `Bearer ${accessToken}` },
      { authorization: 'Bearer x' },
      { 'x-api-key': 'x' },
    ])
      expect(await challengeOf(headers as Record<string, string>)).toBe(
        'Bearer realm="netpilot", error="invalid_token"',
      )
    const wrong = await world.send('POST', '/api/auth/login', {
      body: { email: ada.email, password: 'wrong' },
    })
    expect(wrong.headers['www-authenticate']).toBe('Bearer realm="netpilot"')
  })

  it('of a body is told for each field at once', async () => {
    const { errors = [] } = expectProblem(
      await post('{"name":5,"mode":"all","unknown":true}'),
      400,
      'invalid-request',
    )
    expect(errors.map(({ path }) => path).sort()).toEqual(['/body/mode', '/body/name', '/body/unknown'])
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`field${index}`, index]))
    expect(expectProblem(await post(JSON.stringify(many)), 400, 'invalid-request').errors).toHaveLength(20)
  })

  it('comes before any prototype is touched, also where a body may hold anything, T31', async () => {
    const router = await ada.router()
    for (const hostile of [
      '{"__proto__":{"polluted":true}}',
      '{"constructor":{"prototype":{"polluted":true}}}',
    ]) {
      const body = `{"scanId":"${randomUUID()}","takenAt":"2026-01-01T00:00:00Z","sources":[{"format":"ip-neigh-json","content":${hostile}}]}`
      const answer = await router.call('POST', '/api/agent/scans', {
        body,
        headers: { 'content-type': 'application/json' },
      })
      expect(expectProblem(answer, 400, 'invalid-request').detail).toContain('not valid JSON')
    }
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })
})

describe('a body', () => {
  it('may be 32 levels deep and as long as the limit', async () => {
    // Deep and long enough to reach the schema, which then has its own word on it.
    expect(expectProblem(await post(nested(32)), 400, 'invalid-request').errors).toEqual([
      { path: '/body', code: 'wrong-type', message: 'must be an object with name' },
    ])
    expect(expectProblem(await post(nested(33)), 400, 'invalid-request').detail).toContain('32 levels')
    const padded = '{"name":"Home"}'.padEnd(65_536)
    expect((await post(padded)).statusCode).toBe(201)
    expectProblem(await post(`${padded} `), 413, 'too-large')
  })

  it('is no matter where a route has none, and may be announced and empty', async () => {
    const { id } = (await post('{"name":"Home"}')).json()
    const answer = await ada.call('DELETE', `/api/routers/${id}`, {
      body: '',
      headers: { 'content-type': 'application/json' },
    })
    expect(answer.statusCode).toBe(204)
  })
})

describe('a whole number', () => {
  const store = (value: string) =>
    ada.call('PUT', '/api/settings/number', {
      body: `{"value":${value}}`,
      headers: { 'content-type': 'application/json' },
    })

  it.each([
    '9007199254740992',
    '-9007199254740993',
    '123456789012345678901234567890',
    '{"a":[1,9007199254740993]}',
  ])('that would lose digits is refused, with a code: %s', async (value) => {
    expect(expectProblem(await store(value), 400, 'invalid-request').errors).toMatchObject([
      { path: '/body', code: 'inexact-integer' },
    ])
  })

  it.each([
    '9007199254740991',
    '-9007199254740991',
    '"9007199254740993"',
    '1.2345678901234567',
    '1e20',
    '{"9007199254740993":1}',
  ])('that does not is kept, and so is all that is none: %s', async (value) => {
    expect((await store(value)).statusCode).toBe(200)
    expect((await ada.call('GET', '/api/settings/number')).json().value).toEqual(JSON.parse(value))
  })
})

describe('what strangers may read', () => {
  it.each([
    '/docs/static',
    '/docs/static/../../package.json',
    '/package.json',
    '/src/',
    '/.git/config',
    '/.env',
  ])(
    'is no directory, and no file that is not meant: %s',
    async (url) => void expectProblem(await world.send('GET', url), 404, 'not-found'),
  )

  it('is less, when the operator says so: neither documents nor details', async () => {
    const server = await openServer({ API_DOCS: 'off', HEALTH_DETAILS: 'off' })
    const { send, person } = worldOf(server)
    for (const url of [
      '/docs',
      '/docs/',
      '/docs/json',
      '/docs/yaml',
      '/docs/static/swagger-ui.css',
      '/openapi.json',
    ])
      expectProblem(await send('GET', url), 404, 'not-found')
    expect((await send('GET', '/health')).json()).toEqual({ status: 'ok', database: { status: 'up' } })
    expect((await (await person()).call('GET', '/api/routers')).statusCode).toBe(200)
    await server.close()
  })
})

describe('a query', () => {
  it('is converted to the types of its parameters', async () => {
    expect((await ada.call('GET', '/api/routers?limit=7&offset=3')).json()).toMatchObject({
      limit: 7,
      offset: 3,
    })
    for (const [online, status] of [
      ['true', 200],
      ['false', 200],
      ['yes', 400],
      ['1', 400],
      ['', 400],
      ['null', 400],
    ] as const)
      expect((await ada.call('GET', `/api/devices?online=${online}`)).statusCode, online).toBe(status)
  })

  it.each([
    'limit=5&limit=6',
    'sort=name&sort=name',
    'search=a&search=b',
    'search[]=a',
    'search[a]=b',
    'Limit=5',
    'x=1',
    'constructor=1',
  ])('is refused when a parameter is unknown or given twice: %s, T29 T33', async (query) => {
    expectProblem(await ada.call('GET', `/api/routers?${query}`), 400, 'invalid-request')
  })
})

describe('every answer', () => {
  it('has a request id of its own, which nobody outside chooses', async () => {
    const ask = () =>
      world.send('GET', '/health/live', { headers: { 'x-request-id': 'chosen', 'request-id': 'chosen' } })
    const ids = (await Promise.all([ask(), ask(), ask()])).map(({ headers }) =>
      String(headers['x-request-id']),
    )
    expect(new Set(ids).size).toBe(3)
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/)
  })

  it('has the headers that keep browsers from guessing, framing and telling', async () => {
    for (const url of ['/health', '/api/routers', '/nothing', '/openapi.json']) {
      const { headers } = await ada.call('GET', url)
      expect(headers, url).toMatchObject({
        'content-security-policy': "default-src 'none';frame-ancestors 'none'",
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'permissions-policy': expect.stringContaining('camera=()'),
        'referrer-policy': 'no-referrer',
        'cross-origin-resource-policy': 'same-origin',
      })
      expect(headers['cache-control'], url).toBe(url === '/openapi.json' ? 'no-cache' : 'no-store')
      expect(headers).not.toHaveProperty('x-powered-by')
      expect(headers).not.toHaveProperty('server')
      expect(headers).not.toHaveProperty('set-cookie')
    }
  })
})

describe('other origins', () => {
  const ALLOWED = ['https://app.example.com', 'http://localhost:5173']
  let server: TestServer
  beforeAll(async () => {
    server = await openServer({ CORS_ORIGINS: ALLOWED.join(', ') })
  })
  afterAll(() => server.close())

  it.each([
    ['https://app.example.com', true],
    ['http://localhost:5173', true],
    ['https://app.example.com.evil.example', false],
    ['https://evilapp.example.com', false],
    ['https://sub.app.example.com', false],
    ['https://example.com', false],
    ['http://app.example.com', false],
    ['https://app.example.com:8443', false],
    ['https://app.example.com/', false],
    ['http://localhost:51730', false],
    ['null', false],
    ['https://app.example.com, http://localhost:5173', false],
  ])('may read answers when they are on the list: %s %s, T28', async (origin, isAllowed) => {
    const { send } = worldOf(server)
    for (const answer of [
      await send('GET', '/health', { headers: { origin } }),
      await send('GET', '/api/routers', { headers: { origin } }),
      await send('OPTIONS', '/api/routers', {
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization',
        },
      }),
    ]) {
      expect(answer.headers['access-control-allow-origin']).toBe(isAllowed ? origin : undefined)
      expect(String(answer.headers.vary)).toMatch(/\bOrigin\b/)
      // Of use to a browser only beside the origin: the refresh cookie goes to pages on the list.
      if (isAllowed) expect(answer.headers['access-control-allow-credentials']).toBe('true')
    }
  })

  it('on the list may use every method that a route has', async () => {
    const { send } = worldOf(server)
    const methods = new Set((await listOperations(world)).map(({ method }) => String(method)))
    for (const method of methods) {
      const headers = { origin: 'https://app.example.com', 'access-control-request-method': method }
      const answer = await send('OPTIONS', '/api/routers/1', { headers })
      expect(String(answer.headers['access-control-allow-methods']).split(/, ?/)).toContain(method)
    }
  })

  it('may read nothing when the list is empty, and neither may who names no origin be told of one', async () => {
    for (const [send, headers] of [
      [world.send, { origin: 'https://app.example.com' }],
      [worldOf(server).send, {}],
    ] as const) {
      const answer = await send('GET', '/health', { headers: headers as Record<string, string> })
      expect(answer.headers).not.toHaveProperty('access-control-allow-origin')
      expect(String(answer.headers.vary)).toMatch(/\bOrigin\b/)
    }
  })
})

describe('the front page', () => {
  const ask = (accept?: string) => world.send('GET', '/', { ...(accept && { headers: { accept } }) })

  it('shows a browser the way, and runs nothing there', async () => {
    const page = await ask('text/html,application/xhtml+xml,*/*;q=0.8')
    expect(page.statusCode).toBe(200)
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(page.headers['content-security-policy']).toBe("default-src 'none';frame-ancestors 'none'")
    expect(page.body).not.toMatch(/<script|<style|style=|src=|https?:/)
    const links = Array.from(page.body.matchAll(/href="([^"]+)"/g), ([, link]) => String(link))
    expect(links).toEqual(['/docs', '/openapi.json', '/health'])
    for (const link of links) expect((await world.send('GET', link)).statusCode, link).toBeLessThan(400)
  })

  it('is not there for anybody else', async () => {
    for (const accept of [undefined, 'application/json', '*/*']) {
      const answer = await ask(accept)
      expectProblem(answer, 404, 'not-found')
      expect(answer.headers.vary).toBe('Origin, Accept')
    }
  })
})

describe('the options of signing in', () => {
  const optionsOf = async ({ send }: World) => (await send('GET', '/api/auth/options')).json()
  const google = { GOOGLE_CLIENT_ID: 'x.apps.googleusercontent.com' }
  const redirect = {
    GOOGLE_CLIENT_SECRET: 'x',
    GOOGLE_REDIRECT_URI: 'https://api.example.com/api/auth/google/callback',
    GOOGLE_RETURN_TO: 'https://app.example.com',
  }

  it.each<[string, Record<string, string>, object]>([
    [
      'nothing',
      {},
      { emailVerification: 'optional', providers: { google: { idToken: false, redirect: false } } },
    ],
    ['verification', { EMAIL_VERIFICATION: 'on' }, { emailVerification: 'required' }],
    [
      'ID tokens of Google',
      google,
      { providers: { password: true, google: { idToken: true, redirect: false } } },
    ],
    [
      'the way to Google and back',
      { ...google, ...redirect },
      { providers: { google: { idToken: true, redirect: true } } },
    ],
    ['longer passwords', { PASSWORD_MIN_LENGTH: '20' }, { password: { minLength: 20 } }],
  ])('tell everybody what is switched on: %s', async (_what, env, expected) => {
    const server = await openServer(env)
    const options = await optionsOf(worldOf(server))
    expect(options).toMatchObject({
      version: '0.0.0-test',
      registration: 'open',
      secondFactor: { requiredFor: 'nobody' },
      ...expected,
    })
    expect(options.password).toEqual(
      (await worldOf(server).send('GET', '/api/auth/password-requirements')).json(),
    )
    await server.close()
  })
})

describe('the documentation page', () => {
  it('answers, and loads what it needs from this server only', async () => {
    const page = await world.send('GET', '/docs/')
    expect(page.statusCode).toBe(200)
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8')
    const links = Array.from(page.body.matchAll(/(?:src|href)="([^"]+)"/g), ([, link]) => String(link))
    expect(links.length).toBeGreaterThan(3)
    for (const link of links) {
      expect(link).toMatch(/^\.\//)
      expect((await world.send('GET', new URL(link, 'http://x/docs/').pathname)).statusCode, link).toBe(200)
    }
    const start = (await world.send('GET', '/docs/static/swagger-initializer.js')).body
    expect(start).toContain('validatorUrl: null')
    expect(start).not.toMatch(/https?:\/\/(?!stackoverflow\.com\/a\/)/)
    expect((await world.send('GET', '/docs/json')).json()).toEqual(
      (await world.send('GET', '/openapi.json')).json(),
    )
  })
  it('is bound to this server by its policy, and works without TLS', async () => {
    const policy = String((await world.send('GET', '/docs/')).headers['content-security-policy'])
    expect(policy).toContain("default-src 'none'; script-src 'self'")
    expect(policy).toContain("form-action 'none'")
    expect(policy).not.toMatch(/https:|swagger\.io|upgrade-insecure-requests/)
  })
})
