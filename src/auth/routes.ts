/** Signing up and in with a password; how one becomes somebody. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { problem } from '../http/problem.ts'
import { answers } from '../http/schemas.ts'
import type { WithSession } from '../rls/session.ts'
import { recordAct } from './audit.ts'
import { SIGN_IN } from './identity.ts'
import type { Later } from './later.ts'
import type { Lockout } from './lockout.ts'
import { type PasswordProblem, passwordProblem } from './password-rules.ts'
import type { Passwords } from './passwords.ts'
import { addUser, findAccountByEmail, upgradePasswordHash } from './repository.ts'
import { Login, Register, Tokens } from './schema.ts'
import type { SignIn } from './sign-in.ts'

export type SignInRoutesOptions = {
  withSession: WithSession
  signIn: SignIn
  passwords: Passwords
  lockout: Lockout
  later: Later
  minPasswordLength: number
}

const PASSWORD_FAULTS: Record<PasswordProblem, string> = {
  malformed: 'holds a character that cannot be stored',
  'too-short': 'is too short',
  'too-long': 'is too long',
  'context-word': 'says little more than your name, your address or the name of this service',
}

export const signInRoutes: FastifyPluginAsyncTypebox<SignInRoutesOptions> = async (app, options) => {
  const { withSession, signIn, passwords, lockout, later } = options
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
}

const normalised = (email: string) => email.trim().toLowerCase()
