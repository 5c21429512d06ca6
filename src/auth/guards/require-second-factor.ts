/** Who must have a second factor (`REQUIRE_SECOND_FACTOR`), and what they may do before they have one. */
import type { FastifyInstance } from 'fastify'

export type FactorRequirement = 'off' | 'admins' | 'everyone'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What it takes to set a second factor up, and to leave. Confirming the address and refreshing need no identity. */
    withoutSecondFactor?: true
  }
}

/**
 * For the whole server, so that no group of routes can forget it: after the guards, which say who asks.
 * Whether the person has a factor, the transaction asks the database as it begins. Keys are not asked: they
 * open no account, and those from before go on.
 */
export function requireSecondFactor(app: FastifyInstance, of: FactorRequirement): void {
  if (of === 'off') return
  app.addHook('preParsing', async (request) => {
    const { identity, routeOptions } = request
    if (identity?.kind !== 'user' && identity?.kind !== 'admin') return
    if (routeOptions.config.withoutSecondFactor) return
    request.identity = { ...identity, factorRequiredOf: of }
  })
}
