/**
 * An issuer of ID tokens that the operator runs (Authelia, Authentik, Keycloak, Pocket ID), as a provider.
 */

import { mayAsk, type OidcSettings } from '../../../config/oidc.ts'
import type { Keyring } from '../../../crypto/keyring.ts'
import { isTime } from '../../sessions/access-tokens.ts'
import { isText, readProfile } from '../claims.ts'
import type { Provider, ProviderClaims } from '../provider.ts'
import { createRedirectFlow } from '../redirect-flow.ts'
import { type Answer, CLOCK_SKEW, createOidcClient } from './client.ts'
import { createDiscovery } from './discovery.ts'

const MAX_AGE = 600
/** The greatest age, in seconds, of an ID token that replaces a password. */
const PROOF_MAX_AGE = 300

export function createOidcProvider({
  keyring,
  onRefused,
  ...settings
}: OidcSettings & { keyring: Keyring; onRefused?: (reason: string) => void }): Provider {
  const { issuer, name, timeoutMs, returnOrigins, allowHttp } = settings
  const requests = { name, timeoutMs, mayAsk: (url: URL) => mayAsk(url, allowHttp) }
  const client = createOidcClient({
    ...settings,
    ...requests,
    server: createDiscovery(issuer, requests),
    readClaims,
    onRefused,
  })
  return { id: 'oidc', name, flow: createRedirectFlow({ client, keys: keyring.oidcFlows, returnOrigins }) }
}

/** Checks what the library does not: the subject can be stored, and the account has an email address. */
async function readClaims({ claims: token, isProof, userInfo }: Answer): Promise<ProviderClaims | undefined> {
  const now = Date.now() / 1_000
  const { iss, sub, iat, auth_time: authTime } = token
  const maxAge = isProof ? PROOF_MAX_AGE : MAX_AGE
  if (!isText(sub, 255)) return undefined
  if (!isTime(iat) || iat > now + CLOCK_SKEW || now - iat > maxAge) return undefined
  // A person who authenticated with the provider earlier has not proven their identity now, if the issuer
  // sends that time.
  if (isProof && isTime(authTime) && now - authTime > maxAge + CLOCK_SKEW) return undefined
  // Some issuers send the address only from the userinfo endpoint.
  const claims: Record<string, unknown> = token.email === undefined ? await userInfo() : token
  const profile = readProfile(claims)
  if (!profile) return undefined
  const emailVerified = claims.email_verified === true
  return {
    ...profile,
    // A subject is unique only within one issuer (OpenID Connect Core 1.0, 2). An issuer that is configured
    // later may give the same subject to another person.
    sub: `${iss} ${sub}`,
    emailVerified,
    // The operator chose an issuer that verifies the addresses of its users.
    isAuthoritative: emailVerified,
  }
}
