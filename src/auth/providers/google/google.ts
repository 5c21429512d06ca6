/**
 * Google as a provider. A frontend sends an ID token, or the server redirects the browser to Google. In both
 * cases google-auth-library verifies the ID token.
 */

import type { GoogleSettings } from '../../../config/google.ts'
import type { Keyring } from '../../../crypto/keyring.ts'
import { createOidcClient } from '../oidc/client.ts'
import type { Provider, VerifyIdToken } from '../provider.ts'
import { createRedirectFlow } from '../redirect-flow.ts'
import { createIdTokenVerifier } from './id-tokens.ts'

export type Google = Provider & {
  verify: VerifyIdToken
  /** Requires a newly issued token, for operations that a login session alone must not allow. */
  verifyFresh(idToken: string): ReturnType<VerifyIdToken>
}

const FRESH_SECONDS = 300

export async function createGoogle({
  keyring,
  ...settings
}: GoogleSettings & { keyring: Keyring }): Promise<Google> {
  const { clientIds, endpoints, timeoutMs, redirect } = settings
  // The import takes 35 ms, so only servers that use Google load the library at startup.
  const { OAuth2Client } = await import('google-auth-library')
  const library = new OAuth2Client({
    clientId: clientIds[0],
    // Google uses both spellings of its issuer.
    issuers: [endpoints.issuer, endpoints.issuer.replace('https://', '')],
    endpoints: { oauth2FederatedSignonPemCertsUrl: endpoints.certificatesUrl },
    // A person waits for the answer, so the client does not retry. Google does not redirect these requests.
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
        // The endpoints are Google's own, or those of a test server, which production does not accept.
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
