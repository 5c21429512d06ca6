import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { problem } from '../http/problem.ts'
import { answers } from '../http/schemas.ts'
import { findMe } from '../modules/users/repository.ts'
import { User } from '../modules/users/schema.ts'
import type { Tx, WithSession } from '../rls/session.ts'
import { recordAct } from './audit.ts'
import type { Later } from './later.ts'
import type { Lockout } from './lockout.ts'
import { type PasswordProblem, passwordProblem } from './password-rules.ts'
import type { Passwords } from './passwords.ts'
import type { RefreshClaim, RefreshTokens } from './refresh-tokens.ts'
import {
  addUser,
  endLoginSession,
  findAccountByEmail,
  findActiveUser,
  findLiveSession,
  rotateLoginSession,
  type SessionLifetime,
  upgradePasswordHash,
} from './repository.ts'
import { Login, Refresh, Register, Tokens } from './schema.ts'
import type { Admitted, SignIn } from './sign-in.ts'

export type SignInRoutesOptions = {
  withSession: WithSession
  signIn: SignIn
  refreshTokens: RefreshTokens
  passwords: Passwords
  lockout: Lockout
  later: Later
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
export const signInRoutes: FastifyPluginAsyncTypebox<SignInRoutesOptions> = async (app, options) => {
  const { withSession, signIn, refreshTokens, passwords, lockout, later, session: lifetime } = options
  const documented = { tags: ['auth'] }

  app.post(
    '/register',
    { schema: { ...documented, operationId: 'register', summary: 'Make an account', body: Register, response: answers({ 201: Tokens }) } },
    async (request, reply) => {
      const { password, fullName = null } = request.body
      const email = normalised(request.body.email)
      const fault = passwordProblem(password, { email, fullName, minLength: options.minPasswordLength })
      if (fault) throw problem('invalid-request', { errors: [{ path: '/body/password', message: PASSWORD_FAULTS[fault] }] })
      const hash = await passwords.hash(password)
      const admitted = await withSession(SIGN_IN, async (tx) => {
        const user = await addUser(tx, email, fullName, hash)
        if (!user) throw problem('email-taken')
        return signIn.admit(tx, { ...user, hasSecondFactor: false }, request)
      })
      return reply.code(201).send(signIn.answer(admitted, request, reply))
    },
  )

  app.post(
    '/login',
    {
      schema: {
        ...documented,
        operationId: 'login',
        summary: 'Sign in',
        description:
          'After five failures nobody can sign in to that account with a password for five minutes (429 `locked-out`), whether or not it exists.',
        body: Login,
        response: answers({ 200: Tokens }),
      },
    },
    async (request, reply) => {
      const { password } = request.body
      const guess = { at: 'login', email: normalised(request.body.email) } as const
      const { account, isLast } = await withSession(SIGN_IN, async (tx) => ({
        ...(await lockout.count(tx, guess)),
        account: await findAccountByEmail(tx, guess.email),
      }))
      // Whatever is missing (the account, its password, its being active), one bcrypt runs and the answer is the same.
      const stored = account?.isActive ? (account.passwordHash ?? undefined) : undefined
      const { ok, upgrade } = await passwords.verify(password, stored)
      if (!ok || !account || stored === undefined) {
        if (account)
          later.run(() => withSession(SIGN_IN, (tx) => recordAct(tx, account.id, request, 'failure', isLast ? { lockedOut: true } : null)))
        throw problem('invalid-credentials')
      }
      const better = upgrade ? await passwords.hash(password) : undefined
      const admitted = await withSession(SIGN_IN, async (tx) => {
        await lockout.clear(tx, guess)
        if (better) await upgradePasswordHash(tx, account.id, stored, better)
        return signIn.admit(tx, account, request)
      })
      return signIn.answer(admitted, request, reply)
    },
  )

  app.post(
    '/refresh',
    {
      schema: {
        ...documented,
        operationId: 'refresh',
        summary: 'Exchange a refresh token for new tokens',
        description: `Each refresh token is used once. Using it again within ${lifetime.refreshGraceSeconds} s (a lost reply, a second tab) answers with the same successor; later it ends the login session, because somebody else may have used it.`,
        body: Refresh,
        response: answers({ 200: Tokens }),
      },
    },
    async (request, reply) => {
      const claim = refreshTokens.read(request.body.refreshToken)
      if (!claim) throw problem('unauthenticated')
      const refreshed = await withSession(SIGN_IN, (tx) => refresh(tx, claim, request, lifetime))
      if (!refreshed) throw problem('unauthenticated')
      return signIn.answer(refreshed, request, reply)
    },
  )
}

/** For the signed-in. */
export const accountRoutes: FastifyPluginAsyncTypebox<{ withSession: WithSession }> = async (app, { withSession }) => {
  const documented = { tags: ['auth'], security: [{ person: [] }] }

  app.get(
    '/me',
    { schema: { ...documented, operationId: 'getMe', summary: 'Who am I', response: answers({ 200: User }) } },
    async (request) => {
      const me = await withSession(request.identity, findMe, { readOnly: true })
      if (!me) throw problem('unauthenticated')
      return me
    },
  )

  app.post(
    '/logout',
    {
      schema: {
        ...documented,
        operationId: 'logout',
        summary: 'End this login session and every token of it',
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const { identity } = request
      if (identity?.kind !== 'user') throw problem('unauthenticated')
      const { userId, sessionId } = identity
      await withSession({ ...identity, kind: 'auth' }, (tx) => endLoginSession(tx, userId, sessionId, 'logout'))
      return reply.code(204).send(null)
    },
  )
}

/** The next tokens of a session. A token that is neither the newest nor just replaced ends the session, and the answer is undefined. */
async function refresh(
  tx: Tx,
  { userId, sessionId, counter }: RefreshClaim,
  request: FastifyRequest,
  lifetime: SignInRoutesOptions['session'],
): Promise<Admitted | undefined> {
  const user = await findActiveUser(tx, userId)
  if (!user) return undefined
  const rotated = await rotateLoginSession(tx, userId, sessionId, counter, lifetime.idleDays)
  if (rotated) return { user, session: rotated }
  const live = await findLiveSession(tx, userId, sessionId)
  if (!live) return undefined
  if (live.counter === counter + 1 && live.secondsSinceRotation <= lifetime.refreshGraceSeconds) return { user, session: live }
  await endLoginSession(tx, userId, sessionId, 'reuse')
  await recordAct(tx, userId, request, 'failure', { reason: 'reuse' })
  return undefined
}

const normalised = (email: string) => email.trim().toLowerCase()
