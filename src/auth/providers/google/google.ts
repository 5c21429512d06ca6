/**
 * Google as a provider: by ID tokens that a frontend got, and by sending the browser there. Its ID tokens are
 * verified by google-auth-library either way.
 */

import type { GoogleSettings } from '../../../config/google.ts'
import type { Keyring } from '../../../crypto/keyring.ts'
import { createOidcClient } from '../oidc/client.ts'
import type { Provider, VerifyIdToken } from '../provider.ts'
import { createRedirectFlow } from '../redirect-flow.ts'
import { createIdTokenVerifier } from './id-tokens.ts'

export type Google = Provider & {
  verify: VerifyIdToken
  /** Of a token got just now, for what a login session alone must not be enough for. */
  verifyFresh(idToken: string): ReturnType<VerifyIdToken>
}

const FRESH_SECONDS = 300

export async function createGoogle({
  keyring,
  ...settings
}: GoogleSettings & { keyring: Keyring }): Promise<Google> {
  const { clientIds, endpoints, timeoutMs, redirect } = settings
  // 35 ms of the start, which only those pay who use it.
  const { OAuth2Client } = await import('google-auth-library')
  const library = new OAuth2Client({
    clientId: clientIds[0],
    // Google writes itself both ways.
    issuers: [endpoints.issuer, endpoints.issuer.replace('https://', '')],
    endpoints: { oauth2FederatedSignonPemCertsUrl: endpoints.certificatesUrl },
    // Somebody waits for the answer. Nor does Google send us elsewhere.
    transporterOptions: { timeout: timeoutMs, retryConfig: { retry: 0 }, redirect: 'error' },
  })
  const verify = createIdTokenVerifier(library, settings)
  const flow =
    redirect &&
    createRedirectFlow({
      ...redirect,
      keys: keyring.googleFlows,
      client: createOidcClient({
        ...redirect,
        name: 'Google',
        timeoutMs,
        // The endpoints are Google's own, or those of a stand-in, which production does not know.
        mayAsk: () => true,
        server: async () => ({
          issuer: endpoints.issuer,
          authorization_endpoint: endpoints.authorizationUrl,
          token_endpoint: endpoints.tokenUrl,
          token_endpoint_auth_methods_supported: ['client_secret_post'],
        }),
        clientId: clientIds[0],
        scopes: 'openid email profile',
        prompt: 'select_account',
        verifySignature: false,
        readClaims: ({ idToken, nonce, isProof }) =>
          verify(idToken, { nonce, ...(isProof && { maxAgeSeconds: FRESH_SECONDS }) }),
      }),
    })
  return {
    id: 'google',
    name: 'Google',
    verify,
    verifyFresh: (idToken) => verify(idToken, { maxAgeSeconds: FRESH_SECONDS }),
    flow,
  }
}
