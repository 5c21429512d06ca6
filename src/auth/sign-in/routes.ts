/** Registration, and signing in with a password. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { problem } from '../../http/problem.ts'
import { responses } from '../../http/schemas.ts'
import { type AccountMail, MINUTES } from '../../mail/account-mail.ts'
import { registrationAttempted, verifyAddress } from '../../mail/templates.ts'
import { normalisedEmail } from '../../network/email-address.ts'
import { ANONYMOUS } from '../../rls/identity.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import { recordAuditEvent } from '../audit/record-event.ts'
import { addUser, findAccountByEmail } from '../credentials/repository.ts'
import { EmailSent, Login, Register } from '../credentials/schema.ts'
import { addToken } from '../one-time-tokens/repository.ts'
import type { Passwords } from '../passwords/hashing.ts'
import type { PasswordPolicy } from '../passwords/policy.ts'
import { SIGN_IN_PROBLEMS, Tokens, TokenTransport } from '../sessions/schema.ts'
import type { SignIn } from './sign-in.ts'
import type { VerifyPassword } from './verify-password.ts'

export type SignInRoutesOptions = {
  withTransaction: WithTransaction
  signIn: SignIn
  passwords: Passwords
  verifyPassword: VerifyPassword
  passwordPolicy: PasswordPolicy
  accountMail: AccountMail
  emailVerification: boolean
}

export const signInRoutes: FastifyPluginAsyncTypebox<SignInRoutesOptions> = async (app, options) => {
  const {
    withTransaction,
    signIn,
    passwords,
    verifyPassword,
    passwordPolicy,
    accountMail,
    emailVerification,
  } = options
  const documented = { tags: ['auth'] }

  app.post(
    '/register',
    {
      config: { countedAs: 'registration' },
      schema: {
        ...documented,
        operationId: 'register',
        summary: 'Register',
        description:
          'Creates an account. The server sends a mail to confirm the address, and nothing waits for that.',
        body: Register,
        headers: TokenTransport,
        response: responses({ 201: Tokens, 202: EmailSent }, 'email-taken'),
      },
    },
    async (request, reply) => {
      const { password, fullName = null } = request.body
      const email = normalisedEmail(request.body.email)
      passwordPolicy.assertAcceptable('/body/password', password, { email, fullName })
      const hash = await passwords.hash(password)
      const registered = await withTransaction(ANONYMOUS, async (tx) => {
        const user = await addUser(tx, email, fullName, hash)
        if (!user) return registerAgain(tx, email, request)
        const token = await addToken(tx, user.id, {
          purpose: 'verify-email',
          minutes: MINUTES['verify-email'],
        })
        if (emailVerification) await recordAuditEvent(tx, user.id, request, 'success')
        return {
          token,
          result: await signIn.completeSignIn(tx, { ...user, hasSecondFactor: false }, request),
        }
      })
      if (registered)
        accountMail.sendToken(email, verifyAddress, {
          token: registered.token,
          minutes: MINUTES['verify-email'],
        })
      else accountMail.notify(email, registrationAttempted, request)
      if (emailVerification || !registered) return reply.code(202).send({ status: 'check-your-mail' })
      return reply.code(201).send(signIn.toResponse(registered.result, request, reply))
    },
  )

  /**
   * The address already has an account. If the answer must not reveal that, the owner receives a mail instead
   * and finds an entry in their audit log.
   */
  async function registerAgain(tx: Tx, email: string, request: FastifyRequest): Promise<undefined> {
    if (!emailVerification) throw problem('email-taken')
    const owner = await findAccountByEmail(tx, email)
    if (owner) await recordAuditEvent(tx, owner.id, request, 'failure')
  }

  app.post(
    '/login',
    {
      schema: {
        ...documented,
        operationId: 'login',
        summary: 'Sign in',
        description:
          'Starts a login session. After five failures nobody can sign in to the account with a password for five minutes (429 `locked-out`), whether or not the account exists. A new password ends that earlier. With `X-Token-Transport: cookie` the refresh token goes into a cookie, here and in every answer with tokens. The cookie is `__Host-netpilot-refresh` over https and at localhost. It is `netpilot-refresh` over plain HTTP at a private address or a name of a private network.',
        body: Login,
        headers: TokenTransport,
        response: responses({ 200: Tokens }, ...SIGN_IN_PROBLEMS, 'locked-out'),
      },
    },
    async (request, reply) => {
      const result = await verifyPassword(request, request.body, (tx, account) =>
        signIn.completeSignIn(tx, account, request),
      )
      return signIn.toResponse(result, request, reply)
    },
  )
}
