/** Headers that tell browsers what they may do with an answer. */
import helmet from '@fastify/helmet'
import type { FastifyInstance } from 'fastify'

/**
 * On plain HTTP the first must not be sent (RFC 6797, 7.2); browsers ignore the others there, with warnings
 * on the console.
 */
const ONLY_OVER_TLS = {
  strictTransportSecurity: false,
  crossOriginOpenerPolicy: false,
  originAgentCluster: false,
} as const

export async function secureHeaders(app: FastifyInstance): Promise<void> {
  await app.register(helmet, {
    // `reply.helmet` sets them, for each request by its scheme.
    global: false,
    contentSecurityPolicy: {
      directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] },
      useDefaults: false,
    },
    xFrameOptions: { action: 'deny' },
    // Of other hosts below this name, NetPilot does not know whether they have TLS.
    strictTransportSecurity: { includeSubDomains: false },
  })
  app.addHook('onRequest', async ({ protocol }, reply) => {
    await reply.helmet(protocol === 'https' ? {} : ONLY_OVER_TLS)
    reply.header('permissions-policy', 'camera=(), geolocation=(), microphone=(), payment=(), usb=()')
  })
}
