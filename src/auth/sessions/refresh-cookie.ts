/**
 * The refresh token in a cookie, for browser apps that ask for it with `X-Token-Transport: cookie`: no script
 * can read it there. A browser sends a cookie by itself, so what uses it must come from an allowed page and
 * carry a token that only such a page could read: a MAC of the login session, given with the tokens and sent
 * back in `X-CSRF-Token`. Access tokens never are in a cookie.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { SigningKeys } from '../../crypto/keyring.ts'
import { problem } from '../../http/problem.ts'
import { isPrivateHttp } from '../../network/private-http.ts'
import type { RefreshTokens } from './refresh-tokens.ts'

const ATTRIBUTES = { httpOnly: true, sameSite: 'strict' } as const
/**
 * `__Host-`: of this host only, over TLS only (browsers count localhost as such), for every path (RFC
 * 6265bis, 4.1.3.2).
 */
const SECURE = {
  name: '__Host-netpilot-refresh',
  attributes: { ...ATTRIBUTES, path: '/', secure: true },
} as const
/**
 * A name of its own: what somebody on the way plants over plain HTTP means nothing over TLS, where browsers
 * send it too.
 */
const PLAIN = {
  name: 'netpilot-refresh',
  attributes: { ...ATTRIBUTES, path: '/api/', secure: false },
} as const

/** The one cookie that exists for this request; the other is neither read nor written. */
const cookieOf = (request: FastifyRequest) => (isPrivateHttp(request) ? PLAIN : SECURE)
const tokenIn = (request: FastifyRequest) => request.cookies[cookieOf(request).name]

export type RefreshCookie = {
  /** Whether the tokens of this request's answer go into the cookie: it asks so, or came with one. */
  isWanted(request: FastifyRequest): boolean
  /**
   * Before somebody signs in into the cookie. @throws Problem `cross-site` unless an allowed page sends them
   */
  refuseOtherPages(request: FastifyRequest): void
  /** The token that came in the cookie. @throws Problem `cross-site` unless an allowed page sent it */
  read(request: FastifyRequest): string | undefined
  /** Puts the token into the cookie of the answer. @returns the CSRF token that belongs to it */
  write(reply: FastifyReply, refreshToken: string, sessionId: string): string
  clear(reply: FastifyReply): void
}

export type RefreshCookieOptions = {
  keys: SigningKeys
  refreshTokens: RefreshTokens
  /** Exact origins of browser apps elsewhere; the server's own is always allowed. */
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
      // Google sends browsers back by GET, and no tokens are in that answer.
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
