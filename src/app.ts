/** Builds the services and the whole route tree: who may call which routes, and what each part receives. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import type { Area } from './auth/api-keys/schema.ts'
import { createAuth, type Secrets } from './auth/auth.ts'
import type { Config } from './config/config.ts'
import type { Migration } from './database/migrations/runner.ts'
import { databaseCheck } from './database/readiness.ts'
import { roleNames } from './database/role-names.ts'
import { createServer } from './http/server.ts'
import { createJobs, type JobOptions } from './jobs/jobs.ts'
import { blacklistRoutes, whitelistRoutes } from './modules/access-lists/routes.ts'
import { adminRoutes } from './modules/admin/routes.ts'
import { auditRoutes, ownAuditRoutes } from './modules/audit/routes.ts'
import { blockRoutes } from './modules/blocks/routes.ts'
import { deviceChangeRoutes } from './modules/devices/changes-routes.ts'
import { inboxRoutes } from './modules/devices/inbox-routes.ts'
import { mergeRoutes } from './modules/devices/merge-routes.ts'
import { deviceRoutes } from './modules/devices/routes.ts'
import { groupRoutes } from './modules/groups/routes.ts'
import { healthRoutes } from './modules/health/routes.ts'
import { manufacturerRoutes } from './modules/manufacturers/routes.ts'
import { policyAgentRoutes } from './modules/policy-api/agent-routes.ts'
import { createPolicyChanges } from './modules/policy-api/policy-changes.ts'
import { policyRoutes } from './modules/policy-api/routes.ts'
import { routerRoutes } from './modules/routers/routes.ts'
import { scanRoutes } from './modules/scans/routes.ts'
import { overrideRoutes } from './modules/schedules/override-routes.ts'
import { scheduleRoutes } from './modules/schedules/routes.ts'
import { searchRoutes } from './modules/search/routes.ts'
import { settingRoutes } from './modules/settings/routes.ts'
import { createTransactions, type Pools, type WithTransaction } from './rls/transaction.ts'

export type AppOptions = JobOptions & {
  config: Config
  version: string
  secrets: Secrets
  /** One pool for each of the three logins. The app closes none of them. */
  pools: Pools
  migrations: Migration[]
  /** Aborted when the process begins to stop: the server still serves, and answers waiting requests at once. */
  closing?: AbortSignal
  /** Reports changed policies, also from other servers on the database. It is closed with the app. */
  listen?: (wake: (digest?: string) => void) => { close(): Promise<void> }
  /** Receives the log lines. Default: standard output. */
  logStream?: { write(line: string): void }
}

type Shared = { withTransaction: WithTransaction; onlineMinutes: number }
/** What people own. */
const RESOURCES: [area: Area, routes: FastifyPluginAsyncTypebox<Shared>, prefix: string][] = [
  ['routers', routerRoutes, '/api/routers'],
  ['policy', policyRoutes, '/api'],
  ['devices', inboxRoutes, '/api'],
  ['devices', mergeRoutes, '/api/devices'],
  ['devices', deviceChangeRoutes, '/api/devices'],
  ['devices', manufacturerRoutes, '/api/manufacturers'],
  ['devices', searchRoutes, '/api'],
  ['devices', deviceRoutes, '/api/devices'],
  ['lists', whitelistRoutes, '/api/whitelist'],
  ['lists', blacklistRoutes, '/api/blacklist'],
  ['blocks', blockRoutes, '/api/blocks'],
  ['groups', groupRoutes, '/api/groups'],
  ['settings', settingRoutes, '/api/settings'],
  ['schedules', scheduleRoutes, '/api/schedules'],
  ['schedules', overrideRoutes, '/api/devices'],
]

export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { config, version, secrets, pools, closing = new AbortController().signal } = options
  const { app, refuseOtherMethods } = await createServer({ ...options, closing })
  const { namedStatements, rolePrefix, poolSize } = config.database
  const withTransaction = createTransactions({ ...pools, roles: roleNames(rolePrefix), namedStatements })
  const jobs = createJobs(config, app.log, withTransaction, options)
  const policyChanges = createPolicyChanges(closing)
  const notifications = options.listen?.(policyChanges.publish)
  const auth = await createAuth({ app, config, version, secrets, withTransaction, ...jobs })
  app.addHook('onClose', async () => {
    await Promise.all([auth.stop(), jobs.stop(), notifications?.close()])
  })
  const { routerOnlineMinutes: onlineMinutes } = config
  const shared = { withTransaction, onlineMinutes }

  // Routes that need no credentials.
  const checkDatabase = databaseCheck([pools.server, pools.auth, pools.admin], options.migrations)
  const isClosing = () => closing.aborted
  const details = config.healthDetails
  await app.register(healthRoutes, { prefix: '/health', version, details, checkDatabase, isClosing })
  await app.register(auth.publicRoutes)

  // Routes for a signed-in person and their account.
  await app.register(async (scope) => {
    auth.guards.person(scope)
    await scope.register(auth.personRoutes)
    await scope.register(ownAuditRoutes, { prefix: '/api/users', withTransaction })
  })

  // Routes for what a person owns: for the person, and for scripts with a personal key for the area.
  for (const [area, routes, prefix] of RESOURCES)
    await app.register(async (scope) => {
      // A preview of a policy is a POST, and changes nothing.
      auth.guards.personOrKey(scope, area, { readOnly: area === 'policy' })
      await scope.register(routes, { prefix, ...shared })
    })

  // Routes for administrators.
  await app.register(async (scope) => {
    auth.guards.administrator(scope)
    await scope.register(auth.administratorRoutes)
    await scope.register(adminRoutes, { prefix: '/api/admin', ...shared })
    await scope.register(auditRoutes, { prefix: '/api/admin', ...shared })
  })

  // Routes for the agent of a router.
  await app.register(async (scope) => {
    auth.guards.agent(scope)
    const agent = { prefix: '/api/agent', withAgentTransaction: auth.withAgentTransaction }
    const looksAtOnce = Math.max(1, Math.floor(poolSize / 2))
    await scope.register(scanRoutes, { ...agent, ...config.scans })
    await scope.register(policyAgentRoutes, { ...agent, policyChanges, closing, onlineMinutes, looksAtOnce })
  })

  refuseOtherMethods()
  return app
}
