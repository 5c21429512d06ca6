/** Public routes that sign a person in through a provider. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { problem } from '../../http/problem.ts'
import { responses } from '../../http/schemas.ts'
import { type AccountMail, MINUTES } from '../../mail/account-mail.ts'
import { accountClaimed, verifyAddress } from '../../mail/templates.ts'
import { ANONYMOUS } from '../../rls/identity.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import { findActiveUser } from '../credentials/repository.ts'
import { addToken, useToken } from '../one-time-tokens/repository.ts'
import { SIGN_IN_PROBLEMS, Tokens, TokenTransport } from '../sessions/schema.ts'
import type { Proven, SignIn } from '../sign-in/sign-in.ts'
import { claimsOf, providerRejected, resolveAccount } from './account-linking.ts'
import { clearFlowCookie, readFlowCookie, writeFlowCookie } from './flow-cookie.ts'
import type { IdentityCodes } from './identity-code.ts'
import type { Provider, ProviderClaims, ProviderId } from './provider.ts'
import { Exchange, FlowCallback, GoogleSignIn, StartFlow } from './schema.ts'

/** A provider that is not configured is undefined, and its routes answer 404. */
export type Providers = Record<ProviderId, Provider | undefined>

export type ProviderRoutesOptions = {
  withTransaction: WithTransaction
  providers: Providers
  identityCodes: IdentityCodes
  signIn: SignIn
  accountMail: AccountMail
}

const EXCHANGE_MINUTES = 1

/** The names of each provider's operations in the API document. */
const FLOWS = [
  {
    id: 'google',
    name: 'Google',
    start: 'startGoogleFlow',
    finish: 'finishGoogleFlow',
  },
  {
    id: 'oidc',
    name: 'OpenID Connect',
    start: 'startOidcFlow',
    finish: 'finishOidcFlow',
  },
] as const

export const providerRoutes: FastifyPluginAsyncTypebox<ProviderRoutesOptions> = async (
  app,
  { withTransaction, providers, identityCodes, signIn, accountMail },
) => {
  const documented = { tags: ['auth'] }

  /**
   * Signs a person in through a provider. `work` runs in the same transaction. If the account lost
   * credentials of a previous registrant, the owner receives a mail that lists them. A new address that the
   * provider has not verified receives a confirmation mail.
   */
  async function arriving<T>(
    request: FastifyRequest,
    provider: Provider,
    claims: ProviderClaims,
    work: (tx: Tx, account: Proven) => Promise<T>,
  ) {
    const arrived = await withTransaction(ANONYMOUS, async (tx) => {
      const resolved = await resolveAccount(tx, provider, claims, request)
      if ('refusal' in resolved) return resolved
      const { account, isNew } = resolved
      const token =
        isNew && !account.emailVerified
          ? await addToken(tx, account.id, { purpose: 'verify-email', minutes: MINUTES['verify-email'] })
          : undefined
      return { ...resolved, token, done: await work(tx, account) }
    })
    if ('refusal' in arrived) return arrived
    const { account, isNew, removed, token, done } = arrived
    if (removed)
      accountMail.notify(
        account.email,
        (context) => accountClaimed({ ...context, ...removed, provider: provider.name }),
        request,
      )
    if (token)
      accountMail.sendToken(account.email, verifyAddress, { token, minutes: MINUTES['verify-email'] })
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
          'Signs in the account that is linked to the Google account, or makes one. When an account has the same address, is not linked, and Google does not give out that address, the answer is 409 `conflict`. Then sign in with the password and link.',
        body: GoogleSignIn,
        headers: TokenTransport,
        response: responses({ 200: Tokens, 201: Tokens }, ...SIGN_IN_PROBLEMS, 'conflict', 'not-found'),
      },
    },
    async (request, reply) => {
      const { idToken, nonce } = request.body
      const { google } = providers
      const claims = await claimsOf(google, idToken, { nonce })
      if (!google) throw problem('not-found')
      const arrived = await arriving(request, google, claims, (tx, account) =>
        signIn.completeSignIn(tx, account, request),
      )
      if ('refusal' in arrived) throw arrived.refusal
      return reply.code(arrived.isNew ? 201 : 200).send(signIn.toResponse(arrived.done, request, reply))
    },
  )

  for (const { id, name, start, finish } of FLOWS) {
    app.get(
      `/${id}/start`,
      {
        schema: {
          ...documented,
          operationId: start,
          summary: `Start the ${name} sign-in flow`,
          description: `Sends the browser to ${name}, with a cookie that only this browser has.`,
          querystring: StartFlow,
          response: responses({ 302: Type.Null() }, 'not-found'),
        },
      },
      async (request, reply) => {
        const flow = providers[id]?.flow
        if (!flow) throw problem('not-found')
        const started = await flow.start(request.query.returnTo, request.query.purpose)
        if (!started)
          throw problem('invalid-request', {
            errors: [
              {
                path: '/querystring/returnTo',
                code: 'not-permitted',
                message: 'is not on an allowed origin',
              },
            ],
          })
        writeFlowCookie(id, reply, started.cookie)
        return reply.redirect(started.location)
      },
    )

    app.get(
      `/${id}/callback`,
      {
        schema: {
          ...documented,
          operationId: finish,
          summary: `Finish the ${name} sign-in flow`,
          description: 'Ends the flow that this browser started, and sends the browser to `returnTo`.',
          querystring: FlowCallback,
          response: responses({ 302: Type.Null() }, 'not-found'),
        },
      },
      async (request, reply) => {
        const provider = providers[id]
        if (!provider?.flow) throw problem('not-found')
        const { state = '', code, iss } = request.query
        const flow = provider.flow.resume(state, readFlowCookie(id, request))
        clearFlowCookie(id, reply)
        if (!flow)
          throw problem('invalid-request', {
            detail: 'This browser has not begun to sign in, or too long ago: begin again',
          })
        const back = (outcome: { code: string } | { error: string }) =>
          reply.redirect(withOutcome(flow.returnTo, outcome))
        // A missing code means that the provider or the user refused.
        const claims = code === undefined ? undefined : await flow.redeem(code, iss)
        if (!claims) return back({ error: providerRejected(provider.name).code })
        if (flow.purpose === 'prove') return back({ code: identityCodes.issue({ provider: id, claims }) })
        const arrived = await arriving(request, provider, claims, (tx, account) =>
          addToken(tx, account.id, { purpose: 'exchange', minutes: EXCHANGE_MINUTES }),
        )
        return back('refusal' in arrived ? { error: arrived.refusal.code } : { code: arrived.done })
      },
    )
  }

  app.post(
    '/exchange',
    {
      schema: {
        ...documented,
        operationId: 'exchangeCode',
        summary: 'Exchange a one-time code for tokens',
        description: 'Returns the tokens for the code of a flow. A code works once, for a minute.',
        body: Exchange,
        headers: TokenTransport,
        response: responses({ 200: Tokens }, ...SIGN_IN_PROBLEMS, 'not-found'),
      },
    },
    async (request, reply) => {
      if (!Object.values(providers).some((provider) => provider?.flow)) throw problem('not-found')
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
 * Replaces parameters of the same names. The author of the link chose them, so they might contain another
 * person's code.
 */
function withOutcome(returnTo: string, outcome: { code: string } | { error: string }): string {
  const url = new URL(returnTo)
  for (const name of ['code', 'error']) url.searchParams.delete(name)
  for (const [name, value] of Object.entries(outcome)) url.searchParams.set(name, value)
  return url.href
}
