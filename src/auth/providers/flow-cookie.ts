/**
 * The cookie that a flow lives in: of this host, out of reach of scripts, and not sent with requests that
 * others start, but for links. Over plain HTTP on a private network browsers drop `Secure` cookies, as with
 * the refresh cookie (docs/decisions/0014-refresh-cookie-follows-transport.md).
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { isPrivateHttp } from '../../network/private-http.ts'
import type { ProviderId } from './provider.ts'
import { FLOW_SECONDS } from './redirect-flow.ts'

const ATTRIBUTES = { httpOnly: true, sameSite: 'lax' } as const

/** One for each provider: a flow of one is none of another. */
const cookieOf = (provider: ProviderId, request: FastifyRequest) =>
  isPrivateHttp(request)
    ? { name: `netpilot-${provider}`, attributes: { ...ATTRIBUTES, path: '/api/auth/', secure: false } }
    : { name: `__Host-netpilot-${provider}`, attributes: { ...ATTRIBUTES, path: '/', secure: true } }

export function readFlowCookie(provider: ProviderId, request: FastifyRequest): string {
  return request.cookies[cookieOf(provider, request).name] ?? ''
}

export function writeFlowCookie(provider: ProviderId, reply: FastifyReply, value: string): void {
  const { name, attributes } = cookieOf(provider, reply.request)
  reply.setCookie(name, value, { ...attributes, maxAge: FLOW_SECONDS })
}

export function clearFlowCookie(provider: ProviderId, reply: FastifyReply): void {
  const { name, attributes } = cookieOf(provider, reply.request)
  reply.clearCookie(name, attributes)
}
