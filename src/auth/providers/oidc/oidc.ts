/**
 * An issuer of ID tokens that the operator runs (Authelia, Authentik, Keycloak, Pocket ID), as a provider.
 */

import { mayAsk, type OidcSettings } from '../../../config/oidc.ts'
import type { Keyring } from '../../../crypto/keyring.ts'
import { isAccountAddress } from '../../credentials/schema.ts'
import { isPicture, isText, isTime } from '../claims.ts'
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
  const claims = token.email === undefined ? { ...(await userInfo()), sub } : token
  const { email, email_verified: isVerified, name, picture } = claims as Record<string, unknown>
  if (!isText(email, 254)) return undefined
  const address = email.trim().toLowerCase()
  if (!isAccountAddress(address)) return undefined
  const emailVerified = isVerified === true
  return {
    // A subject is unique only within one issuer (OpenID Connect Core 1.0, 2). An issuer that is configured
    // later may give the same subject to another person.
    sub: `${iss} ${sub}`,
    email: address,
    emailVerified,
    // The operator chose an issuer that verifies the addresses of its users.
    isAuthoritative: emailVerified,
    fullName: isText(name, 200) ? name : null,
    avatarUrl: isPicture(picture) ? picture : null,
  }
}
