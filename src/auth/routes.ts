/** Signing up and in with a password; how one becomes somebody. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { problem } from '../http/problem.ts'
import { answers } from '../http/schemas.ts'
import type { WithSession } from '../rls/session.ts'
import { SIGN_IN } from './identity.ts'
import { normalisedEmail, type ProvePassword } from './password-proof.ts'
import type { PasswordRules } from './password-rules.ts'
import type { Passwords } from './passwords.ts'
import { addUser } from './repository.ts'
import { Login, Register, Tokens } from './schema.ts'
import type { SignIn } from './sign-in.ts'

export type SignInRoutesOptions = {
  withSession: WithSession
  signIn: SignIn
  passwords: Passwords
  provePassword: ProvePassword
  passwordRules: PasswordRules
}

export const signInRoutes: FastifyPluginAsyncTypebox<SignInRoutesOptions> = async (app, options) => {
  const { withSession, signIn, passwords, provePassword, passwordRules } = options
  const documented = { tags: ['auth'] }

  app.post(
    '/register',
    { schema: { ...documented, operationId: 'register', summary: 'Make an account', body: Register, response: answers({ 201: Tokens }) } },
    async (request, reply) => {
      const { password, fullName = null } = request.body
      const email = normalisedEmail(request.body.email)
      passwordRules.demand('/body/password', password, { email, fullName })
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
      const { account, settle } = await provePassword(request, request.body)
      const admitted = await withSession(SIGN_IN, async (tx) => {
        await settle(tx)
        return signIn.admit(tx, account, request)
      })
      return signIn.answer(admitted, request, reply)
    },
  )
}
