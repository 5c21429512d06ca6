/**
 * The cookie that carries the state of a redirect flow. It is limited to this host, scripts cannot read it,
 * and the browser sends it with cross-site requests only when they follow a link. Browsers drop `Secure`
 * cookies over plain HTTP on a private network, so the cookie follows the same rule as the refresh cookie
 * (docs/decisions/0014-refresh-cookie-follows-transport.md).
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { isPrivateHttp } from '../../network/private-http.ts'
import type { ProviderId } from './provider.ts'
import { FLOW_SECONDS } from './redirect-flow.ts'

const ATTRIBUTES = { httpOnly: true, sameSite: 'lax' } as const

/** Each provider has its own cookie, so that a flow with one provider is not valid for another. */
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
