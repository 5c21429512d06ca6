/**
 * Clients on real sockets that are slow, or do not speak HTTP: none of them holds anything for long, and
 * others notice nothing.
 */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BARE_HEADERS } from '../../src/http/problem.ts'
import { openServer, type TestServer, worldOf } from '../support/world.ts'

const [HEADERS_MS, REQUEST_MS] = [200, 600]
/** Node looks for late connections once a second. */
const LATEST_MS = REQUEST_MS + 1_000 + 2_400

let server: TestServer
let port: number
beforeAll(async () => {
  server = await openServer({
    HEADERS_TIMEOUT_MS: String(HEADERS_MS),
    REQUEST_TIMEOUT_MS: String(REQUEST_MS),
    KEEP_ALIVE_TIMEOUT_MS: '300',
    // Hundreds sign in at once, and each is counted in the database: nobody is to be turned away for that.
    DATABASE_AUTH_POOL_SIZE: '20',
    LOG_LEVEL: 'info',
  })
  await server.app.listen({ host: '127.0.0.1', port: 0 })
  port = (server.app.server.address() as AddressInfo).port
})
afterAll(() => server.close())

type Conversation = { status: number; headers: string; body: string; ms: number }

/** Sends a text, then a byte of the rest every 50 ms, until the server closes the connection. */
function talk(text: string, drip = ''): Promise<Conversation> {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    let dripping: NodeJS.Timeout
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(text)
      const rest = drip[Symbol.iterator]()
      dripping = setInterval(() => {
        const { value } = rest.next()
        if (value !== undefined && socket.writable) socket.write(value)
      }, 50)
    })
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      clearInterval(dripping)
      const [head = '', body = ''] = received.split(/\r\n\r\n/, 2)
      const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(head) ?? []
      resolve({ status: Number(status), headers: head, body, ms: performance.now() - start })
    })
    setTimeout(() => reject(new Error('the connection is still open')), 10_000).unref()
  })
}

const post = (headers: string, body = '') =>
  `POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${headers}\r\n\r\n${body}`

function expectBareProblem({ status, headers, body }: Conversation, expected: number, code: string) {
  expect(status).toBe(expected)
  expect(headers).toContain('Content-Type: application/problem+json')
  expect(headers).toContain(`Content-Length: ${body.length}`)
  expect(headers).toContain('Connection: close')
  for (const [name, value] of Object.entries(BARE_HEADERS)) expect(headers).toContain(`${name}: ${value}`)
  const { requestId, ...rest } = JSON.parse(body)
  expect(headers).toContain(`X-Request-Id: ${requestId}`)
  expect(rest).toEqual({
    type: `urn:netpilot:problem:${code}`,
    title: expect.any(String),
    status: expected,
    code,
  })
  expect(requestId).toMatch(/^[0-9a-f-]{36}$/)
}

describe.concurrent('a slow client', () => {
  it.each([
    ['says nothing', '', ''],
    ['sends half its headers', 'GET /health HTTP/1.1\r\nHost: x\r\n', ''],
    ['sends its headers byte by byte', 'GET /health HTTP/1.1\r\nHost: x\r\nX: ', 'a'.repeat(200)],
    ['sends half its body', post('Content-Length: 100', '{"email":'), ''],
    ['sends its body byte by byte', post('Content-Length: 100'), ' '.repeat(100)],
    ['sends a chunked body without end', post('Transfer-Encoding: chunked'), '1\r\n \r\n'.repeat(100)],
  ] as const)('that %s gets 408 and is gone, T36', async (_what, text, drip) => {
    const conversation = await talk(text, drip)
    expectBareProblem(conversation, 408, 'invalid-request')
    expect(conversation.ms).toBeGreaterThan(HEADERS_MS)
    expect(conversation.ms).toBeLessThan(LATEST_MS)
  })

  it('that keeps a used connection and says no more is gone after the keep-alive time', async () => {
    const { status, ms } = await talk('GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n')
    expect(status).toBe(200)
    expect(ms).toBeLessThan(LATEST_MS)
  })

  it('among two hundred holds up nobody, T36', async () => {
    const slow = Array.from({ length: 200 }, (_, index) =>
      index % 2
        ? talk(post('Content-Length: 100', '{'), ' '.repeat(90))
        : talk('GET /health HTTP/1.1\r\nHost: x\r\nX: ', 'a'.repeat(90)),
    )
    let areGone = false
    const gone = Promise.all(slow).finally(() => {
      areGone = true
    })
    let answered = 0
    while (!areGone) {
      const answer = await fetch(`http://127.0.0.1:${port}/health`)
      expect(answer.status).toBe(200)
      await answer.text()
      answered += 1
    }
    expect((await gone).map(({ status }) => status)).toEqual(slow.map(() => 408))
    expect(answered).toBeGreaterThan(1)
  })
})

describe('a request line or a host that another reader could take for something else', () => {
  it.each([
    ['HTTP/0.9', 'GET /health/live\r\n\r\n'],
    ['HTTP/2.0 on the request line', 'GET /health/live HTTP/2.0\r\nHost: x\r\n\r\n'],
    ['two hosts of HTTP/1.0', 'GET /health/live HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n'],
    ['two hosts', 'GET /health/live HTTP/1.1\r\nHost: x\r\nHost: x\r\nConnection: close\r\n\r\n'],
    ['no host', 'GET /health/live HTTP/1.1\r\nConnection: close\r\n\r\n'],
    ['an empty host', 'GET /health/live HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n'],
    ['a host that is none', 'GET /health/live HTTP/1.1\r\nHost: a b/@c\r\nConnection: close\r\n\r\n'],
    ['a host with somebody’s name', 'GET /health/live HTTP/1.1\r\nHost: a@b\r\nConnection: close\r\n\r\n'],
    ['a path that cannot be decoded', 'GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
  ])('is 400, with the headers of every answer: %s', async (_what, text) => {
    const { status, headers, body } = await talk(text)
    expect([status, JSON.parse(body).code]).toEqual([400, 'invalid-request'])
    const sent = headers.toLowerCase()
    for (const [name, value] of Object.entries(BARE_HEADERS))
      expect(sent).toContain(`${name}: ${value}`.toLowerCase())
  })

  it.each(['x', 'x:3000', '192.0.2.1:80', '[2001:db8::1]:3000', 'a_b.example.', 'xn--bcher-kva.example'])(
    'is no host such as %s',
    async (host) => {
      expect(
        (await talk(`GET /health/live HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)).status,
      ).toBe(200)
    },
  )

  it('is not HTTP/1.0 without a host', async () => {
    expect((await talk('GET /health/live HTTP/1.0\r\n\r\n')).status).toBe(200)
  })
})

describe('five hundred slow clients at once', () => {
  it('hold nothing that others wait for: all of those are answered while none of these is gone, T36', async () => {
    const patient = await openServer({
      HEADERS_TIMEOUT_MS: '60000',
      REQUEST_TIMEOUT_MS: '300000',
      IDLE_TIMEOUT_MS: '300000',
    })
    await patient.app.listen({ host: '127.0.0.1', port: 0 })
    const { port: here } = patient.app.server.address() as AddressInfo
    const halves = [
      'GET /health HTTP/1.1\r\nHost: x\r\nX: ',
      'POST /api/auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
    ]
    const slow = Array.from({ length: 500 }, (_, index) => {
      const socket = connect(here, '127.0.0.1', () => socket.write(halves[index % 2] ?? ''))
      return socket.on('error', () => {})
    })
    const answered: unknown[] = []
    for (const socket of slow) socket.on('data', (chunk) => answered.push(chunk))
    const open = () => slow.filter(({ readyState }) => readyState === 'open').length
    await Promise.all(slow.map((socket) => once(socket, 'connect')))
    const { accessToken } = await worldOf(patient).person()
    for (let asked = 0; asked < 30; asked += 1) {
      const answer = await fetch(`http://127.0.0.1:${here}/api/routers`, {
        headers: { authorization: `Bearer ${accessToken}` },
      })
      expect(answer.status).toBe(200)
      await answer.text()
    }
    expect([open(), answered]).toEqual([500, []])
    for (const socket of slow) socket.destroy()
    await patient.close()
  })
})

describe.concurrent('a client that does not speak HTTP/1.1', () => {
  it.each([
    ['headers over 16 kB', 431, 'too-large', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`],
    ['nonsense', 400, 'invalid-request', 'nonsense\r\n\r\n'],
    ['a method that is none', 400, 'invalid-request', 'STEAL / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['HTTP/2', 400, 'invalid-request', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    [
      'a length and chunks',
      400,
      'invalid-request',
      post('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
    ],
    ['two lengths', 400, 'invalid-request', post('Content-Length: 5\r\nContent-Length: 6', '12345')],
    ['a chunk of no size', 400, 'invalid-request', post('Transfer-Encoding: chunked', 'zz\r\n')],
    ['a space before a colon', 400, 'invalid-request', 'GET / HTTP/1.1\r\nHost: x\r\nX : a\r\n\r\n'],
    ['a NUL in a header', 400, 'invalid-request', 'GET / HTTP/1.1\r\nHost: x\r\nX: a\0\r\n\r\n'],
    ['bare line feeds', 400, 'invalid-request', 'GET / HTTP/1.1\nHost: x\n\n'],
  ] as const)('but %s gets %i on the bare socket, T37', async (_what, status, code, text) => {
    expectBareProblem(await talk(text), status, code)
  })

  it.each([
    ['no host', 400, 'invalid-request', 'GET /health HTTP/1.1\r\nConnection: close\r\n\r\n'],
    [
      'two hosts',
      400,
      'invalid-request',
      'GET /health HTTP/1.1\r\nHost: x\r\nhost: x\r\nConnection: close\r\n\r\n',
    ],
    ['TRACE', 404, 'not-found', 'TRACE /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
    [
      'a body that lacks',
      400,
      'invalid-request',
      post('Expect: miracles\r\nConnection: close\r\nContent-Length: 0'),
    ],
  ] as const)(
    'but %s gets %i like any other that cannot be served, T37',
    async (_what, status, code, text) => {
      const { headers, body, ...answer } = await talk(text)
      expect(answer).toMatchObject({ status })
      expect(headers).toContain('content-type: application/problem+json')
      expect(JSON.parse(body)).toMatchObject({
        status,
        code,
        requestId: /x-request-id: (\S+)/.exec(headers)?.[1],
      })
    },
  )

  it.each([
    ['CONNECT', Number.NaN, 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n'],
    [
      'an upgrade',
      200,
      'GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
    ],
    ['OPTIONS of everything', 204, 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
  ])('and %s leads nowhere, T37', async (_what, status, text) => {
    expect(await talk(text)).toMatchObject({ status, body: status === 200 ? '{"status":"ok"}' : '' })
  })

  it('and an expectation that nobody knows is served all the same', async () => {
    const text = 'GET /health/live HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nConnection: close\r\n\r\n'
    expect(await talk(text)).toMatchObject({ status: 200 })
  })

  it('reaches no second request with what follows a message that is read in two ways', async () => {
    const hidden = 'GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n'
    for (const [headers, body] of [
      ['Content-Length: 0\r\nTransfer-Encoding: chunked', `0\r\n\r\n${hidden}`],
      ['Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', `0\r\n\r\n${hidden}`],
      ['Transfer-Encoding: xchunked', hidden],
      ['Transfer-Encoding : chunked', `0\r\n\r\n${hidden}`],
      ['Content-Length: +0', hidden],
      ['Content-Length: 0, 0', hidden],
      ['Content-Length: 0\r\nContent-Length: 0', hidden],
      ['X: a\r\n Content-Length: 0', hidden],
    ] as const) {
      const { headers: head, body: answered } = await talk(post(headers, body))
      expect(head, headers).toMatch(/^HTTP\/1\.1 400 /)
      expect(answered, headers).not.toContain('HTTP/1.1')
    }
  })
})

describe('a client that goes away in the middle of its body', () => {
  it('is no failure of the server', async () => {
    const before = server.logged.length
    const socket = connect(port, '127.0.0.1', () => socket.write(post('Content-Length: 100', '{')))
    const [request] = (await once(server.app.server, 'request')) as [IncomingMessage]
    while (request.listenerCount('data') === 0) await setImmediate()
    socket.destroy()
    await once(request.socket, 'close')
    await talk('GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    const levels = server.logged.slice(before).map((line) => JSON.parse(line).level)
    expect(levels.filter((level) => ['warn', 'error'].includes(level))).toEqual([])
  })
})

describe('a server that closes', () => {
  it('answers what still comes on a connection in use, or says when to come back', async () => {
    const closing = await openServer({ DATABASE_POOL_SIZE: '1' })
    const ada = await worldOf(closing).person()
    await closing.app.listen({ host: '127.0.0.1', port: 0 })
    const taken = await closing.pools.server.connect()
    const get = (path: string) =>
      `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ada.accessToken}\r\n\r\n`
    const arrived = () => once(closing.app.server, 'request')
    const { port: here } = closing.app.server.address() as AddressInfo
    const socket = connect(here, '127.0.0.1', () => socket.write(get('/api/auth/me')))
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk
    })
    const over = once(socket, 'close')
    await arrived()
    // It is served once the turn of the event loop has read what came.
    await setImmediate()
    const closed = closing.close()
    socket.write(get('/api/auth/me'))
    await arrived()
    taken.release()
    await over
    await closed
    const [first, second] = received.split(/(?=HTTP\/1\.1 )/)
    expect(first).toContain('HTTP/1.1 200 ')
    expect(second).toMatch(
      /^HTTP\/1\.1 (200 |503 [\s\S]*retry-after: \d[\s\S]*urn:netpilot:problem:unavailable)/i,
    )
  })
})
