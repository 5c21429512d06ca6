/** What follows the transport: the refresh cookie, and the headers that mean something over TLS only. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FRONTEND, googleAccount, type StandInGoogle, startGoogle } from '../support/google.ts'
import { listOperations } from '../support/operations.ts'
import { comparable, expectProblem } from '../support/problems.ts'
import { enrolledIn } from '../support/second-factor.ts'
import {
  type Answer,
  openServer,
  type Person,
  type TestServer,
  type World,
  worldOf,
} from '../support/world.ts'

type Headers = Record<string, string>
type Kind = 'secure' | 'plain'

const COOKIES = {
  secure: { name: '__Host-netpilot-refresh', attributes: 'Path=/; HttpOnly; Secure; SameSite=Strict' },
  plain: { name: 'netpilot-refresh', attributes: 'Path=/api/; HttpOnly; SameSite=Strict' },
} as const

/** Hosts as a request may name them, by the cookie that there is over plain HTTP. */
const HOSTS: Record<Kind, string[]> = {
  plain: [
    ...[
      '10.0.0.0',
      '10.255.255.255',
      '172.16.0.0',
      '172.31.255.255',
      '192.168.0.0',
      '192.168.1.10',
      '192.168.255.255',
    ],
    ...['169.254.0.0', '169.254.255.255', '100.64.0.0', '100.127.255.255'],
    ...[
      '[fc00::]',
      '[fdff::1]',
      '[FD00:0:0:0:0:0:0:2]',
      '[fe80::1]',
      '[febf::1]',
      '[fe80::1%eth0]',
      '[fe80::1%25br-lan]',
    ],
    ...['[::ffff:192.168.1.10]', '[::ffff:c0a8:10a]', '[::FFFF:A00:1]', '[0:0:0:0:0:ffff:10.0.0.1]'],
    ...[
      'nas',
      'NAS',
      'nas.',
      'netpilot.local',
      'netpilot.lan',
      'NetPilot.LAN',
      'netpilot.lan.',
      'a.b.internal',
      'netpilot.home.arpa',
    ],
  ],
  secure: [
    // The machine itself, which browsers trust as they trust TLS.
    ...['localhost', 'LOCALHOST', 'localhost.', 'netpilot.localhost', 'netpilot.localhost.'],
    ...['127.0.0.1', '127.255.255.254', '[::1]', '[0:0:0:0:0:0:0:1]', '[::ffff:127.0.0.1]'],
    // The neighbours of private networks.
    ...['9.255.255.255', '11.0.0.0', '172.15.255.255', '172.32.0.0', '192.167.255.255', '192.169.0.0'],
    ...['169.253.255.255', '169.255.0.0', '100.63.255.255', '100.128.0.0', '0.0.0.0', '203.0.113.7'],
    ...['[fbff::1]', '[fe00::1]', '[fe7f::1]', '[fec0::1]', '[2001:db8::1]', '[::]', '[::ffff:8.8.8.8]'],
    // Not how an address is written, or a private one inside something else.
    ...[
      '0x7f.1',
      '2130706433',
      '3232235786',
      '0xc0a8010a',
      '192.168.266',
      '0300.0250.1.10',
      '192.168.001.010',
      '10.1',
      '192.168.1.10.',
    ],
    ...[
      '192.168.1.10.example.com',
      '[::192.168.1.10]',
      '[::c0a8:10a]',
      '[64:ff9b::c0a8:10a]',
      '[2002:c0a8:10a::1]',
    ],
    // Names of the public internet, and what is no name.
    ...[
      'netpilot.example.com',
      'local.example.com',
      'netpilot.lan.example.com',
      'nas.fritz.box',
      'home.arpa',
    ],
    ...['x.notlocal', 'x.notlan', 'x.notinternal', 'x.nothome.arpa'],
    ...['nas%2elan', '.'],
  ],
}
/** Refused before anything is asked about them. */
const NO_HOSTS = [
  'evil.example@nas.lan',
  'evil.example/.lan',
  'evil.example#.lan',
  'n\u00e1s.lan',
  'n as',
  '[',
  '[]',
  'fe80::1',
  'fd00::1',
]
const CASES = (['plain', 'secure'] as const).flatMap((kind) =>
  HOSTS[kind].map((host) => [host, kind] as const),
)

let standIn: StandInGoogle
let servers: TestServer[]
/**
 * `trusting` believes the proxy that every request of a test comes from; `wary` believes nobody.
 */
let worlds: Record<'wary' | 'trusting', World>
let people: Record<'wary' | 'trusting', Person>
beforeAll(async () => {
  standIn = await startGoogle()
  servers = await Promise.all([
    openServer(standIn.env),
    openServer({ ...standIn.env, TRUST_PROXY: '127.0.0.1' }),
  ])
  const [wary, trusting] = servers.map(worldOf) as [World, World]
  worlds = { wary, trusting }
  people = { wary: await wary.person(), trusting: await trusting.person() }
})
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()))
  await standIn.close()
})

const COOKIE_MODE = { 'x-token-transport': 'cookie' }
const HTTPS = { 'x-forwarded-proto': 'https' }
/** As they reach the server that trusts its proxy. */
const TRANSPORTS: [string, Kind, Headers][] = [
  ['http://192.168.1.10:3000', 'plain', { host: '192.168.1.10:3000' }],
  ['https://192.168.1.10', 'secure', { host: '192.168.1.10', ...HTTPS }],
  ['http://localhost:3000', 'secure', { host: 'localhost:3000' }],
  ['http://netpilot.example.com', 'secure', { host: 'netpilot.example.com' }],
]

const otherThan = (kind: Kind): Kind => (kind === 'plain' ? 'secure' : 'plain')
const cookieOf = (kind: Kind, token = 'npr_nonsense') => `${COOKIES[kind].name}=${token}`
const setCookiesOf = ({ headers }: Answer) => [headers['set-cookie'] ?? []].flat()

/**
 * Holds an answer to tokens with exactly one cookie, of this kind, to the letter. @returns the refresh token
 * in it
 */
function expectCookie(answer: Answer, kind: Kind): string {
  const [set = '', ...more] = setCookiesOf(answer)
  const [, token = 'none'] = /=(npr_[\w-]+);/.exec(set) ?? []
  expect(set, answer.body).toBe(`${cookieOf(kind, token)}; Max-Age=2592000; ${COOKIES[kind].attributes}`)
  expect(more).toEqual([])
  expect(answer.json()).toMatchObject({ accessToken: expect.any(String), csrfToken: expect.any(String) })
  expect(answer.body).not.toContain('npr_')
  return token
}

function expectCleared(answer: Answer, kind: Kind): void {
  const [path, ...rest] = COOKIES[kind].attributes.split('; ')
  const cleared = [
    `${COOKIES[kind].name}=`,
    'Max-Age=0',
    path,
    'Expires=Thu, 01 Jan 1970 00:00:00 GMT',
    ...rest,
  ].join('; ')
  expect([answer.statusCode, setCookiesOf(answer)], answer.body).toEqual([204, [cleared]])
}

/**
 * Signs somebody in over a transport. The calls go on over it with what the page knows, and with the cookies
 * that are given.
 */
async function signIn(world: World, { email, password }: Person, kind: Kind, transport: Headers) {
  const answer = await world.send('POST', '/api/auth/login', {
    body: { email, password },
    headers: { ...transport, ...COOKIE_MODE },
  })
  const token = expectCookie(answer, kind)
  const { accessToken, csrfToken } = answer.json()
  const known = { ...transport, authorization: `Bearer ${accessToken}`, 'x-csrf-token': csrfToken }
  const call = (path: string, cookie: string, headers: Headers = {}) =>
    world.send('POST', path, { headers: { ...known, ...(cookie && { cookie }), ...headers } })
  return {
    token,
    csrfToken: csrfToken as string,
    refresh: (cookie: string, headers?: Headers) => call('/api/auth/refresh', cookie, headers),
    logout: (cookie: string) => call('/api/auth/logout', cookie),
  }
}

describe('the refresh cookie', () => {
  it.each(NO_HOSTS)('is not set where the host is none: %s', async (host) => {
    const { email, password } = people.trusting
    const headers = { ...COOKIE_MODE, ...HTTPS, host }
    const answer = await worlds.trusting.send('POST', '/api/auth/login', {
      body: { email, password },
      headers,
    })
    expectProblem(answer, 400, 'invalid-request')
    expect(setCookiesOf(answer)).toEqual([])
  })

  it.each(CASES)(
    'of http://%s is the %s one, and of https the secure one: set, read, refused and cleared',
    async (host, plainly) => {
      for (const [server, kind, transport] of [
        ['wary', plainly, { host }],
        ['trusting', plainly, { host: `${host}:3000` }],
        ['trusting', 'secure', { host, ...HTTPS }],
        // What anybody can say of themselves.
        ['wary', plainly, { host: `${host}:3000`, ...HTTPS, forwarded: 'proto=https' }],
      ] as const) {
        const { token, refresh, logout } = await signIn(worlds[server], people[server], kind, transport)
        const other = otherThan(kind)
        const without = await refresh('')
        expectProblem(without, 400, 'invalid-request')
        expect(comparable(await refresh(cookieOf(other, token)))).toEqual(comparable(without))
        expectProblem(await refresh(`${cookieOf(other, token)}; ${cookieOf(kind)}`), 401, 'unauthenticated')
        const next = expectCookie(await refresh(`${cookieOf(other)}; ${cookieOf(kind, token)}`), kind)
        expectCleared(await logout(`${cookieOf(other, next)}; ${cookieOf(kind, next)}`), kind)
      }
    },
  )

  it('follows the host that the proxy names, believed from nobody else; no host is not a private one', async () => {
    const host = 'netpilot.example.com'
    for (const [forwarded, kind] of [
      ['nas.lan', 'plain'],
      ['netpilot.example.com, nas.lan', 'plain'],
      ['nas.lan, netpilot.example.com', 'secure'],
      ['nas.lan,', 'secure'],
    ] as const) {
      const transport = { host, 'x-forwarded-host': forwarded }
      await signIn(worlds.trusting, people.trusting, kind, transport)
      await signIn(worlds.trusting, people.trusting, 'secure', { ...transport, ...HTTPS })
      await signIn(worlds.wary, people.wary, 'secure', transport)
    }
  })

  it.each(TRANSPORTS)(
    'of %s is of no use without its CSRF token, nor to a page elsewhere, T27',
    async (url, kind, transport) => {
      const world = worlds.trusting
      const { token, refresh } = await signIn(world, people.trusting, kind, transport)
      const eve = await signIn(world, await world.person(), kind, transport)
      const { protocol, hostname, origin } = new URL(url)
      const elsewhere = [
        `${protocol}//${hostname}:8080`,
        `${protocol === 'http:' ? 'https' : 'http'}${origin.slice(origin.indexOf(':'))}`,
      ]
      for (const headers of [
        { 'x-csrf-token': '' },
        { 'x-csrf-token': eve.csrfToken },
        { 'sec-fetch-site': 'cross-site' },
        { 'sec-fetch-site': 'same-site' },
        // Among them another service of the same machine, which browsers send the cookie to.
        ...[...elsewhere, 'http://evil.example', 'null'].map((page) => ({ origin: page })),
      ])
        expectProblem(await refresh(cookieOf(kind, token), headers), 403, 'cross-site')
      // Planted by somebody else, it does not make the page go on as them.
      expectProblem(await refresh(cookieOf(kind, eve.token)), 403, 'cross-site')
      expectCookie(await refresh(cookieOf(kind, token), { origin }), kind)
    },
  )

  it.each([
    ['plain', 'secure'],
    ['secure', 'plain'],
  ] as const)(
    'of http and of https are two sessions of one browser: the %s one, then the %s one',
    async (first, second) => {
      const transports = { plain: { host: 'nas.lan:3000' }, secure: { host: 'nas.lan', ...HTTPS } }
      const signInBy = (kind: Kind) => signIn(worlds.trusting, people.trusting, kind, transports[kind])
      const [one, two] = [await signInBy(first), await signInBy(second)]
      const [plain, secure] = first === 'plain' ? [one, two] : [two, one]
      // Cookies know nothing of ports and schemes: https gets both.
      const both = `${cookieOf('plain', plain.token)}; ${cookieOf('secure', secure.token)}`
      expectProblem(await secure.refresh(both, { 'x-csrf-token': plain.csrfToken }), 403, 'cross-site')
      const tokens = {
        secure: expectCookie(await secure.refresh(both), 'secure'),
        plain: expectCookie(await plain.refresh(cookieOf('plain', plain.token)), 'plain'),
      }
      expectCleared(await one.logout(first === 'plain' ? cookieOf('plain', tokens.plain) : both), first)
      expectCookie(await two.refresh(cookieOf(second, tokens[second])), second)
    },
  )
})

type Ask = (path: string, body: object) => Promise<Answer>

/** Each way to sign in, up to the request that does it. */
const SIGN_INS: Record<string, (ask: Ask, world: World) => Promise<Answer>> = {
  register: (ask) =>
    ask('/api/auth/register', { email: `${randomUUID()}@example.com`, password: `pw ${randomUUID()}` }),
  login: async (ask, { person }) => {
    const { email, password } = await person()
    return ask('/api/auth/login', { email, password })
  },
  refresh: async (ask, { person }) =>
    ask('/api/auth/refresh', { refreshToken: (await person()).refreshToken }),
  reactivate: async (ask, { person }) => {
    const { email, password, call } = await person()
    await call('POST', '/api/users/deactivate', { body: { password } })
    return ask('/api/users/reactivate', { email, password })
  },
  signInWithGoogle: (ask) => ask('/api/auth/google', { idToken: standIn.idToken(googleAccount()) }),
  exchangeCode: async (ask, { send }) => {
    const started = await send('GET', '/api/auth/google/start', { query: { returnTo: FRONTEND } })
    const back = await standIn.consent(String(started.headers.location))
    const [{ name, value } = { name: '', value: '' }] = started.cookies
    const finished = await send('GET', back.pathname + back.search, {
      headers: { cookie: `${name}=${value}` },
    })
    return ask('/api/auth/exchange', {
      code: new URL(String(finished.headers.location)).searchParams.get('code'),
    })
  },
  answerChallenge: async (ask, world) => {
    const { email, password, recoveryCodes } = await enrolledIn(world)
    const { challenge } = (await world.send('POST', '/api/auth/login', { body: { email, password } })).json()
    return ask('/api/auth/second-factor', { challenge, code: recoveryCodes[0] })
  },
}

describe('an operation that signs in', () => {
  it('is each that answers with tokens', async () => {
    const found = (await listOperations(worlds.wary)).filter(({ responses }) =>
      /"csrfToken"|\/Tokens"/.test(JSON.stringify(responses)),
    )
    expect(found.map(({ operationId }) => operationId).sort()).toEqual(Object.keys(SIGN_INS).sort())
  })

  describe.each(TRANSPORTS)('over %s', (_url, kind, transport) => {
    it.each(Object.entries(SIGN_INS))('sets the one cookie: %s', async (_operation, signInBy) => {
      const world = worlds.trusting
      const by = (headers: Headers) =>
        signInBy(
          (path, body) => world.send('POST', path, { body, headers: { ...transport, ...headers } }),
          world,
        )
      expectCookie(await by(COOKIE_MODE), kind)
      expectCookie(await by({ ...COOKIE_MODE, cookie: cookieOf(otherThan(kind)) }), kind)
      expectCookie(await by({ cookie: cookieOf(kind) }), kind)
      // A cookie of the other transport does not say that this page wants one.
      const bare = await by({ cookie: cookieOf(otherThan(kind)) })
      expect(bare.json().refreshToken).toMatch(/^npr_/)
      expect(setCookiesOf(bare)).toEqual([])
    })
  })
})

describe.each(TRANSPORTS)('an operation that signs out, over %s', (_url, kind, transport) => {
  it.each([
    ['POST', '/api/auth/logout'],
    ['DELETE', '/api/auth/sessions/all'],
    ['POST', '/api/users/deactivate'],
    ['DELETE', '/api/users/account'],
  ] as const)('clears the one cookie: %s %s', async (method, url) => {
    const by = async (...cookies: string[]) => {
      const { password, call } = await worlds.trusting.person()
      const body = url.startsWith('/api/users') ? { password } : undefined
      return call(method, url, { body, headers: { ...transport, cookie: cookies.join('; ') } })
    }
    const other = cookieOf(otherThan(kind))
    expectCleared(await by(other, cookieOf(kind)), kind)
    const untouched = await by(other)
    expect([untouched.statusCode, setCookiesOf(untouched)]).toEqual([204, []])
  })
})

describe('the headers for browsers', () => {
  const TLS_ONLY = {
    // Without `includeSubDomains`.
    'strict-transport-security': 'max-age=31536000',
    'cross-origin-opener-policy': 'same-origin',
    'origin-agent-cluster': '?1',
  }

  it.each([
    ['GET', '/health', 200],
    ['GET', '/health/live', 200],
    ['GET', '/openapi.json', 200],
    ['GET', '/docs/', 200],
    ['GET', '/docs/static/swagger-initializer.js', 200],
    ['GET', '/nothing', 404],
    ['GET', '/docs/nothing', 404],
    ['GET', '/api/routers', 401],
    ['POST', '/api/auth/login', 400],
    ['OPTIONS', '/api/routers', 204],
  ] as const)(
    'promise TLS and an origin of its own over https only: %s %s, %i',
    async (method, url, status) => {
      const preflight = method === 'OPTIONS' && {
        origin: 'https://app.example.com',
        'access-control-request-method': 'GET',
      }
      const ask = async (world: World, transport: Headers) => {
        const answer = await world.send(method, url, { headers: { ...transport, ...preflight } })
        expect(answer.statusCode, answer.body).toBe(status)
        expect(answer.headers).toMatchObject({
          'content-security-policy': expect.stringContaining("default-src 'none'"),
          'x-content-type-options': 'nosniff',
          'referrer-policy': 'no-referrer',
          'cross-origin-resource-policy': 'same-origin',
        })
        return Object.fromEntries(
          Object.keys(TLS_ONLY).flatMap((name) =>
            name in answer.headers ? [[name, answer.headers[name]]] : [],
          ),
        )
      }
      for (const host of ['netpilot.example.com', '192.168.1.10:3000', 'localhost:3000']) {
        expect(await ask(worlds.trusting, { host, ...HTTPS }), host).toEqual(TLS_ONLY)
        expect(await ask(worlds.trusting, { host }), host).toEqual({})
        expect(await ask(worlds.wary, { host, ...HTTPS }), host).toEqual({})
      }
    },
  )
})
