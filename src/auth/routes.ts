import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { problem } from '../http/problem.ts'
import { answers } from '../http/schemas.ts'
import { canonicalIp } from '../modules/devices/ip.ts'
import { findMe } from '../modules/users/repository.ts'
import { User } from '../modules/users/schema.ts'
import type { Tx, WithSession } from '../rls/session.ts'
import type { AccessTokens } from './access-tokens.ts'
import { type PasswordProblem, passwordProblem } from './password-rules.ts'
import type { Passwords } from './passwords.ts'
import type { RefreshClaim, RefreshTokens } from './refresh-tokens.ts'
import {
  addLoginSession,
  addUser,
  endLoginSession,
  findAccountByEmail,
  findActiveUser,
  findLiveSession,
  type LoginSession,
  rotateLoginSession,
  type SessionLifetime,
  upgradePasswordHash,
  type Visitor,
} from './repository.ts'
import { Login, Refresh, Register, Tokens } from './schema.ts'

export type AuthRoutesOptions = {
  withSession: WithSession
  accessTokens: AccessTokens
  refreshTokens: RefreshTokens
  passwords: Passwords
  /** Seconds. */
  accessTokenSeconds: number
  session: SessionLifetime & {
    /** For so long a refresh token that was just used answers with the same successor again: a lost reply, or a second tab. Seconds. */
    refreshGraceSeconds: number
  }
  minPasswordLength: number
}

const SIGN_IN = { kind: 'auth' } as const

const PASSWORD_FAULTS: Record<PasswordProblem, string> = {
  malformed: 'holds a character that cannot be stored',
  'too-short': 'is too short',
  'too-long': 'is too long',
  'context-word': 'says little more than your name, your address or the name of this service',
}

/** For anyone: how one becomes somebody. */
export const signInRoutes: FastifyPluginAsyncTypebox<AuthRoutesOptions> = async (app, options) => {
  const { withSession, refreshTokens, passwords, session: lifetime } = options
  const documented = { tags: ['auth'] }

  app.post(
    '/register',
    { schema: { ...documented, summary: 'Make an account', body: Register, response: answers({ 201: Tokens }) } },
    async (request, reply) => {
      const { password, fullName = null } = request.body
      const email = normalised(request.body.email)
      const fault = passwordProblem(password, { email, fullName, minLength: options.minPasswordLength })
      if (fault) throw problem('invalid-request', { errors: [{ path: '/body/password', message: PASSWORD_FAULTS[fault] }] })
      const hash = await passwords.hash(password)
      const signedIn = await withSession(SIGN_IN, async (tx) => {
        const user = await addUser(tx, email, fullName, hash)
        if (!user) throw problem('email-taken')
        return { user, session: await addLoginSession(tx, user.id, visitorOf(request), lifetime) }
      })
      return reply.code(201).send(tokensFor(signedIn, options))
    },
  )

  app.post(
    '/login',
    { schema: { ...documented, summary: 'Sign in', body: Login, response: answers({ 200: Tokens }) } },
    async (request) => {
      const { password } = request.body
      const account = await withSession(SIGN_IN, (tx) => findAccountByEmail(tx, normalised(request.body.email)), { readOnly: true })
      // Whatever is missing (the account, its password, its being active), one bcrypt runs and the answer is the same.
      const stored = account?.isActive ? (account.passwordHash ?? undefined) : undefined
      const { ok, upgrade } = await passwords.verify(password, stored)
      if (!ok || !account || stored === undefined) throw problem('invalid-credentials')
      const better = upgrade ? await passwords.hash(password) : undefined
      const session = await withSession(SIGN_IN, async (tx) => {
        if (better) await upgradePasswordHash(tx, account.id, stored, better)
        return addLoginSession(tx, account.id, visitorOf(request), lifetime)
      })
      return tokensFor({ user: account, session }, options)
    },
  )

  app.post(
    '/refresh',
    {
      schema: {
        ...documented,
        summary: 'Exchange a refresh token for new tokens',
        description: `Each refresh token is used once. Using it again within ${lifetime.refreshGraceSeconds} s (a lost reply, a second tab) answers with the same successor; later it ends the login session, because somebody else may have used it.`,
        body: Refresh,
        response: answers({ 200: Tokens }),
      },
    },
    async (request) => {
      const claim = refreshTokens.read(request.body.refreshToken)
      if (!claim) throw problem('unauthenticated')
      const refreshed = await withSession(SIGN_IN, (tx) => refresh(tx, claim, lifetime))
      if (!refreshed) throw problem('unauthenticated')
      return tokensFor(refreshed, options)
    },
  )
}

/** For the signed-in. */
export const accountRoutes: FastifyPluginAsyncTypebox<{ withSession: WithSession }> = async (app, { withSession }) => {
  const documented = { tags: ['auth'], security: [{ person: [] }] }

  app.get('/me', { schema: { ...documented, summary: 'Who am I', response: answers({ 200: User }) } }, async (request) => {
    const me = await withSession(request.identity, findMe, { readOnly: true })
    if (!me) throw problem('unauthenticated')
    return me
  })

  app.post(
    '/logout',
    { schema: { ...documented, summary: 'End this login session and every token of it', response: answers({ 204: Type.Null() }) } },
    async (request, reply) => {
      const { identity } = request
      if (identity?.kind !== 'user') throw problem('unauthenticated')
      const { userId, sessionId } = identity
      await withSession({ kind: 'auth', userId, sessionId }, (tx) => endLoginSession(tx, userId, sessionId, 'logout'))
      return reply.code(204).send(null)
    },
  )
}

type SignedIn = { user: Static<typeof User>; session: LoginSession }

/** The next tokens of a session. A token that is neither the newest nor just replaced ends the session, and the answer is undefined. */
async function refresh(
  tx: Tx,
  { userId, sessionId, counter }: RefreshClaim,
  lifetime: AuthRoutesOptions['session'],
): Promise<SignedIn | undefined> {
  const user = await findActiveUser(tx, userId)
  if (!user) return undefined
  const rotated = await rotateLoginSession(tx, userId, sessionId, counter, lifetime.idleDays)
  if (rotated) return { user, session: rotated }
  const live = await findLiveSession(tx, userId, sessionId)
  if (!live) return undefined
  if (live.counter === counter + 1 && live.secondsSinceRotation <= lifetime.refreshGraceSeconds) return { user, session: live }
  await endLoginSession(tx, userId, sessionId, 'reuse')
  return undefined
}

function tokensFor(
  { user, session }: SignedIn,
  { accessTokens, refreshTokens, accessTokenSeconds }: AuthRoutesOptions,
): Static<typeof Tokens> {
  return {
    user,
    accessToken: accessTokens.sign({ userId: user.id, sessionId: session.id }),
    refreshToken: refreshTokens.issue({ userId: user.id, sessionId: session.id, counter: session.counter }),
    tokenType: 'Bearer',
    expiresIn: accessTokenSeconds,
  }
}

const normalised = (email: string) => email.trim().toLowerCase()

const MAX_DEVICE_LENGTH = 200

const visitorOf = (request: FastifyRequest): Visitor => ({
  device: request.headers['user-agent']?.slice(0, MAX_DEVICE_LENGTH) ?? null,
  // A link-local zone or a proxy's nonsense is no reason to refuse somebody.
  address: canonicalIp(request.ip) ?? null,
})
