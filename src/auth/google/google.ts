/**
 * Google as a proof of who somebody is: by ID tokens that a frontend got, and by sending the browser there.
 */

import type { GoogleSettings } from '../../config/google.ts'
import type { Keyring } from '../../crypto/keyring.ts'
import { createIdTokenVerifier, type VerifyIdToken } from './id-tokens.ts'
import { type GoogleFlow, googleFlow } from './redirect-flow.ts'

export type Google = {
  verify: VerifyIdToken
  /** Of a token got just now, for what a login session alone must not be enough for. */
  verifyFresh(idToken: string): ReturnType<VerifyIdToken>
  /** When the redirect flow is configured. */
  flow: GoogleFlow | undefined
}

const FRESH_SECONDS = 300

export async function createGoogle({
  keyring,
  ...settings
}: GoogleSettings & { keyring: Keyring }): Promise<Google> {
  const { clientIds, endpoints, timeoutMs, redirect } = settings
  // 35 ms of the start, which only those pay who use it.
  const { CodeChallengeMethod, OAuth2Client } = await import('google-auth-library')
  const client = new OAuth2Client({
    clientId: clientIds[0],
    ...(redirect && { clientSecret: redirect.clientSecret, redirectUri: redirect.redirectUri }),
    // Google writes itself both ways.
    issuers: [endpoints.issuer, endpoints.issuer.replace('https://', '')],
    endpoints: {
      oauth2AuthBaseUrl: endpoints.authorizationUrl,
      oauth2TokenUrl: endpoints.tokenUrl,
      oauth2FederatedSignonPemCertsUrl: endpoints.certificatesUrl,
    },
    // Somebody waits for the answer; and a code that is redeemed twice is void. Nor does Google send us
    // elsewhere.
    transporterOptions: { timeout: timeoutMs, retryConfig: { retry: 0 }, redirect: 'error' },
  })
  const verify = createIdTokenVerifier(client, settings)
  const flow =
    redirect &&
    googleFlow({ client, verify, method: CodeChallengeMethod.S256, keys: keyring.googleFlows, ...redirect })
  return { verify, verifyFresh: (idToken) => verify(idToken, { maxAgeSeconds: FRESH_SECONDS }), flow }
}
