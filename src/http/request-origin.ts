import type { FastifyRequest } from 'fastify'
import { canonicalIp } from '../network/ip.ts'

/**
 * Where a login session comes from, for its owner's list: the browser's words for itself, and the address.
 */
export type ClientInfo = { device: string | null; address: string | null }
const MAX_DEVICE_LENGTH = 200
export const requestOrigin = (request: FastifyRequest): ClientInfo => ({
  device: request.headers['user-agent']?.slice(0, MAX_DEVICE_LENGTH) ?? null,
  // A link-local zone or a proxy's nonsense is no reason to refuse somebody.
  address: canonicalIp(request.ip) ?? null,
})
