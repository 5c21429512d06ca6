/**
 * A substitute for Google: a real server that signs real tokens and sends browsers back with a code. It
 * exchanges the code only for the client and the redirect address that it was issued for, and only with the
 * verifier of its PKCE challenge.
 */
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Claims = Record<string, unknown>

export type StandInGoogle = Awaited<ReturnType<typeof startGoogle>>

const CLIENT_ID = '1234-web.apps.googleusercontent.com'
const CLIENT_SECRET = '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'
const MOBILE_CLIENT_ID = '1234-mobile.apps.googleusercontent.com'
const REDIRECT_URI = 'https://netpilot.example.com/api/auth/google/callback'
/** The address to which people may be sent back. */
export const FRONTEND = 'https://app.example.com'

/** Each key takes half a second, so the files of a run share them. */
const newKey = () => generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey
const KEY = newKey()
const KID = randomBytes(8).toString('hex')
/** A key that Google does not know. */
export const FOREIGN_KEY = newKey()

const pemOf = (key: KeyObject) => createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString()
export const GOOGLE_PEM = pemOf(KEY)

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const seconds = () => Math.floor(Date.now() / 1_000)

/** A person who has an account at Google, with the claims of its tokens. */
export function googleAccount(claims: Claims = {}) {
  const sub = Array.from(randomBytes(21), (byte) => byte % 10).join('')
  return {
    sub,
    email: `${sub}@gmail.com`,
    email_verified: true,
    name: 'Ada Lovelace',
    picture: 'https://lh3.example.com/ada.png',
    ...claims,
  }
}

type Grant = { clientId: string; redirectUri: string; challenge: string; claims: Claims }

export async function startGoogle() {
  const grants = new Map<string, Grant>()
  const asked: string[] = []
  /** What it answers instead, by path; a status of 0 means no answer. */
  const faults: Record<string, { status: number; body?: unknown; headers?: object }> = {}

  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '', issuer)
    asked.push(url.pathname)
    const answer = (status: number, body: unknown, headers = {}) =>
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
    const fault = faults[url.pathname]
    if (fault?.status === 0) return
    if (fault) return answer(fault.status, fault.body, fault.headers)
    if (url.pathname === '/certs')
      return answer(200, { [KID]: GOOGLE_PEM }, { 'cache-control': 'public, max-age=3600' })
    if (url.pathname === '/authorize') {
      const back = authorize(url.searchParams, accountOf(request))
      return back ? answer(302, null, { location: back.href }) : answer(400, { error: 'invalid_request' })
    }
    if (url.pathname === '/token') {
      const { status, body } = redeem(new URLSearchParams(await textOf(request)))
      return answer(status, body)
    }
    answer(404, { error: 'not_found' })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  function authorize(query: URLSearchParams, account: Claims): URL | undefined {
    const {
      client_id,
      redirect_uri,
      response_type,
      scope = '',
      state,
      nonce,
      code_challenge = '',
      code_challenge_method,
    } = fields(query)
    const isRegistered = client_id === CLIENT_ID && redirect_uri === REDIRECT_URI
    const isPkce = code_challenge_method === 'S256' && /^[\w-]{43}$/.test(code_challenge)
    if (!isRegistered || !isPkce || response_type !== 'code' || !scope.split(' ').includes('openid'))
      return undefined
    const back = new URL(redirect_uri)
    if (state !== undefined) back.searchParams.set('state', state)
    if (account.error) back.searchParams.set('error', String(account.error))
    else {
      const code = `4/0${randomBytes(24).toString('base64url')}`
      grants.set(code, {
        clientId: client_id,
        redirectUri: redirect_uri,
        challenge: code_challenge,
        claims: { nonce, ...account },
      })
      back.searchParams.set('code', code)
    }
    // Google adds parameters that the client did not request.
    for (const [name, value] of Object.entries({ scope, authuser: '0', prompt: 'consent', iss: issuer }))
      back.searchParams.set(name, value)
    return back
  }

  function redeem(form: URLSearchParams) {
    const { grant_type, code = '', client_id, client_secret, redirect_uri, code_verifier = '' } = fields(form)
    if (client_id !== CLIENT_ID || client_secret !== CLIENT_SECRET)
      return { status: 401, body: { error: 'invalid_client' } }
    const grant = grants.get(code)
    grants.delete(code)
    const isTheirs = grant?.clientId === client_id && grant.redirectUri === redirect_uri
    const isProven = grant?.challenge === createHash('sha256').update(code_verifier).digest('base64url')
    if (grant_type !== 'authorization_code' || !isTheirs || !isProven)
      return { status: 400, body: { error: 'invalid_grant', error_description: `Bad Request: ${code}` } }
    const access_token = `ya29.${randomBytes(16).toString('base64url')}`
    return {
      status: 200,
      body: { access_token, token_type: 'Bearer', expires_in: 3_599, id_token: idToken(grant.claims) },
    }
  }

  /**
   * An ID token of Google's for the web client: fresh and correct, except where the claims differ (undefined
   * removes one).
   */
  function idToken(
    claims: Claims = googleAccount(),
    { header = {}, key = KEY }: { header?: Claims; key?: KeyObject } = {},
  ): string {
    const now = seconds()
    const standard = { iss: issuer, aud: CLIENT_ID, azp: CLIENT_ID, iat: now, exp: now + 3_600 }
    const signed = `${encode({ alg: 'RS256', kid: KID, typ: 'JWT', ...header })}.${encode({ ...standard, ...claims })}`
    return `${signed}.${sign('RSA-SHA256', Buffer.from(signed), key).toString('base64url')}`
  }

  return {
    issuer,
    asked,
    faults,
    idToken,
    clientIds: [CLIENT_ID, MOBILE_CLIENT_ID] as const,
    clientSecret: CLIENT_SECRET,
    redirectUri: REDIRECT_URI,
    /** The environment that makes a server use it. */
    env: {
      GOOGLE_CLIENT_ID: `${CLIENT_ID}, ${MOBILE_CLIENT_ID}`,
      GOOGLE_CLIENT_SECRET: CLIENT_SECRET,
      GOOGLE_REDIRECT_URI: REDIRECT_URI,
      GOOGLE_RETURN_TO: FRONTEND,
      GOOGLE_ISSUER: issuer,
      GOOGLE_AUTHORIZATION_URL: `${issuer}/authorize`,
      GOOGLE_TOKEN_URL: `${issuer}/token`,
      GOOGLE_CERTIFICATES_URL: `${issuer}/certs`,
    },
    /**
     * Acts as the browser of a person signed in at Google, who agrees (or with `error`, does not). @returns
     * the address to which Google sends them back
     */
    async consent(location: string, account: Claims = googleAccount()): Promise<URL> {
      const answer = await fetch(location, {
        headers: { cookie: `account=${encode(account)}` },
        redirect: 'manual',
      })
      if (answer.status !== 302) throw new Error(`Google answered ${answer.status}: ${await answer.text()}`)
      return new URL(answer.headers.get('location') ?? '')
    },
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const fields = (form: URLSearchParams): Partial<Record<string, string>> => Object.fromEntries(form)

const accountOf = (request: IncomingMessage): Claims =>
  JSON.parse(Buffer.from(request.headers.cookie?.replace('account=', '') ?? '', 'base64url').toString())

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
