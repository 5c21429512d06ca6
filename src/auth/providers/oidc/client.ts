/**
 * The authorization code flow (OpenID Connect Core 1.0, 3.1) with PKCE (RFC 7636), based on oauth4webapi. The
 * library checks state, issuer, audience, nonce and times of the answer. This file decides which of its
 * results are accepted.
 */
import * as oauth from 'oauth4webapi'
import { Problem } from '../../../http/problem.ts'
import type { ProviderClaims } from '../provider.ts'
import { type ProviderRequests, providerUnavailable, requestOptions } from './ask-provider.ts'

/** `isProof`: the person must authenticate with the provider again. */
type AuthorizationRequest = { state: string; nonce: string; challenge: string; isProof: boolean }

/** The parameters of the callback and the values that the browser kept. `iss`: RFC 9207. */
type AuthorizationResponse = {
  code: string
  iss: string | undefined
  state: string
  nonce: string
  verifier: string
  isProof: boolean
}

export type OidcClient = {
  /** @returns the URL to redirect the browser to @throws Problem `unavailable` */
  authorizationUrl(request: AuthorizationRequest): Promise<string>
  /**
   * Redeems the code, which works once.
   * @returns undefined when the provider rejects the code or the identity is not verified
   * @throws Problem `unavailable`
   */
  redeem(response: AuthorizationResponse): Promise<ProviderClaims | undefined>
}

/** Reads the provider's claims, whose signature, issuer, audience and nonce are verified. */
type ReadClaims = (answer: Answer) => Promise<ProviderClaims | undefined>
export type Answer = {
  idToken: string
  claims: Record<string, unknown>
  nonce: string
  isProof: boolean
  /** Claims beyond the ID token, where the provider has a userinfo endpoint. */
  userInfo(): Promise<Record<string, unknown>>
}

export type OidcClientOptions = ProviderRequests & {
  server: () => Promise<oauth.AuthorizationServer>
  clientId: string
  clientSecret: string
  redirectUri: string
  scopes: string
  /** The `prompt` parameter of requests that do not ask for a proof. */
  prompt?: string
  /** Whether to verify the signature with the keys that the server publishes. */
  verifySignature?: boolean
  readClaims: ReadClaims
  /** Receives the reason of a refusal, for the operator. It contains no token, claim or code. */
  onRefused?: ((reason: string) => void) | undefined
}

/** The largest accepted difference between the provider's clock and ours, in seconds. */
export const CLOCK_SKEW = 60

export function createOidcClient(options: OidcClientOptions): OidcClient {
  const { server, clientId, clientSecret, redirectUri, scopes, prompt, readClaims, name } = options
  const client: oauth.Client = { client_id: clientId, [oauth.clockTolerance]: CLOCK_SKEW }
  const requests = { ...requestOptions(options), [oauth.allowInsecureRequests]: true }

  return {
    async authorizationUrl({ state, nonce, challenge, isProof }) {
      const { authorization_endpoint: endpoint = '' } = await server()
      const url = URL.parse(endpoint)
      if (!url || !options.mayAsk(url)) throw providerUnavailable(name, { code: 'no authorization endpoint' })
      const parameters = {
        client_id: clientId,
        redirect_uri: redirectUri,
        response_type: 'code',
        scope: scopes,
        state,
        nonce,
        code_challenge: challenge,
        code_challenge_method: 'S256',
        prompt: isProof ? 'login' : prompt,
      }
      for (const [key, value] of Object.entries(parameters))
        if (value !== undefined) url.searchParams.set(key, value)
      return url.href
    },

    async redeem({ code, iss, state, nonce, verifier, isProof }) {
      const as = await server()
      try {
        const callback = new URLSearchParams({ code, state, ...(iss !== undefined && { iss }) })
        const response = await oauth.authorizationCodeGrantRequest(
          as,
          client,
          clientAuthentication(as, clientSecret),
          oauth.validateAuthResponse(as, client, callback, state),
          redirectUri,
          verifier,
          requests,
        )
        const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, {
          expectedNonce: nonce,
          requireIdToken: true,
        })
        if (options.verifySignature ?? true)
          await oauth.validateApplicationLevelSignature(as, response, requests)
        const claims = { ...oauth.getValidatedIdTokenClaims(tokens) }
        const vouchedFor = await readClaims({
          idToken: tokens.id_token ?? '',
          claims,
          nonce,
          isProof,
          async userInfo() {
            if (as.userinfo_endpoint === undefined) return {}
            const answer = await oauth.userInfoRequest(as, client, tokens.access_token, requests)
            return oauth.processUserInfoResponse(as, client, String(claims.sub), answer)
          },
        })
        if (!vouchedFor) options.onRefused?.('the claims of an account are missing, too old or not storable')
        return vouchedFor
      } catch (error) {
        if (error instanceof Problem) throw error
        // The answer began but did not end in time.
        if (error instanceof DOMException) throw providerUnavailable(name, error)
        // Any check that fails means that the identity is not verified. The library's messages are constant.
        // Its errors also contain tokens and claims, so only the message is passed on.
        options.onRefused?.((error as Error).message)
        return undefined
      }
    },
  }
}

const clientAuthentication = (
  { token_endpoint_auth_methods_supported: methods = ['client_secret_basic'] }: oauth.AuthorizationServer,
  secret: string,
) =>
  methods.includes('client_secret_basic') || !methods.includes('client_secret_post')
    ? oauth.ClientSecretBasic(secret)
    : oauth.ClientSecretPost(secret)
