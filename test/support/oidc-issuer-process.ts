/**
 * A small OpenID provider, run as a separate process: it offers discovery, authorizes, exchanges codes with
 * PKCE, signs ID tokens, and has a userinfo endpoint. Tests choose its faults by POST /control.
 */
import {
  createHash,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

type Claims = Record<string, unknown>
type Grant = { redirectUri: string; challenge: string; claims: Claims }
/** What tests may change; each applies to the next requests until it is changed again. */
export type Control = {
  /** The status instead of an answer, by path; 0: no answer. */
  status?: Record<string, number>
  /** Replaces fields of the discovery document. */
  metadata?: Claims
  /** Replaces fields of the header of ID tokens. */
  header?: Claims
  /** What signs: the key of `jwks`, a key that is not there, or none. */
  signer?: 'own' | 'foreign' | 'nobody' | 'client secret'
  /** A new key replaces the signing key. */
  rotate?: boolean
  /** Claims that only the userinfo endpoint returns. */
  atUserInfo?: string[]
  /** Replaces `sub` at the userinfo endpoint. */
  userInfoSub?: string
}

const CLIENT_ID = 'netpilot'
const CLIENT_SECRET = 'the secret of the client: with / and +'

const newKey = () => ({
  kid: randomBytes(8).toString('hex'),
  key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
})
let own = newKey()
const foreign = newKey().key
let control: Control = {}
const grants = new Map<string, Grant>()
const accessTokens = new Map<string, Claims>()
let asked: string[] = []

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

const server = createServer(async (request, response) => {
  const url = new URL(request.url ?? '', issuer)
  const answer = (status: number, body: unknown, headers = {}) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
  if (url.pathname === '/control') {
    control = JSON.parse(await textOf(request))
    if (control.rotate) own = newKey()
    answer(200, { asked })
    asked = []
    return
  }
  asked.push(url.pathname)
  const status = control.status?.[url.pathname]
  if (status === 0) return
  if (status !== undefined) return answer(status, { error: 'server_error' })
  switch (url.pathname) {
    case '/.well-known/openid-configuration':
      return answer(200, metadata())
    case '/jwks': {
      const jwk = createPublicKey(own.key).export({ format: 'jwk' })
      return answer(200, { keys: [{ ...jwk, kid: own.kid, alg: 'ES256', use: 'sig' }] })
    }
    case '/authorize': {
      const back = authorize(Object.fromEntries(url.searchParams), request)
      return back ? answer(302, null, { location: back.href }) : answer(400, { error: 'invalid_request' })
    }
    case '/token': {
      const { status, body } = redeem(request, Object.fromEntries(new URLSearchParams(await textOf(request))))
      return answer(status, body)
    }
    case '/userinfo': {
      const claims = accessTokens.get(String(request.headers.authorization).replace('Bearer ', ''))
      return claims ? answer(200, claims) : answer(401, { error: 'invalid_token' })
    }
  }
  answer(404, { error: 'not_found' })
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

const metadata = () =>
  without({
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    userinfo_endpoint: `${issuer}/userinfo`,
    jwks_uri: `${issuer}/jwks`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
    ...control.metadata,
  })
/** Leaves out what is null. */
const without = (claims: Claims) =>
  Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== null))

type Parameters = Partial<Record<string, string>>

/** A cookie names the person at this browser, who agrees unless it holds an `error`. */
function authorize(query: Parameters, request: IncomingMessage): URL | undefined {
  const { client_id, redirect_uri = '', response_type, scope = '', state = '', nonce } = query
  const { code_challenge: challenge = '', code_challenge_method: method } = query
  const isPkce = method === 'S256' && /^[\w-]{43}$/.test(challenge)
  if (client_id !== CLIENT_ID || !isPkce || response_type !== 'code' || !scope.split(' ').includes('openid'))
    return undefined
  const account = JSON.parse(
    Buffer.from(request.headers.cookie?.replace('account=', '') ?? '', 'base64url').toString(),
  )
  const back = new URL(redirect_uri)
  back.searchParams.set('state', state)
  back.searchParams.set('iss', issuer)
  if (account.error) {
    back.searchParams.set('error', account.error)
    return back
  }
  const code = randomBytes(24).toString('base64url')
  const auth_time = query.prompt === 'login' ? { auth_time: seconds() } : {}
  grants.set(code, { redirectUri: redirect_uri, challenge, claims: { nonce, ...auth_time, ...account } })
  back.searchParams.set('code', code)
  return back
}

function redeem(request: IncomingMessage, form: Parameters) {
  const { grant_type, code = '', redirect_uri, code_verifier = '' } = form
  const basic = Buffer.from(request.headers.authorization?.replace('Basic ', '') ?? '', 'base64').toString()
  const [id = '', secret = ''] = basic.split(':').map((part) => decodeURIComponent(part.replaceAll('+', ' ')))
  if (id !== CLIENT_ID || secret !== CLIENT_SECRET) return { status: 401, body: { error: 'invalid_client' } }
  const grant = grants.get(code)
  grants.delete(code)
  const isProven = grant?.challenge === createHash('sha256').update(code_verifier).digest('base64url')
  if (grant_type !== 'authorization_code' || grant?.redirectUri !== redirect_uri || !isProven)
    return { status: 400, body: { error: 'invalid_grant' } }
  const apart = new Set(control.atUserInfo ?? [])
  const entries = Object.entries(grant.claims)
  const access_token = randomBytes(16).toString('base64url')
  const sub = control.userInfoSub ?? grant.claims.sub
  accessTokens.set(access_token, { ...Object.fromEntries(entries.filter(([name]) => apart.has(name))), sub })
  const id_token = idToken(Object.fromEntries(entries.filter(([name]) => !apart.has(name))))
  return { status: 200, body: { access_token, token_type: 'Bearer', expires_in: 3_600, id_token } }
}

function idToken(claims: Claims): string {
  const now = seconds()
  const { signer = 'own', header } = control
  const alg = signer === 'nobody' ? 'none' : signer === 'client secret' ? 'HS256' : 'ES256'
  const standard = { iss: issuer, aud: CLIENT_ID, iat: now, exp: now + 300 }
  const signed = `${encode({ alg, kid: own.kid, ...header })}.${encode(without({ ...standard, ...claims }))}`
  return `${signed}.${signature(signed, signer)}`
}

function signature(signed: string, signer: NonNullable<Control['signer']>): string {
  if (signer === 'nobody') return ''
  if (signer === 'client secret')
    return createHmac('sha256', CLIENT_SECRET).update(signed).digest('base64url')
  const key: KeyObject = signer === 'own' ? own.key : foreign
  return sign('SHA256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')
}

const seconds = () => Math.floor(Date.now() / 1_000)

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

process.send?.({ issuer, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET })
// The parent process has ended.
process.once('disconnect', () => process.exit())
