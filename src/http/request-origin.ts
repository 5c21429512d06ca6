import type { FastifyRequest } from 'fastify'
import { canonicalIp } from '../network/ip.ts'

/** The origin of a login session, for its owner's list: the User-Agent of the browser, and the address. */
export type ClientInfo = { device: string | null; address: string | null }
const MAX_DEVICE_LENGTH = 200
export const requestOrigin = (request: FastifyRequest): ClientInfo => ({
  device: request.headers['user-agent']?.slice(0, MAX_DEVICE_LENGTH) ?? null,
  // A link-local zone or an invalid address from a proxy is no reason to refuse the request.
  address: canonicalIp(request.ip) ?? null,
})
