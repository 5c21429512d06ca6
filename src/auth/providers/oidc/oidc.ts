/** An issuer of ID tokens of the operator's own (Authelia, Authentik, Keycloak, Pocket ID) as a provider. */

import { mayAsk, type OidcSettings } from '../../../config/oidc.ts'
import type { Keyring } from '../../../crypto/keyring.ts'
import { isAccountAddress } from '../../credentials/schema.ts'
import { isPicture, isText, isTime } from '../claims.ts'
import type { Provider, ProviderClaims } from '../provider.ts'
import { createRedirectFlow } from '../redirect-flow.ts'
import { type Answer, CLOCK_SKEW, createOidcClient } from './client.ts'
import { createDiscovery } from './discovery.ts'

const MAX_AGE = 600
/** Of what stands in for a password. */
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

/** Beyond what the library asks: an account has a subject that can be stored, and an address. */
async function readClaims({ claims: token, isProof, userInfo }: Answer): Promise<ProviderClaims | undefined> {
  const now = Date.now() / 1_000
  const { iss, sub, iat, auth_time: authTime } = token
  const maxAge = isProof ? PROOF_MAX_AGE : MAX_AGE
  if (!isText(sub, 255)) return undefined
  if (!isTime(iat) || iat > now + CLOCK_SKEW || now - iat > maxAge) return undefined
  // Who was signed in at the provider before has proven nothing now, where it says so.
  if (isProof && isTime(authTime) && now - authTime > maxAge + CLOCK_SKEW) return undefined
  // Some issuers tell addresses at another endpoint only.
  const claims = token.email === undefined ? { ...(await userInfo()), sub } : token
  const { email, email_verified: isVerified, name, picture } = claims as Record<string, unknown>
  if (!isText(email, 254)) return undefined
  const address = email.trim().toLowerCase()
  if (!isAccountAddress(address)) return undefined
  const emailVerified = isVerified === true
  return {
    // A subject is somebody's at one issuer only (OpenID Connect Core 1.0, 2): at the next one that is configured it may be another's.
    sub: `${iss} ${sub}`,
    email: address,
    emailVerified,
    // The operator chose an issuer that knows the addresses of its people.
    isAuthoritative: emailVerified,
    fullName: isText(name, 200) ? name : null,
    avatarUrl: isPicture(picture) ? picture : null,
  }
}
