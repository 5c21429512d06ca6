/**
 * The refresh token in a cookie, for browser apps that ask for it with `X-Token-Transport: cookie`: no script can read it there. A browser
 * sends a cookie by itself, so what uses it must come from an allowed page and carry a token that only such a page could read: a MAC of the
 * login session, given with the tokens and sent back in `X-CSRF-Token`. Access tokens never are in a cookie.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { problem } from '../http/problem.ts'
import type { SigningKeys } from './keyring.ts'
import type { RefreshTokens } from './refresh-tokens.ts'

/** `__Host-`: of this host only, over TLS only (browsers count localhost as such), for every path (RFC 6265bis, 4.1.3.2). */
export const REFRESH_COOKIE = '__Host-netpilot-refresh'
const ATTRIBUTES = { path: '/', httpOnly: true, secure: true, sameSite: 'strict' } as const

export type RefreshCookie = {
  /** Whether the tokens of this request's answer go into the cookie: it asks so, or came with one. */
  isWanted(request: FastifyRequest): boolean
  /** Before somebody signs in into the cookie. @throws Problem `cross-site` unless an allowed page sends them */
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

export function openRefreshCookie({ keys, refreshTokens, origins, maxDays }: RefreshCookieOptions): RefreshCookie {
  const csrfTokens = (sessionId: string) => keys.map(({ secret }) => createHmac('sha256', secret).update(sessionId).digest())
  const isOurs = (given: string, sessionId: string) => {
    const bytes = Buffer.from(given, 'base64url')
    return csrfTokens(sessionId).some((token) => bytes.length === token.length && timingSafeEqual(bytes, token))
  }
  const isAllowedPage = ({ headers, protocol, host }: FastifyRequest) => {
    const { origin, 'sec-fetch-site': site } = headers
    if (origin !== undefined) return origin === `${protocol}://${host}` || origins.includes(origin)
    return site === undefined || site === 'same-origin'
  }

  const isWanted = ({ headers, cookies }: FastifyRequest) =>
    headers['x-token-transport'] === 'cookie' || cookies[REFRESH_COOKIE] !== undefined

  return {
    isWanted,
    refuseOtherPages(request) {
      // Google sends browsers back by GET, and no tokens are in that answer.
      if (request.method === 'POST' && isWanted(request) && !isAllowedPage(request)) throw problem('cross-site')
    },
    read(request) {
      const token = request.cookies[REFRESH_COOKIE]
      if (token === undefined) return undefined
      if (!isAllowedPage(request)) throw problem('cross-site')
      const claim = refreshTokens.read(token)
      if (claim && !isOurs(String(request.headers['x-csrf-token'] ?? ''), claim.sessionId)) throw problem('cross-site')
      return token
    },
    write(reply, refreshToken, sessionId) {
      reply.setCookie(REFRESH_COOKIE, refreshToken, { ...ATTRIBUTES, maxAge: maxDays * 86_400 })
      return csrfTokens(sessionId)[0]?.toString('base64url') ?? ''
    },
    clear: (reply) => void reply.clearCookie(REFRESH_COOKIE, ATTRIBUTES),
  }
}
