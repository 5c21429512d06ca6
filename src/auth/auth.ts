/** Signing in: the one place that knows what it is made of. */
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { Config } from '../config/config.ts'
import { openKeyring } from '../crypto/keyring.ts'
import type { Later } from '../jobs/background-tasks.ts'
import { openOwnerMail } from '../mail/account-mail.ts'
import type { Mailer } from '../mail/mailer.ts'
import { findRouter } from '../modules/routers/repository.ts'
import { agentSessions } from '../rls/agent-transaction.ts'
import type { Identity } from '../rls/identity.ts'
import type { WithSession } from '../rls/transaction.ts'
import { accountRoutes, reactivateRoutes } from './account/routes.ts'
import { keyRoutes } from './api-keys/routes.ts'
import type { Area } from './api-keys/schema.ts'
import { collectLastUse } from './api-keys/usage.ts'
import { openLockout } from './credentials/lockout.ts'
import { invitationRoutes } from './email/invitation-routes.ts'
import { changeEmailRoutes, mailboxRoutes } from './email/routes.ts'
import { openGoogle } from './google/google.ts'
import { googleLinkRoutes } from './google/link-routes.ts'
import { googleSignInRoutes } from './google/routes.ts'
import { limitIdentities } from './guards/identity-rate-limit.ts'
import { limitAddresses } from './guards/ip-rate-limit.ts'
import { answerProven, requireAgent } from './guards/require-agent.ts'
import { requireSecondFactor } from './guards/require-second-factor.ts'
import { noteKeyUse, offerKey, requireAdmin, requireUser, requireUserOrKey } from './guards/require-user.ts'
import { openPasswords } from './passwords/hashing.ts'
import { openPasswordRules } from './passwords/policy.ts'
import { passwordRequirementRoutes, passwordRoutes } from './passwords/routes.ts'
import { secondFactorRoutes } from './second-factor/routes.ts'
import { openSecondFactor } from './second-factor/second-factor.ts'
import { openAccessTokens } from './sessions/access-tokens.ts'
import { openRefreshCookie } from './sessions/refresh-cookie.ts'
import { openRefreshTokens } from './sessions/refresh-tokens.ts'
import { loginSessionRoutes } from './sessions/routes.ts'
import { challengeRoutes } from './sign-in/challenge-routes.ts'
import { authOptionsRoutes } from './sign-in/options-routes.ts'
import { openPasswordGuesses } from './sign-in/password-guess.ts'
import { openOwnerProof } from './sign-in/reauthenticate.ts'
import { refreshRoutes } from './sign-in/refresh-routes.ts'
import { signInRoutes } from './sign-in/routes.ts'
import { openSignIn } from './sign-in/sign-in.ts'
import { openPasswordProof } from './sign-in/verify-password.ts'

export type AuthOptions = {
  app: FastifyInstance
  config: Config
  version: string
  secrets: { jwtSecret: string; jwtSecretPrevious?: string | undefined; pepper: string }
  withSession: WithSession
  mailer: Mailer
  later: Later
}

/** @returns the guards of each scope, the routes of signing in for each, and the transactions of agents */
export async function createAuth({ app, config, version, secrets, withSession, mailer, later }: AuthOptions) {
  const keyring = openKeyring({ current: secrets.jwtSecret, previous: secrets.jwtSecretPrevious })
  const accessTokens = openAccessTokens(app, { keyring, lifetime: config.accessTokenSeconds })
  const refreshTokens = openRefreshTokens(keyring)
  const passwords = openPasswords({ pepper: secrets.pepper, ...config.passwords })
  const passwordRules = openPasswordRules(config.passwords.minLength)
  const refreshCookie = openRefreshCookie({
    keys: keyring.csrfTokens,
    refreshTokens,
    origins: config.corsOrigins,
    maxDays: config.session.maxDays,
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
  const whereabouts = { appUrl: config.mail.appUrl, publicUrl: config.publicUrl }
  const ownerMail = openOwnerMail({ mailer, whereabouts, keys: keyring.addresses })
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
  const lastUse = collectLastUse({
    withSession,
    onError: (err) => app.log.warn({ err }, 'writing the last use of keys failed'),
  })
  app.decorateRequest('identity', null)
  requireSecondFactor(app, config.requireSecondFactor)

  const limitAddress = limitAddresses({ withSession, keys: keyring.addresses, ...config.rateLimits })
  const limitPerson = limitIdentities('person', config.rateLimits.person)
  const limitRouter = limitIdentities('router', config.rateLimits.router)
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
    },
    password: passwordRules.requirements,
  } as const

  return {
    withAgentTransaction: agentSessions(withSession, lastUse.note),
    stop: lastUse.stop,

    /** What a scope asks of each request before its routes. */
    guards: {
      person(scope: FastifyInstance) {
        scope.addHook('onRequest', requireUser(accessTokens))
        scope.addHook('onRequest', limitPerson)
      },
      /** A person, or a script of theirs with a personal key for the area. */
      personOrKey(scope: FastifyInstance, area: Area, options?: { readOnly: boolean }) {
        scope.addHook('onRequest', requireUserOrKey(accessTokens, area, options))
        scope.addHook('onRequest', limitPerson)
        scope.addHook('onResponse', noteKeyUse(lastUse))
        scope.addHook('onRoute', (route) => offerKey(route, area, options))
        scope.setErrorHandler(answerProven(withSession))
      },
      administrator(scope: FastifyInstance) {
        scope.addHook('onRequest', requireAdmin(accessTokens))
        scope.addHook('onRequest', limitPerson)
        scope.setErrorHandler(answerProven(withSession))
      },
      agent(scope: FastifyInstance) {
        scope.addHook('onRequest', requireAgent)
        scope.addHook('onRequest', limitRouter)
        scope.setErrorHandler(answerProven(withSession))
      },
    },

    /** For everybody: signing up and in. */
    publicRoutes: (async (scope) => {
      await scope.register(async (limited) => {
        limited.addHook('onRequest', limitAddress)
        limited.addHook('onRequest', async (request) => refreshCookie.refuseOtherPages(request))
        const shared = { prefix: '/api/auth', withSession, passwords, passwordRules, ownerMail }
        await limited.register(signInRoutes, { ...shared, signIn, provePassword, emailVerification })
        await limited.register(mailboxRoutes, { ...shared, lockout, later })
        await limited.register(googleSignInRoutes, { ...shared, google, signIn })
        await limited.register(challengeRoutes, { ...shared, signIn, secondFactor })
        await limited.register(reactivateRoutes, {
          prefix: '/api/users',
          withSession,
          signIn,
          provePassword,
          verifyGoogle,
        })
      })
      await scope.register(passwordRequirementRoutes, { prefix: '/api/auth', passwordRules })
      await scope.register(authOptionsRoutes, { prefix: '/api/auth', authOptions })
      // Without the limit on addresses: it must not sign out those who are signed in.
      await scope.register(refreshRoutes, {
        prefix: '/api/auth',
        withSession,
        signIn,
        refreshTokens,
        refreshCookie,
        lifetime,
      })
    }) satisfies FastifyPluginAsync,

    /** For a signed-in person: their account, sessions and keys. */
    personRoutes: (async (scope) => {
      const shared = { withSession, proveOwner, ownerMail }
      await scope.register(loginSessionRoutes, { ...shared, prefix: '/api/auth', refreshCookie })
      await scope.register(googleLinkRoutes, { ...shared, prefix: '/api/auth', google })
      await scope.register(secondFactorRoutes, { ...shared, prefix: '/api/auth', secondFactor })
      await scope.register(changeEmailRoutes, { ...shared, prefix: '/api/users' })
      await scope.register(accountRoutes, { ...shared, prefix: '/api/users', refreshCookie })
      await scope.register(passwordRoutes, {
        ...shared,
        prefix: '/api/users',
        passwords,
        passwordRules,
        lockout,
      })
      const routerExists = async (identity: Identity | null, id: string) =>
        (await withSession(identity, (tx) => findRouter(tx, id, config.routerOnlineMinutes), {
          readOnly: true,
        })) !== undefined
      await scope.register(keyRoutes, { ...shared, prefix: '/api/routers', holder: 'router', routerExists })
      await scope.register(keyRoutes, { ...shared, prefix: '/api/users', holder: 'person', routerExists })
    }) satisfies FastifyPluginAsync,

    /** For an administrator: inviting people. */
    administratorRoutes: (async (scope) => {
      await scope.register(invitationRoutes, { prefix: '/api/admin', withSession, ownerMail })
    }) satisfies FastifyPluginAsync,
  }
}
