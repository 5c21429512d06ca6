/**
 * Stores the refresh token in a cookie, for browser apps that request it with `X-Token-Transport: cookie`.
 * Scripts cannot read the cookie. A browser sends cookies automatically, so a request that uses one must pass
 * two checks. It must come from an allowed origin, and `X-CSRF-Token` must contain a token that only such a
 * page could read. That token is a MAC of the login session and is returned with the other tokens. Access
 * tokens are never stored in a cookie.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { SigningKeys } from '../../crypto/keyring.ts'
import { problem } from '../../http/problem.ts'
import { isPrivateHttp } from '../../network/private-http.ts'
import type { RefreshTokens } from './refresh-tokens.ts'

const ATTRIBUTES = { httpOnly: true, sameSite: 'strict' } as const
/**
 * `__Host-`: limited to this host, to TLS (browsers treat localhost as secure), with the path `/` (RFC
 * 6265bis, 4.1.3.2).
 */
const SECURE = {
  name: '__Host-netpilot-refresh',
  attributes: { ...ATTRIBUTES, path: '/', secure: true },
} as const
/**
 * A separate name, because an attacker on the network can set this cookie over plain HTTP. Browsers then send
 * it over TLS too, where the server ignores it.
 */
const PLAIN = {
  name: 'netpilot-refresh',
  attributes: { ...ATTRIBUTES, path: '/api/', secure: false },
} as const

/** The only cookie that this request uses. The server neither reads nor writes the other. */
const cookieOf = (request: FastifyRequest) => (isPrivateHttp(request) ? PLAIN : SECURE)
const tokenIn = (request: FastifyRequest) => request.cookies[cookieOf(request).name]

export type RefreshCookie = {
  /** Whether the answer puts its tokens into the cookie: the request asks for that or contains the cookie. */
  isWanted(request: FastifyRequest): boolean
  /**
   * Runs before a sign-in that sets the cookie.
   * @throws Problem `cross-site` unless the request comes from an allowed origin
   */
  refuseOtherPages(request: FastifyRequest): void
  /**
   * @returns the token in the cookie
   * @throws Problem `cross-site` unless the request comes from an allowed origin
   */
  read(request: FastifyRequest): string | undefined
  /** Writes the token to the cookie of the answer. @returns the CSRF token that belongs to it */
  write(reply: FastifyReply, refreshToken: string, sessionId: string): string
  clear(reply: FastifyReply): void
}

export type RefreshCookieOptions = {
  keys: SigningKeys
  refreshTokens: RefreshTokens
  /** Exact origins of browser apps on other hosts. The server's own origin is always allowed. */
  origins: string[]
  maxDays: number
}

export function createRefreshCookie({
  keys,
  refreshTokens,
  origins,
  maxDays,
}: RefreshCookieOptions): RefreshCookie {
  const csrfTokens = (sessionId: string) =>
    keys.map(({ secret }) => createHmac('sha256', secret).update(sessionId).digest())
  const isOurs = (given: string, sessionId: string) => {
    const bytes = Buffer.from(given, 'base64url')
    return csrfTokens(sessionId).some(
      (token) => bytes.length === token.length && timingSafeEqual(bytes, token),
    )
  }
  const isAllowedPage = ({ headers, protocol, host }: FastifyRequest) => {
    const { origin, 'sec-fetch-site': site } = headers
    if (origin !== undefined) return origin === `${protocol}://${host}` || origins.includes(origin)
    return site === undefined || site === 'same-origin'
  }

  const isWanted = (request: FastifyRequest) =>
    request.headers['x-token-transport'] === 'cookie' || tokenIn(request) !== undefined

  return {
    isWanted,
    refuseOtherPages(request) {
      // Google redirects browsers back with GET, and that answer contains no tokens.
      if (request.method === 'POST' && isWanted(request) && !isAllowedPage(request))
        throw problem('cross-site')
    },
    read(request) {
      const token = tokenIn(request)
      if (token === undefined) return undefined
      if (!isAllowedPage(request)) throw problem('cross-site')
      const claim = refreshTokens.read(token)
      if (claim && !isOurs(String(request.headers['x-csrf-token'] ?? ''), claim.sessionId))
        throw problem('cross-site')
      return token
    },
    write(reply, refreshToken, sessionId) {
      const { name, attributes } = cookieOf(reply.request)
      reply.setCookie(name, refreshToken, { ...attributes, maxAge: maxDays * 86_400 })
      return csrfTokens(sessionId)[0]?.toString('base64url') ?? ''
    },
    clear(reply) {
      const { name, attributes } = cookieOf(reply.request)
      reply.clearCookie(name, attributes)
    },
  }
}
