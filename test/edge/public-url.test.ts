/** Where people reach the server is configured; what a request says its host is ends up nowhere. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigError, readConfig } from '../../src/config/config.ts'
import { listOperations, sampleOf, urlOf } from '../support/operations.ts'
import { openServer, type TestServer, worldOf } from '../support/world.ts'

const PUBLIC = 'https://netpilot.example.com'
const HOSTILE = [
  { host: 'evil.example' },
  { host: 'evil.example:443', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' },
  {
    host: 'netpilot.example.com@evil.example',
    forwarded: 'host=evil.example;proto=https',
    origin: 'https://evil.example',
  },
] as Record<string, string>[]

describe.each([
  ['with PUBLIC_URL', { PUBLIC_URL: PUBLIC }],
  ['without', {}],
  ['behind a proxy that is believed', { TRUST_PROXY: '127.0.0.1' }],
] as [string, Record<string, string>][])('a server %s', (_how, env) => {
  let server: TestServer
  beforeAll(async () => {
    server = await openServer(env)
  })
  afterAll(() => server.close())

  it.each(HOSTILE)('writes no mail with a host of the request in it: %o', async (headers) => {
    const { send } = worldOf(server)
    const email = `${randomUUID()}@example.com`
    const password = `pw ${randomUUID()}`
    const { statusCode } = await send('POST', '/api/auth/register', { body: { email, password }, headers })
    await send('POST', '/api/auth/resend-verification', { body: { email }, headers })
    await send('POST', '/api/auth/forgot-password', { body: { email }, headers })
    for (let guess = 0; guess < 5; guess += 1)
      await send('POST', '/api/auth/login', { body: { email, password: 'wrong' }, headers })
    await server.settled()
    const mails = server.mails.filter(({ to }) => to === email)
    // A host that is none is refused before anything is done.
    if (statusCode === 400) return expect(mails).toEqual([])
    expect(mails.length).toBeGreaterThanOrEqual(3)
    for (const mail of mails) expect(JSON.stringify(mail)).not.toContain('evil')
  })

  it.each(HOSTILE)('answers no operation with it, in a header or a body: %o', async (headers) => {
    const world = worldOf(server)
    const ada = await world.person()
    for (const operation of await listOperations(world)) {
      const body = operation.body && sampleOf(operation.body)
      const answer = await ada.call(operation.method, urlOf(operation, {}), {
        headers,
        ...(body !== undefined && { body }),
      })
      expect(JSON.stringify(answer.headers) + answer.body, operation.name).not.toContain('evil')
    }
    for (const url of ['/', '/openapi.json', '/docs/', '/nothing'])
      expect(
        (await world.send('GET', url, { headers: { ...headers, accept: 'text/html' } })).body,
        url,
      ).not.toContain('evil')
  })
})

describe('PUBLIC_URL', () => {
  it('is the server of the API document, and in mails the address of the API', async () => {
    const server = await openServer({ PUBLIC_URL: PUBLIC })
    const { send } = worldOf(server)
    expect((await send('GET', '/openapi.json')).json().servers).toEqual([{ url: PUBLIC }])
    const ada = await worldOf(server).person()
    await server.settled()
    const { text = '' } = server.mails.find(({ to }) => to === ada.email) ?? {}
    expect(text.replaceAll('\n', ' ')).toContain(`by POST ${PUBLIC}/api/auth/verify-email:`)
    await server.close()
  })

  it('may be left out: then paths have no origin', async () => {
    const server = await openServer()
    expect((await worldOf(server).send('GET', '/openapi.json')).json().servers).toEqual([{ url: '/' }])
    await server.close()
  })

  it('leaves links to the frontend where APP_URL says', async () => {
    const server = await openServer({ PUBLIC_URL: PUBLIC, APP_URL: 'https://app.example.com' })
    const ada = await worldOf(server).person()
    await server.settled()
    const { text = '' } = server.mails.find(({ to }) => to === ada.email) ?? {}
    expect(text).toContain('https://app.example.com/verify-email#token=')
    expect(text).not.toContain(PUBLIC)
    await server.close()
  })

  it.each([
    'netpilot.example.com',
    `${PUBLIC}/`,
    `${PUBLIC}/api`,
    'ftp://netpilot.example.com',
    'https://a@b.example',
    'null',
  ])('is an origin, or the server does not start: %s', (PUBLIC_URL) =>
    expect(() => readConfig({ PUBLIC_URL })).toThrow(ConfigError),
  )
})
