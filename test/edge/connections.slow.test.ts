/**
 * Clients on real sockets that ask and do not read, send many requests ahead, or open many connections: each
 * holds a bounded share.
 */
import { once } from 'node:events'
import { request as httpRequest, type RequestListener } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { createBoundedServer } from '../../src/http/limits/connections.ts'
import { openServer, testConfig, worldOf } from '../support/world.ts'

/** More than the buffers of both ends of a connection take. */
const LARGE = Buffer.alloc(20_000_000, 'x')
const IDLE_MS = 1_500

const cleanUp: (() => void)[] = []
afterAll(() => {
  for (const end of cleanUp) end()
})

async function serverOf(handle: RequestListener, env: Record<string, string> = {}) {
  const logged: { fields: object; message: string }[] = []
  const log = { warn: (fields: object, message: string) => void logged.push({ fields, message }) }
  const config = testConfig({
    IDLE_TIMEOUT_MS: String(IDLE_MS),
    HEADERS_TIMEOUT_MS: '60000',
    REQUEST_TIMEOUT_MS: '60000',
    ...env,
  })
  const server = createBoundedServer(handle, config, log).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const clients: Socket[] = []
  cleanUp.push(() => {
    for (const client of clients) client.destroy()
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  /** A client, and the other end of its connection. */
  const open = async (text = '', from = '127.0.0.1'): Promise<{ client: Socket; peer: Socket }> => {
    const accepted = once(server, 'connection')
    const client = connect({ port, host: '127.0.0.1', localAddress: from, allowHalfOpen: true })
    client.on('error', () => {})
    clients.push(client)
    const [peer] = (await accepted) as [Socket]
    peer.on('error', () => {})
    client.write(text)
    return { client, peer }
  }
  return { server, port, open, logged }
}
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
/** When the server has closed the connection, milliseconds from now. */
async function closed(peer: Socket): Promise<number> {
  const began = performance.now()
  if (!peer.destroyed) await once(peer, 'close')
  return performance.now() - began
}

describe.concurrent('a client that does not read its answer', () => {
  const sendLarge: RequestListener = ({ socket, url }, response) => {
    // As the app does when it has read a request: Node's own limit on silence is none here.
    socket.setTimeout(0)
    response.end(LARGE.subarray(0, Number(url?.slice(1)) || LARGE.length))
  }

  it('is gone after the idle time, and with it what the answer held', async () => {
    const { open, logged } = await serverOf(sendLarge)
    const { client, peer } = await open(get('/'))
    client.pause()
    const ms = await closed(peer)
    expect(ms).toBeGreaterThan(IDLE_MS - 100)
    expect(peer.writableLength).toBe(0)
    expect(logged).toEqual([
      { fields: { dropped: 1 }, message: 'closed connections whose clients do not read their answers' },
    ])
  })

  it('is gone as soon when it goes on sending', async () => {
    const { open } = await serverOf(sendLarge)
    const { client, peer } = await open(`${get('/')}GET / HTTP/1.1\r\nX: `)
    client.pause()
    const sending = setInterval(() => void client.write('a'), 100)
    await closed(peer)
    clearInterval(sending)
  })

  it('but slowly, gets all of it, in more time than one may be silent', async () => {
    const { open } = await serverOf(sendLarge)
    const { client, peer } = await open(get('/'))
    let received = 0
    const began = performance.now()
    // A chunk, then a rest: a third of a second for each megabyte.
    client.on('data', async (chunk) => {
      received += chunk.length
      client.pause()
      await wait(chunk.length / 3_000)
      client.resume()
    })
    await expect.poll(() => received, { timeout: 15_000 }).toBeGreaterThan(LARGE.length)
    expect(performance.now() - began).toBeGreaterThan(2 * IDLE_MS)
    expect(peer.destroyed).toBe(false)
  })

  it('goes first when all unread answers together are too large, before its time', async () => {
    const { open } = await serverOf(sendLarge, {
      IDLE_TIMEOUT_MS: '60000',
      MAX_UNREAD_BYTES: '30000000',
    })
    const small = await open(get('/14000000'))
    small.client.pause()
    const large = await open(get('/20000000'))
    large.client.pause()
    await closed(large.peer)
    expect(small.peer.destroyed).toBe(false)
  })
})

describe.concurrent('requests that are sent ahead on one connection', () => {
  it('are served one at a time and answered in order', async () => {
    let underWay = 0
    const seen: string[] = []
    const { open } = await serverOf(async ({ url = '' }, response) => {
      underWay += 1
      seen.push(`${url} ${underWay}`)
      await wait(10)
      underWay -= 1
      response.end(url)
    })
    const { client } = await open(['/a', '/b', '/c', '/d', '/e'].map(get).join(''))
    let received = ''
    while (!received.endsWith('/e')) received += (await once(client, 'data'))[0]
    expect(seen).toEqual(['/a 1', '/b 1', '/c 1', '/d 1', '/e 1'])
    expect(received.match(/\/[a-e]$|\/[a-e](?=HTTP)/g)).toEqual(['/a', '/b', '/c', '/d', '/e'])
  })

  it('end the connection when they are more than eight, and none of them is served', async () => {
    const served: string[] = []
    const { open } = await serverOf(({ url = '' }) => void served.push(url))
    const { peer } = await open(Array.from({ length: 10 }, (_, index) => get(`/${index}`)).join(''))
    await closed(peer)
    const { peer: patient } = await open(Array.from({ length: 9 }, (_, index) => get(`/${index}`)).join(''))
    await expect.poll(() => served).toEqual(['/0'])
    expect(patient.destroyed).toBe(false)
  })

  it('are forgotten when their connection ends, or when one is turned away', async () => {
    const served: string[] = []
    const { open } = await serverOf(({ url = '' }, response) => {
      served.push(url)
      if (url === '/busy') response.writeHead(503).end()
    })
    const gone = await open(get('/waits') + get('/never'))
    await expect.poll(() => served).toEqual(['/waits'])
    gone.client.destroy()
    await closed(gone.peer)
    const busy = await open(get('/busy') + get('/never'))
    await closed(busy.peer)
    expect(served).toEqual(['/waits', '/busy'])
  })

  it('are served after those of clients that wait for their answers', async () => {
    const served: string[] = []
    const { server } = await serverOf(({ url = '' }, response) => {
      served.push(url)
      response.end()
    })
    // Two connections whose requests came in one turn of the loop.
    for (const text of [get('/first') + get('/ahead'), get('/patient')]) {
      const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() })
      server.emit('connection', socket)
      socket.push(text)
    }
    await expect.poll(() => served).toEqual(['/patient', '/first', '/ahead'])
  })

  it('hold up nobody else', async () => {
    const { open, port } = await serverOf(async ({ url }, response) => {
      if (url === '/slow') await wait(200)
      response.end()
    })
    for (let index = 0; index < 20; index += 1) await open(get('/slow').repeat(9))
    const answered = once(httpRequest({ port, host: '127.0.0.1', path: '/' }).end(), 'response')
    expect(((await answered)[0] as { statusCode: number }).statusCode).toBe(200)
  })
})

describe.concurrent('connections', () => {
  it('of one address are bounded; the next is closed, others and later ones are not', async () => {
    const { open, logged } = await serverOf(() => {}, { MAX_CONNECTIONS_PER_ADDRESS: '3' })
    const [first] = [await open(), await open(), await open()]
    const { peer: fourth } = await open()
    await closed(fourth)
    expect(logged).toHaveLength(1)
    expect(logged[0]?.message).toContain('MAX_CONNECTIONS_PER_ADDRESS')
    expect((await open('', '127.0.0.2')).peer.destroyed).toBe(false)
    first?.client.destroy()
    await closed(first?.peer as Socket)
    expect((await open()).peer.destroyed).toBe(false)
    await closed((await open()).peer)
    // Once a minute is enough.
    expect(logged).toHaveLength(1)
  })

  it('of a named proxy are those of many', async () => {
    const { open } = await serverOf(() => {}, {
      MAX_CONNECTIONS_PER_ADDRESS: '1',
      TRUST_PROXY: '127.0.0.0/30',
    })
    for (let index = 0; index < 5; index += 1) expect((await open()).peer.destroyed).toBe(false)
    expect((await open('', '127.0.0.9')).peer.destroyed).toBe(false)
    await closed((await open('', '127.0.0.9')).peer)
  })

  it('in all are bounded, and the log says so', async () => {
    const { open, port, server, logged } = await serverOf(() => {}, { MAX_CONNECTIONS: '2' })
    await open()
    await open()
    const dropped = once(server, 'drop')
    connect(port, '127.0.0.1').on('error', () => {})
    await dropped
    expect(logged[0]?.message).toContain('MAX_CONNECTIONS')
  })
})

describe('the documents of the API', () => {
  it('are the same in both places, carry an ETag, and are not sent again to who has them', async () => {
    const { app } = worldOf(await openServer({ LOG_LEVEL: 'silent' }))
    for (const url of ['/openapi.json', '/docs/json', '/docs/yaml']) {
      const { statusCode, headers, body } = await app.inject(url)
      expect([statusCode, headers['cache-control']]).toEqual([200, 'no-cache'])
      expect(headers.etag).toMatch(/^"[\w-]{43}"$/)
      const again = await app.inject({ url, headers: { 'if-none-match': String(headers.etag) } })
      expect([again.statusCode, again.body]).toEqual([304, ''])
      if (url === '/docs/json') expect(body).toBe((await app.inject('/openapi.json')).body)
    }
    await app.close()
  })

  it('are fetched so often by one address, and no oftener', async () => {
    const server = await openServer({ RATE_LIMIT_DOCUMENTS: '3' })
    onTestFinished(server.close)
    const statuses: number[] = []
    for (const url of [
      '/openapi.json',
      '/docs/static/swagger-ui.css',
      '/docs/json',
      '/openapi.json',
      '/docs',
    ])
      statuses.push((await server.app.inject(url)).statusCode)
    expect(statuses).toEqual([200, 200, 200, 429, 429])
    expect((await server.app.inject({ url: '/openapi.json', remoteAddress: '192.0.2.9' })).statusCode).toBe(
      200,
    )
    expect((await server.app.inject('/health/live')).statusCode).toBe(200)
  })
})
