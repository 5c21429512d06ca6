/**
 * Defines which people must have a second factor (`REQUIRE_SECOND_FACTOR`), and what they may do without one.
 */
import type { FastifyInstance } from 'fastify'

export type FactorRequirement = 'off' | 'admins' | 'everyone'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * Marks the routes that a person needs to set up a second factor or to leave. Confirming the address
     * and refreshing need no identity.
     */
    withoutSecondFactor?: true
  }
}

/**
 * Applies to the whole server, so that no group of routes can omit it. It runs after the guards, which
 * identify the caller. The transaction asks the database at its start whether the person has a factor. Keys
 * need no factor: they give no access to the account, and existing keys remain valid.
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
