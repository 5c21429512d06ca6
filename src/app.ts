/** The whole route tree on one screen: who may enter where, and what each part is handed. */
import { join } from 'node:path'
import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyInstance } from 'fastify'
import { accountRoutes, reactivateRoutes } from './auth/account/routes.ts'
import { keyRoutes } from './auth/api-keys/routes.ts'
import type { Area } from './auth/api-keys/schema.ts'
import { collectLastUse } from './auth/api-keys/usage.ts'
import { openOwnerMail } from './auth/email/account-mail.ts'
import { invitationRoutes } from './auth/email/invitation-routes.ts'
import { changeEmailRoutes, mailboxRoutes } from './auth/email/routes.ts'
import { openGoogle } from './auth/google/google.ts'
import { googleLinkRoutes } from './auth/google/link-routes.ts'
import { googleSignInRoutes } from './auth/google/routes.ts'
import { limitIdentities } from './auth/guards/identity-rate-limit.ts'
import { limitAddresses } from './auth/guards/ip-rate-limit.ts'
import { answerProven, requireAgent } from './auth/guards/require-agent.ts'
import { requireSecondFactor } from './auth/guards/require-second-factor.ts'
import {
  noteKeyUse,
  offerKey,
  requireAdmin,
  requireUser,
  requireUserOrKey,
} from './auth/guards/require-user.ts'
import { openPasswords } from './auth/passwords/hashing.ts'
import { openPasswordRules } from './auth/passwords/policy.ts'
import { passwordRequirementRoutes, passwordRoutes } from './auth/passwords/routes.ts'
import { challengeRoutes } from './auth/second-factor/challenge-routes.ts'
import { secondFactorRoutes } from './auth/second-factor/routes.ts'
import { openSecondFactor } from './auth/second-factor/second-factor.ts'
import { openAccessTokens } from './auth/sessions/access-tokens.ts'
import { openRefreshCookie } from './auth/sessions/refresh-cookie.ts'
import { openRefreshTokens } from './auth/sessions/refresh-tokens.ts'
import { loginSessionRoutes, refreshRoutes } from './auth/sessions/routes.ts'
import { openLockout } from './auth/sign-in/lockout.ts'
import { authOptionsRoutes } from './auth/sign-in/options-routes.ts'
import { openPasswordGuesses } from './auth/sign-in/password-guess.ts'
import { openOwnerProof } from './auth/sign-in/reauthenticate.ts'
import { signInRoutes } from './auth/sign-in/routes.ts'
import { openSignIn } from './auth/sign-in/sign-in.ts'
import { openPasswordProof } from './auth/sign-in/verify-password.ts'
import type { Config } from './config/config.ts'
import { openKeyring } from './crypto/keyring.ts'
import type { Migration } from './database/migrations/runner.ts'
import { databaseCheck } from './database/readiness.ts'
import { roleNames } from './database/role-names.ts'
import { parseJsonBodies } from './http/bodies.ts'
import { tagVersions } from './http/etag.ts'
import { frontPage } from './http/front-page.ts'
import { liftIdleTimeout } from './http/limits/connections.ts'
import { shedOverload } from './http/limits/overload.ts'
import { loggerOptions, logRequests } from './http/logging.ts'
import { followRoutes } from './http/methods.ts'
import { describeApi } from './http/openapi/document.ts'
import { handleErrors, ProblemDocument } from './http/problem.ts'
import { secureHeaders } from './http/secure-headers.ts'
import { answerForNode, serverOptions } from './http/server-options.ts'
import { createValidatorCompiler, refuseUnknownQueries } from './http/validation.ts'
import { type Later, openLater } from './jobs/background-tasks.ts'
import { keepHouse } from './jobs/purge.ts'
import { type Mailer, openMailer } from './mail/mailer.ts'
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
import { openPolicyWatch } from './modules/policy-api/policy-changes.ts'
import { policyRoutes } from './modules/policy-api/routes.ts'
import { findRouter } from './modules/routers/repository.ts'
import { routerRoutes } from './modules/routers/routes.ts'
import { scanRoutes } from './modules/scans/routes.ts'
import { overrideRoutes } from './modules/schedules/override-routes.ts'
import { scheduleRoutes } from './modules/schedules/routes.ts'
import { searchRoutes } from './modules/search/routes.ts'
import { settingRoutes } from './modules/settings/routes.ts'
import { agentSessions } from './rls/agent-transaction.ts'
import { openSessions, type Pools } from './rls/transaction.ts'

export type AppOptions = {
  config: Config
  version: string
  secrets: { jwtSecret: string; jwtSecretPrevious?: string | undefined; pepper: string }
  /** Three logins, three pools; the app ends none of them. */
  pools: Pools
  migrations: Migration[]
  /**
   * Aborted when the process means to stop: it is not ready any more, though it still serves; who waits is
   * answered.
   */
  closing?: AbortSignal
  /** Hears of changed policies, from this server and others on the same database; closed with the app. */
  listen?: (wake: (digest?: string) => void) => { close(): Promise<void> }
  /** Where log lines go; standard output when left out. */
  logStream?: { write(line: string): void }
  /** Where mails go; over SMTP or into files, as configured, when left out. */
  mailer?: Mailer
  /** Work that answers do not wait for. */
  later?: Later
  /**
   * When what has had its time is first removed, milliseconds; some random moment of the first minutes when
   * left out.
   */
  housekeepingAfterMs?: number
}

export async function buildApp({
  config,
  version,
  secrets,
  pools,
  migrations,
  closing = new AbortController().signal,
  listen,
  logStream,
  mailer: givenMailer,
  later: givenLater,
  housekeepingAfterMs,
}: AppOptions): Promise<FastifyInstance> {
  const logger = { ...loggerOptions(config.logLevel), ...(logStream && { stream: logStream }) }
  const app = Fastify({ ...serverOptions(config), logger }).withTypeProvider<TypeBoxTypeProvider>()

  const roles = roleNames(config.database.rolePrefix)
  const withSession = openSessions({ ...pools, roles, namedStatements: config.database.namedStatements })
  const keyring = openKeyring({ current: secrets.jwtSecret, previous: secrets.jwtSecretPrevious })
  const accessTokens = openAccessTokens(app, { keyring, lifetime: config.accessTokenSeconds })
  const refreshTokens = openRefreshTokens(keyring)
  const passwords = openPasswords({ pepper: secrets.pepper, ...config.passwords })
  const passwordRules = openPasswordRules(config.passwords.minLength)
  const { maxDays } = config.session
  const refreshCookie = openRefreshCookie({
    keys: keyring.csrfTokens,
    refreshTokens,
    origins: config.corsOrigins,
    maxDays,
  })
  const { accessTokenSeconds, session: lifetime, emailVerification } = config
  const signIn = openSignIn({
    accessTokens,
    refreshTokens,
    refreshCookie,
    accessTokenSeconds,
    lifetime,
    emailVerification,
  })
  const lockout = openLockout({ keys: keyring.guesses, ...config.lockout })
  const secondFactor = openSecondFactor({ lockout, pepper: secrets.pepper })
  const google = config.google && (await openGoogle({ ...config.google, keyring }))
  const verifyGoogle = google?.verifyFresh
  const later = givenLater ?? openLater((err) => app.log.warn({ err }, 'background task failed'))
  const mailer =
    givenMailer ??
    openMailer({
      ...config.mail,
      outbox: join(config.dataDir, 'outbox'),
      log: app.log,
      closeMs: config.shutdown.drainMs,
    })
  const ownerMail = openOwnerMail({
    mailer,
    whereabouts: { appUrl: config.mail.appUrl, publicUrl: config.publicUrl },
    keys: keyring.addresses,
  })
  const guessPassword = openPasswordGuesses({ withSession, passwords, lockout, later })
  const proveOwner = openOwnerProof({
    withSession,
    guessPassword,
    lockout,
    ownerMail,
    secondFactor,
    verifyGoogle,
  })
  const provePassword = openPasswordProof({
    withSession,
    passwords,
    guessPassword,
    lockout,
    later,
    ownerMail,
  })
  const stopHousekeeping = keepHouse({
    withSession,
    auditDays: config.auditRetentionDays,
    scanDays: config.scans.retentionDays,
    firstAfterMs: housekeepingAfterMs,
    onError: (err) => app.log.warn({ err }, 'purge failed'),
  })
  const lastUse = collectLastUse({
    withSession,
    onError: (err) => app.log.warn({ err }, 'writing the last use of keys failed'),
  })
  const asAgent = agentSessions(withSession, lastUse.note)
  const policyWatch = openPolicyWatch(closing)
  const notifications = listen?.(policyWatch.wake)
  const { routerOnlineMinutes: onlineMinutes } = config

  app.decorateRequest('identity', null)
  app.addSchema(ProblemDocument)
  app.setValidatorCompiler(createValidatorCompiler())
  handleErrors(app)
  // First, so that every refusal has them.
  await secureHeaders(app)
  answerForNode(app)
  logRequests(app)
  parseJsonBodies(app)
  refuseUnknownQueries(app)
  tagVersions(app)
  const addRefusals = followRoutes(app)
  liftIdleTimeout(app)
  requireSecondFactor(app, config.requireSecondFactor)
  app.addHook('onSend', async (request, reply) => {
    reply.header('x-request-id', request.id)
    // Tokens, keys and people's homes are nothing for a cache; what may be kept says so itself.
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
    // A connection kept alive would keep the process from leaving.
    if (closing.aborted) reply.header('connection', 'close')
  })
  app.addHook('onClose', async () => stopHousekeeping())
  app.addHook(
    'onClose',
    async () =>
      void (await Promise.all([
        lastUse.stop(),
        later.close().then(() => mailer.close()),
        notifications?.close(),
      ])),
  )
  await app.register(cookie)
  await app.register(cors, {
    origin: config.corsOrigins,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    // The refresh cookie of apps that want one; to exact origins only.
    credentials: config.corsOrigins.length > 0,
    exposedHeaders: [
      'x-request-id',
      'retry-after',
      'ratelimit',
      'ratelimit-policy',
      'location',
      'etag',
      'allow',
    ],
    maxAge: 600,
    // OPTIONS that is no preflight would be refused in a form of the plugin's own.
    strictPreflight: false,
  })
  shedOverload(app, config.maxEventLoopDelayMs)
  frontPage(app)
  if (config.apiDocs)
    await describeApi(app, { version, url: config.publicUrl ?? '/', perMinute: config.rateLimits.documents })

  const checkDatabase = databaseCheck([pools.server, pools.auth, pools.admin], migrations)
  await app.register(healthRoutes, {
    prefix: '/health',
    version,
    details: config.healthDetails,
    checkDatabase,
    isClosing: () => closing.aborted,
  })

  const limitPersons = limitIdentities('person', config.rateLimits.person)
  const limitRouters = limitIdentities('router', config.rateLimits.router)
  await app.register(async function anyone(scope) {
    scope.addHook('onRequest', limitAddresses({ withSession, keys: keyring.addresses, ...config.rateLimits }))
    scope.addHook('onRequest', async (request) => refreshCookie.refuseOtherPages(request))
    await scope.register(signInRoutes, {
      prefix: '/api/auth',
      withSession,
      signIn,
      passwords,
      provePassword,
      passwordRules,
      ownerMail,
      emailVerification,
    })
    await scope.register(mailboxRoutes, {
      prefix: '/api/auth',
      withSession,
      passwords,
      passwordRules,
      lockout,
      ownerMail,
      later,
    })
    await scope.register(reactivateRoutes, {
      prefix: '/api/users',
      withSession,
      signIn,
      provePassword,
      verifyGoogle,
    })
    await scope.register(googleSignInRoutes, { prefix: '/api/auth', withSession, google, signIn, ownerMail })
    await scope.register(challengeRoutes, {
      prefix: '/api/auth',
      withSession,
      signIn,
      secondFactor,
      ownerMail,
    })
  })
  await app.register(passwordRequirementRoutes, { prefix: '/api/auth', passwordRules })
  const authOptions = {
    version,
    registration: 'open' as const,
    emailVerification: emailVerification ? ('required' as const) : ('optional' as const),
    secondFactor: {
      requiredFor: config.requireSecondFactor === 'off' ? ('nobody' as const) : config.requireSecondFactor,
    },
    providers: {
      password: true,
      google: { idToken: google !== undefined, redirect: google?.flow !== undefined },
    },
    password: passwordRules.requirements,
  }
  await app.register(authOptionsRoutes, { prefix: '/api/auth', authOptions })
  // Apart: no limit on strangers may keep somebody from going on who is signed in.
  await app.register(refreshRoutes, {
    prefix: '/api/auth',
    withSession,
    signIn,
    refreshTokens,
    refreshCookie,
    lifetime,
  })

  await app.register(async function users(scope) {
    scope.addHook('onRequest', requireUser(accessTokens))
    scope.addHook('onRequest', limitPersons)
    const routerExists: Parameters<typeof keyRoutes>[1]['routerExists'] = async (identity, id) =>
      (await withSession(identity, (tx) => findRouter(tx, id, onlineMinutes), { readOnly: true })) !==
      undefined
    await scope.register(loginSessionRoutes, { prefix: '/api/auth', withSession, refreshCookie, proveOwner })
    await scope.register(googleLinkRoutes, { prefix: '/api/auth', withSession, google, proveOwner })
    await scope.register(secondFactorRoutes, {
      prefix: '/api/auth',
      withSession,
      secondFactor,
      proveOwner,
      ownerMail,
    })
    await scope.register(changeEmailRoutes, { prefix: '/api/users', withSession, proveOwner, ownerMail })
    await scope.register(accountRoutes, {
      prefix: '/api/users',
      withSession,
      proveOwner,
      refreshCookie,
      ownerMail,
    })
    await scope.register(passwordRoutes, {
      prefix: '/api/users',
      withSession,
      passwords,
      passwordRules,
      proveOwner,
      lockout,
      ownerMail,
    })
    await scope.register(keyRoutes, {
      prefix: '/api/routers',
      withSession,
      proveOwner,
      ownerMail,
      holder: 'router',
      routerExists,
    })
    await scope.register(ownAuditRoutes, { prefix: '/api/users', withSession })
    await scope.register(keyRoutes, {
      prefix: '/api/users',
      withSession,
      proveOwner,
      ownerMail,
      holder: 'person',
      routerExists,
    })
  })

  /** What a person owns. Scripts of theirs may enter too, with a personal key for the area. */
  const homes = (
    area: Area,
    enter: (scope: FastifyInstance) => PromiseLike<unknown>,
    options?: { readOnly: boolean },
  ) =>
    app.register(async function homes(scope) {
      scope.addHook('onRequest', requireUserOrKey(accessTokens, area, options))
      scope.addHook('onRequest', limitPersons)
      scope.addHook('onResponse', noteKeyUse(lastUse))
      scope.addHook('onRoute', (route) => offerKey(route, area, options))
      scope.setErrorHandler(answerProven(withSession))
      await enter(scope)
    })
  await homes('routers', (scope) =>
    scope.register(routerRoutes, { prefix: '/api/routers', withSession, onlineMinutes }),
  )
  await homes('policy', (scope) => scope.register(policyRoutes, { prefix: '/api', withSession }), {
    readOnly: true,
  })
  await homes('devices', async (scope) => {
    await scope.register(inboxRoutes, { prefix: '/api', withSession, onlineMinutes })
    await scope.register(mergeRoutes, { prefix: '/api/devices', withSession, onlineMinutes })
    await scope.register(deviceChangeRoutes, { prefix: '/api/devices', withSession })
    await scope.register(manufacturerRoutes, { prefix: '/api/manufacturers', withSession })
    await scope.register(searchRoutes, { prefix: '/api', withSession, onlineMinutes })
    await scope.register(deviceRoutes, { prefix: '/api/devices', withSession, onlineMinutes })
  })
  await homes('lists', async (scope) => {
    for (const list of ['whitelist', 'blacklist'] as const)
      await scope.register(accessListRoutes, { prefix: `/api/${list}`, withSession, list })
  })
  await homes('blocks', (scope) => scope.register(blockRoutes, { prefix: '/api/blocks', withSession }))
  await homes('groups', (scope) => scope.register(groupRoutes, { prefix: '/api/groups', withSession }))
  await homes('settings', (scope) => scope.register(settingRoutes, { prefix: '/api/settings', withSession }))
  await homes('schedules', async (scope) => {
    await scope.register(scheduleRoutes, { prefix: '/api/schedules', withSession })
    await scope.register(overrideRoutes, { prefix: '/api/devices', withSession })
  })

  await app.register(async function admins(scope) {
    scope.addHook('onRequest', requireAdmin(accessTokens))
    scope.addHook('onRequest', limitPersons)
    scope.setErrorHandler(answerProven(withSession))
    await scope.register(adminRoutes, { prefix: '/api/admin', withSession, onlineMinutes })
    await scope.register(invitationRoutes, { prefix: '/api/admin', withSession, ownerMail })
    await scope.register(auditRoutes, { prefix: '/api/admin', withSession })
  })

  await app.register(async function agents(scope) {
    scope.addHook('onRequest', requireAgent)
    scope.addHook('onRequest', limitRouters)
    scope.setErrorHandler(answerProven(withSession))
    await scope.register(scanRoutes, {
      prefix: '/api/agent',
      asAgent,
      bodyLimit: config.scans.bodyLimit,
      maxDevices: config.scans.maxDevices,
    })
    const looksAtOnce = Math.max(1, Math.floor(config.database.poolSize / 2))
    await scope.register(policyAgentRoutes, {
      prefix: '/api/agent',
      asAgent,
      policyWatch,
      closing,
      onlineMinutes,
      looksAtOnce,
    })
  })

  addRefusals()
  return app
}
