/** Sets headers that tell browsers what they may do with a response. */
import helmet from '@fastify/helmet'
import type { FastifyInstance } from 'fastify'

/**
 * The first must not be sent over plain HTTP (RFC 6797, 7.2). Browsers ignore the others there and warn on
 * the console.
 */
const ONLY_OVER_TLS = {
  strictTransportSecurity: false,
  crossOriginOpenerPolicy: false,
  originAgentCluster: false,
} as const

export async function secureHeaders(app: FastifyInstance): Promise<void> {
  await app.register(helmet, {
    // `reply.helmet` sets them for each request, depending on its scheme.
    global: false,
    contentSecurityPolicy: {
      directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] },
      useDefaults: false,
    },
    xFrameOptions: { action: 'deny' },
    // NetPilot does not know whether other hosts below this name support TLS.
    strictTransportSecurity: { includeSubDomains: false },
  })
  app.addHook('onRequest', async ({ protocol }, reply) => {
    await reply.helmet(protocol === 'https' ? {} : ONLY_OVER_TLS)
    reply.header('permissions-policy', 'camera=(), geolocation=(), microphone=(), payment=(), usb=()')
  })
}
