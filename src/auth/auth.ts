/** The composition of everything that signing in needs. */
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { Config } from '../config/config.ts'
import { createKeyring, type MasterSecrets } from '../crypto/keyring.ts'
import type { BackgroundTasks } from '../jobs/background-tasks.ts'
import { createAccountMail } from '../mail/account-mail.ts'
import type { Mailer } from '../mail/mailer.ts'
import { findRouter } from '../modules/routers/repository.ts'
import { createAgentTransactions } from '../rls/agent-transaction.ts'
import type { Identity } from '../rls/identity.ts'
import type { WithTransaction } from '../rls/transaction.ts'
import { accountRoutes, reactivateRoutes } from './account/routes.ts'
import { keyRoutes } from './api-keys/routes.ts'
import type { Area } from './api-keys/schema.ts'
import { createKeyUsageTracker } from './api-keys/usage.ts'
import { createLockout } from './credentials/lockout.ts'
import { invitationRoutes } from './email/invitation-routes.ts'
import { changeEmailRoutes, emailRoutes } from './email/routes.ts'
import { limitByIdentity } from './guards/identity-rate-limit.ts'
import { limitByIp } from './guards/ip-rate-limit.ts'
import { authenticateBeforeValidationError, requireAgent } from './guards/require-agent.ts'
import { requireSecondFactor } from './guards/require-second-factor.ts'
import {
  documentKeyScope,
  requireAdmin,
  requireUser,
  requireUserOrKey,
  trackKeyUsage,
} from './guards/require-user.ts'
import { createPasswords } from './passwords/hashing.ts'
import { createPasswordPolicy } from './passwords/policy.ts'
import { passwordRequirementRoutes, passwordRoutes } from './passwords/routes.ts'
import { createGoogle } from './providers/google/google.ts'
import { createIdentityCodes } from './providers/identity-code.ts'
import { providerLinkRoutes } from './providers/link-routes.ts'
import { createOidcProvider } from './providers/oidc/oidc.ts'
import { providerRoutes } from './providers/routes.ts'
import { createIdentityVerifier } from './providers/verify-identity.ts'
import { secondFactorRoutes } from './second-factor/routes.ts'
import { createSecondFactor } from './second-factor/second-factor.ts'
import { createAccessTokens } from './sessions/access-tokens.ts'
import { createRefreshCookie } from './sessions/refresh-cookie.ts'
import { createRefreshTokens } from './sessions/refresh-tokens.ts'
import { loginSessionRoutes } from './sessions/routes.ts'
import { challengeRoutes } from './sign-in/challenge-routes.ts'
import { authOptionsRoutes } from './sign-in/options-routes.ts'
import { createPasswordGuesses } from './sign-in/password-guess.ts'
import { createReauthentication } from './sign-in/reauthenticate.ts'
import { refreshRoutes } from './sign-in/refresh-routes.ts'
import { signInRoutes } from './sign-in/routes.ts'
import { createSignIn } from './sign-in/sign-in.ts'
import { createPasswordVerification } from './sign-in/verify-password.ts'

/** `jwt` signs tokens. `pepper` protects stored passwords and second factors. */
export type Secrets = Record<'jwt' | 'pepper', MasterSecrets>

export type AuthOptions = {
  app: FastifyInstance
  config: Config
  version: string
  secrets: Secrets
  withTransaction: WithTransaction
  mailer: Mailer
  background: BackgroundTasks
}

/** @returns the guards of each scope, the routes of signing in for each, and the transactions of agents */
export async function createAuth({
  app,
  config,
  version,
  secrets,
  withTransaction,
  mailer,
  background,
}: AuthOptions) {
  const keyring = createKeyring(secrets.jwt)
  const accessTokens = createAccessTokens(app, { keyring, lifetime: config.accessTokenSeconds })
  const refreshTokens = createRefreshTokens(keyring)
  const passwords = createPasswords({ pepper: secrets.pepper, ...config.passwords })
  const passwordPolicy = createPasswordPolicy(config.passwords.minLength)
  const refreshCookie = createRefreshCookie({
    keys: keyring.csrfTokens,
    refreshTokens,
    origins: config.corsOrigins,
    maxDays: config.session.maxDays,
  })
  const { accessTokenSeconds, session: lifetime, emailVerification } = config
  const signIn = createSignIn({
    accessTokens,
    refreshTokens,
    refreshCookie,
    accessTokenSeconds,
    lifetime,
    emailVerification,
  })
  const lockout = createLockout({ keys: keyring.guesses, ...config.lockout })
  const secondFactor = createSecondFactor({ lockout, pepper: secrets.pepper })
  const google = config.google && (await createGoogle({ ...config.google, keyring }))
  const onRefused = (reason: string) =>
    app.log.warn({ provider: config.oidc?.name, reason }, 'identity provider refused')
  const oidc = config.oidc && createOidcProvider({ ...config.oidc, keyring, onRefused })
  const providers = { google, oidc }
  const identityCodes = createIdentityCodes(keyring.identityCodes)
  const verifyIdentity = createIdentityVerifier({ google, identityCodes })
  const whereabouts = { appUrl: config.mail.appUrl, publicUrl: config.publicUrl }
  const accountMail = createAccountMail({ mailer, whereabouts, keys: keyring.addresses })
  const guessPassword = createPasswordGuesses({ withTransaction, passwords, lockout, background })
  const reauthenticate = createReauthentication({
    withTransaction,
    guessPassword,
    lockout,
    accountMail,
    secondFactor,
    verifyIdentity,
  })
  const verifyPassword = createPasswordVerification({
    withTransaction,
    passwords,
    guessPassword,
    lockout,
    background,
    accountMail,
  })
  const keyUsage = createKeyUsageTracker({
    withTransaction,
    onError: (err) => app.log.warn({ err }, 'writing the last use of keys failed'),
  })
  app.decorateRequest('identity', null)
  requireSecondFactor(app, config.requireSecondFactor)

  const limitAddress = limitByIp({ withTransaction, keys: keyring.addresses, ...config.rateLimits })
  const limitPerson = limitByIdentity('person', config.rateLimits.person)
  const limitRouter = limitByIdentity('router', config.rateLimits.router)
  const authOptions = {
    version,
    registration: 'open',
    emailVerification: emailVerification ? 'required' : 'optional',
    secondFactor: {
      requiredFor: config.requireSecondFactor === 'off' ? 'nobody' : config.requireSecondFactor,
    },
    providers: {
      password: true,
      google: { idToken: google !== undefined, redirect: google?.flow !== undefined },
      oidc: { redirect: oidc !== undefined, name: oidc?.name ?? null },
    },
    password: passwordPolicy.requirements,
  } as const

  return {
    withAgentTransaction: createAgentTransactions(withTransaction, keyUsage.note),
    stop: keyUsage.stop,

    /** The checks that each scope makes before its routes run. */
    guards: {
      person(scope: FastifyInstance) {
        scope.addHook('onRequest', requireUser(accessTokens))
        scope.addHook('onRequest', limitPerson)
      },
      /** A person, or their script with a personal key for the area. */
      personOrKey(scope: FastifyInstance, area: Area, options?: { readOnly: boolean }) {
        scope.addHook('onRequest', requireUserOrKey(accessTokens, area, options))
        scope.addHook('onRequest', limitPerson)
        scope.addHook('onResponse', trackKeyUsage(keyUsage))
        scope.addHook('onRoute', (route) => documentKeyScope(route, area, options))
        scope.setErrorHandler(authenticateBeforeValidationError(withTransaction))
      },
      administrator(scope: FastifyInstance) {
        scope.addHook('onRequest', requireAdmin(accessTokens))
        scope.addHook('onRequest', limitPerson)
        scope.setErrorHandler(authenticateBeforeValidationError(withTransaction))
      },
      agent(scope: FastifyInstance) {
        scope.addHook('onRequest', requireAgent)
        scope.addHook('onRequest', limitRouter)
        scope.setErrorHandler(authenticateBeforeValidationError(withTransaction))
      },
    },

    /** Public routes: registration and signing in. */
    publicRoutes: (async (scope) => {
      await scope.register(async (limited) => {
        limited.addHook('onRequest', limitAddress)
        limited.addHook('onRequest', async (request) => refreshCookie.refuseOtherPages(request))
        limited.addHook('onRoute', (route) => {
          route.config = { ...route.config, isLimited: true }
        })
        const shared = { prefix: '/api/auth', withTransaction, passwords, passwordPolicy, accountMail }
        await limited.register(signInRoutes, { ...shared, signIn, verifyPassword, emailVerification })
        await limited.register(emailRoutes, { ...shared, lockout, background })
        await limited.register(providerRoutes, { ...shared, providers, identityCodes, signIn })
        await limited.register(challengeRoutes, { ...shared, signIn, secondFactor })
        await limited.register(reactivateRoutes, {
          prefix: '/api/users',
          withTransaction,
          signIn,
          verifyPassword,
          verifyIdentity,
        })
      })
      await scope.register(passwordRequirementRoutes, { prefix: '/api/auth', passwordPolicy })
      await scope.register(authOptionsRoutes, { prefix: '/api/auth', authOptions })
      // Without the limit on addresses, because that limit must not sign out people who are signed in.
      await scope.register(refreshRoutes, {
        prefix: '/api/auth',
        withTransaction,
        signIn,
        refreshTokens,
        refreshCookie,
        lifetime,
      })
    }) satisfies FastifyPluginAsync,

    /** Routes for a signed-in person: their account, login sessions and keys. */
    personRoutes: (async (scope) => {
      const shared = { withTransaction, reauthenticate, accountMail }
      await scope.register(loginSessionRoutes, { ...shared, prefix: '/api/auth', refreshCookie })
      await scope.register(providerLinkRoutes, { ...shared, prefix: '/api/auth', providers, identityCodes })
      await scope.register(secondFactorRoutes, { ...shared, prefix: '/api/auth', secondFactor })
      await scope.register(changeEmailRoutes, { ...shared, prefix: '/api/users' })
      await scope.register(accountRoutes, { ...shared, prefix: '/api/users', refreshCookie })
      await scope.register(passwordRoutes, {
        ...shared,
        prefix: '/api/users',
        passwords,
        passwordPolicy,
        lockout,
      })
      const routerExists = async (identity: Identity | null, id: string) =>
        (await withTransaction(identity, (tx) => findRouter(tx, id, config.routerOnlineMinutes), {
          readOnly: true,
        })) !== undefined
      await scope.register(keyRoutes, { ...shared, prefix: '/api/routers', holder: 'router', routerExists })
      await scope.register(keyRoutes, { ...shared, prefix: '/api/users', holder: 'person', routerExists })
    }) satisfies FastifyPluginAsync,

    /** Routes for an administrator: inviting people. */
    administratorRoutes: (async (scope) => {
      await scope.register(invitationRoutes, { prefix: '/api/admin', withTransaction, accountMail })
    }) satisfies FastifyPluginAsync,
  }
}
