import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { problem } from '../../http/problem.ts'
import { responses } from '../../http/schemas.ts'
import type { AccountMail } from '../../mail/account-mail.ts'
import { accountClaimed } from '../../mail/templates.ts'
import { ANONYMOUS } from '../../rls/identity.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import { findActiveUser } from '../credentials/repository.ts'
import { addToken, useToken } from '../one-time-tokens/repository.ts'
import { Tokens, TokenTransport } from '../sessions/schema.ts'
import type { Proven, SignIn } from '../sign-in/sign-in.ts'
import { claimsOf, googleRejected, resolveAccount } from './account-linking.ts'
import type { Google } from './google.ts'
import type { GoogleClaims } from './id-tokens.ts'
import { FLOW_COOKIE } from './redirect-flow.ts'
import { Exchange, GoogleCallback, GoogleSignIn, GoogleStart } from './schema.ts'

/**
 * `google`: undefined where it is not configured; its routes are 404 then.
 */
export type GoogleSignInRoutesOptions = {
  withTransaction: WithTransaction
  google: Google | undefined
  signIn: SignIn
  accountMail: AccountMail
}

const EXCHANGE_MINUTES = 1

/** For anyone: how somebody whom Google knows becomes somebody here. */
export const googleSignInRoutes: FastifyPluginAsyncTypebox<GoogleSignInRoutesOptions> = async (
  app,
  { withTransaction, google, signIn, accountMail },
) => {
  const documented = { tags: ['auth'] }

  /**
   * `work` is what the arrival leads to, in its transaction. Whoever had an account taken over is told what
   * it lost.
   */
  async function arriving<T>(
    request: FastifyRequest,
    claims: GoogleClaims,
    work: (tx: Tx, account: Proven) => Promise<T>,
  ) {
    const arrived = await withTransaction(ANONYMOUS, async (tx) => {
      const resolution = await resolveAccount(tx, claims, request)
      return 'refusal' in resolution
        ? resolution
        : { ...resolution, done: await work(tx, resolution.account) }
    })
    if ('refusal' in arrived) return arrived
    const { account, isNew, removed, done } = arrived
    if (removed)
      accountMail.notify(account.email, (context) => accountClaimed({ ...context, ...removed }), request)
    return { isNew, done }
  }

  app.post(
    '/google',
    {
      schema: {
        ...documented,
        operationId: 'signInWithGoogle',
        summary: 'Sign in or register with a Google ID token',
        description:
          'Where there is an account with the same address that is not linked, and Google does not itself give out that address: 409 `conflict`. Sign in with the password then, and link.',
        body: GoogleSignIn,
        headers: TokenTransport,
        response: responses(
          { 200: Tokens, 201: Tokens },
          'invalid-credentials',
          'second-factor-required',
          'email-unverified',
          'cross-site',
          'conflict',
          'not-found',
        ),
      },
    },
    async (request, reply) => {
      const { idToken, nonce } = request.body
      const claims = await claimsOf(google, idToken, { nonce })
      const arrived = await arriving(request, claims, (tx, account) =>
        signIn.completeSignIn(tx, account, request),
      )
      if ('refusal' in arrived) throw arrived.refusal
      return reply.code(arrived.isNew ? 201 : 200).send(signIn.toResponse(arrived.done, request, reply))
    },
  )

  app.get(
    '/google/start',
    {
      schema: {
        ...documented,
        operationId: 'startGoogleFlow',
        summary: 'Start the Google sign-in flow',
        querystring: GoogleStart,
        response: responses({ 302: Type.Null() }, 'not-found'),
      },
    },
    async (request, reply) => {
      if (!google?.flow) throw problem('not-found')
      const started = google.flow.start(request.query.returnTo)
      if (!started)
        throw problem('invalid-request', {
          errors: [
            { path: '/querystring/returnTo', code: 'not-permitted', message: 'is not on an allowed origin' },
          ],
        })
      const { name, maxAge, attributes } = FLOW_COOKIE
      return reply.setCookie(name, started.cookie, { ...attributes, maxAge }).redirect(started.location)
    },
  )

  app.get(
    '/google/callback',
    {
      schema: {
        ...documented,
        operationId: 'finishGoogleFlow',
        summary: 'Finish the Google sign-in flow',
        description: 'Ends the flow that this browser began, and sends it on to `returnTo`.',
        querystring: GoogleCallback,
        response: responses({ 302: Type.Null() }, 'not-found'),
      },
    },
    async (request, reply) => {
      if (!google?.flow) throw problem('not-found')
      const { state = '', code } = request.query
      const flow = google.flow.resume(state, request.cookies[FLOW_COOKIE.name] ?? '')
      reply.clearCookie(FLOW_COOKIE.name, FLOW_COOKIE.attributes)
      if (!flow)
        throw problem('invalid-request', {
          detail: 'This browser has not begun to sign in, or too long ago: begin again',
        })
      // Without a code, Google or its user has refused.
      const claims = code === undefined ? undefined : await flow.redeem(code)
      if (!claims) return reply.redirect(withOutcome(flow.returnTo, { error: googleRejected().code }))
      const arrived = await arriving(request, claims, (tx, { id }) =>
        addToken(tx, id, { purpose: 'exchange', minutes: EXCHANGE_MINUTES }),
      )
      return reply.redirect(
        withOutcome(
          flow.returnTo,
          'refusal' in arrived ? { error: arrived.refusal.code } : { code: arrived.done },
        ),
      )
    },
  )

  app.post(
    '/exchange',
    {
      schema: {
        ...documented,
        operationId: 'exchangeCode',
        summary: 'Exchange a one-time code for tokens',
        description: 'Once, and within a minute.',
        body: Exchange,
        headers: TokenTransport,
        response: responses(
          { 200: Tokens },
          'invalid-credentials',
          'second-factor-required',
          'email-unverified',
          'cross-site',
          'not-found',
        ),
      },
    },
    async (request, reply) => {
      if (!google?.flow) throw problem('not-found')
      const result = await withTransaction(ANONYMOUS, async (tx) => {
        const token = await useToken(tx, request.body.code, 'exchange')
        const account = token && (await findActiveUser(tx, token.userId))
        return account && signIn.completeSignIn(tx, account, request)
      })
      if (!result)
        throw problem('invalid-credentials', {
          detail: 'The code was used, is older than a minute, or never was one',
        })
      return signIn.toResponse(result, request, reply)
    },
  )
}

/**
 * What stood there by the same name was the wish of whoever made the link, and might be somebody else's code.
 */
function withOutcome(returnTo: string, outcome: { code: string } | { error: string }): string {
  const url = new URL(returnTo)
  for (const name of ['code', 'error']) url.searchParams.delete(name)
  for (const [name, value] of Object.entries(outcome)) url.searchParams.set(name, value)
  return url.href
}
