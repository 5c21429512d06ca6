/** Builds the services and the whole route tree: who may call which routes, and what each part receives. */
import { join } from 'node:path'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import type { Area } from './auth/api-keys/schema.ts'
import { createAuth, type Secrets } from './auth/auth.ts'
import type { Config } from './config/config.ts'
import type { Migration } from './database/migrations/runner.ts'
import { databaseCheck } from './database/readiness.ts'
import { roleNames } from './database/role-names.ts'
import { createServer } from './http/server.ts'
import { type BackgroundTasks, createBackgroundTasks } from './jobs/background-tasks.ts'
import { schedulePurge } from './jobs/purge.ts'
import { createMailer, type Mailer } from './mail/mailer.ts'
import { accessListRoutes } from './modules/access-lists/routes.ts'
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
import { createTransactions, type Pools } from './rls/transaction.ts'

export type AppOptions = {
  config: Config
  version: string
  secrets: Secrets
  /** One pool for each of the three logins. The app closes none of them. */
  pools: Pools
  migrations: Migration[]
  /**
   * Aborted when the process begins to stop. The server then still serves, is no longer ready, and answers
   * waiting requests.
   */
  closing?: AbortSignal
  /**
   * Reports changed policies, from this server and from others on the same database. It is closed with the
   * app.
   */
  listen?: (wake: (digest?: string) => void) => { close(): Promise<void> }
  /** Receives the log lines. Default: standard output. */
  logStream?: { write(line: string): void }
  /** Sends the mails. Default: over SMTP or into files, as configured. */
  mailer?: Mailer
  /** Work that responses do not wait for. */
  background?: BackgroundTasks
  /** Milliseconds until the first purge. Default: a random moment in the first minutes. */
  firstPurgeAfterMs?: number
}

export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { config, version, secrets, pools, closing = new AbortController().signal } = options
  const { app, refuseOtherMethods } = await createServer({ ...options, closing })
  const { namedStatements, rolePrefix, poolSize } = config.database
  const withTransaction = createTransactions({ ...pools, roles: roleNames(rolePrefix), namedStatements })
  const background =
    options.background ?? createBackgroundTasks((err) => app.log.warn({ err }, 'background task failed'))
  const outbox = join(config.dataDir, 'outbox')
  const closeMs = config.shutdown.drainMs
  const mailer = options.mailer ?? createMailer({ ...config.mail, outbox, log: app.log, closeMs })
  const stopPurges = schedulePurge({
    withTransaction,
    auditDays: config.auditRetentionDays,
    scanDays: config.scans.retentionDays,
    firstAfterMs: options.firstPurgeAfterMs,
    onError: (err) => app.log.warn({ err }, 'purge failed'),
  })
  const policyChanges = createPolicyChanges(closing)
  const notifications = options.listen?.(policyChanges.publish)
  const auth = await createAuth({ app, config, version, secrets, withTransaction, mailer, background })
  app.addHook('onClose', async () => {
    stopPurges()
    await Promise.all([auth.stop(), background.close().then(() => mailer.close()), notifications?.close()])
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

  // Routes for a person's own resources. A script may call them with a personal key for the area.
  type Resource = [routes: FastifyPluginAsyncTypebox<typeof shared>, prefix: string]
  const resources = (area: Area, within: Resource[], readOnly = false) =>
    app.register(async (scope) => {
      auth.guards.personOrKey(scope, area, { readOnly })
      for (const [routes, prefix] of within) await scope.register(routes, { prefix, ...shared })
    })
  await resources('routers', [[routerRoutes, '/api/routers']])
  await resources('policy', [[policyRoutes, '/api']], true)
  await resources('devices', [
    [inboxRoutes, '/api'],
    [mergeRoutes, '/api/devices'],
    [deviceChangeRoutes, '/api/devices'],
    [manufacturerRoutes, '/api/manufacturers'],
    [searchRoutes, '/api'],
    [deviceRoutes, '/api/devices'],
  ])
  await resources('lists', [
    [(scope, given) => accessListRoutes(scope, { ...given, list: 'whitelist' }), '/api/whitelist'],
    [(scope, given) => accessListRoutes(scope, { ...given, list: 'blacklist' }), '/api/blacklist'],
  ])
  await resources('blocks', [[blockRoutes, '/api/blocks']])
  await resources('groups', [[groupRoutes, '/api/groups']])
  await resources('settings', [[settingRoutes, '/api/settings']])
  await resources('schedules', [
    [scheduleRoutes, '/api/schedules'],
    [overrideRoutes, '/api/devices'],
  ])

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
