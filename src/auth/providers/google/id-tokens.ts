/**
 * ID tokens of Google (OpenID Connect Core 1.0). google-auth-library verifies signature, issuer and audience.
 * It does not check the subject, the verified address, the nonce or the age of the token. It accepts any
 * audience when none is configured. This file makes all of these checks.
 */
import type { Certificates, OAuth2Client } from 'google-auth-library'
import type { GoogleSettings } from '../../../config/google.ts'
import { isTime } from '../../sessions/access-tokens.ts'
import { isText, readProfile } from '../claims.ts'
import { providerUnavailable, sharePending } from '../oidc/ask-provider.ts'
import type { Expected, ProviderClaims, VerifyIdToken } from '../provider.ts'

const MAX_AGE = 600
/**
 * The largest accepted difference between Google's clock and ours, in seconds. The library's default is 300.
 */
const CLOCK_SKEW = 60
const MAX_LENGTH = 8_192

export function createIdTokenVerifier(client: OAuth2Client, settings: GoogleSettings): VerifyIdToken {
  const certificates = keepCertificates(client)
  return async (idToken, expected = {}) => {
    if (idToken.length > MAX_LENGTH || algorithmOf(idToken) !== 'RS256') return undefined
    const keys = await certificates()
    try {
      const ticket = await client.verifySignedJwtWithCertsAsync(
        idToken,
        keys,
        [...settings.clientIds],
        client.issuers,
      )
      return readClaims({ ...ticket.getPayload() }, settings, expected)
    } catch {
      // The library's errors repeat the token and its claims, so they are not passed on.
      return undefined
    }
  }
}

/**
 * Caches Google's keys for as long as Google allows (the library does that). Requests that arrive during the
 * download wait for the same answer.
 */
const keepCertificates = (client: OAuth2Client): (() => Promise<Certificates>) =>
  sharePending(async () => {
    try {
      const certs: unknown = (await client.getFederatedSignonCertsAsync()).certs
      if (!isCertificates(certs)) throw { code: 'no certificates came' }
      return certs
    } catch (error) {
      throw providerUnavailable('Google', error)
    }
  })

const isCertificates = (certs: unknown): certs is Certificates =>
  typeof certs === 'object' &&
  certs !== null &&
  Object.values(certs).some((pem) => String(pem).startsWith('-----BEGIN '))

/** Reads the algorithm from the header, so that the library never verifies with another one. */
function algorithmOf(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token.split('.', 1)[0] ?? '', 'base64url').toString()).alg
  } catch {
    return undefined
  }
}

/** Reads the claims of a token whose signature, issuer and audience are verified. */
function readClaims(
  claims: Record<string, unknown>,
  { clientIds, hostedDomains }: GoogleSettings,
  { nonce, maxAgeSeconds = MAX_AGE }: Expected,
): ProviderClaims | undefined {
  const now = Date.now() / 1_000
  const { sub, azp, hd, iat, nbf, exp } = claims
  const profile = readProfile(claims)
  if (!isText(sub, 255) || !profile || claims.email_verified !== true) return undefined
  // When the caller expects no nonce, a nonce in the token is ignored: the sign-in libraries of mobile
  // systems add their own.
  if (nonce !== undefined && claims.nonce !== nonce) return undefined
  if (azp !== undefined && !clientIds.some((id) => id === azp)) return undefined
  if (hostedDomains.length > 0 && !hostedDomains.some((domain) => domain === hd)) return undefined
  if (
    !isTime(iat) ||
    !isTime(exp) ||
    iat > now + CLOCK_SKEW ||
    exp <= now - CLOCK_SKEW ||
    now - iat > maxAgeSeconds
  )
    return undefined
  if (nbf !== undefined && (!isTime(nbf) || nbf > now + CLOCK_SKEW)) return undefined
  const isAuthoritative = profile.email.endsWith('@gmail.com') || isText(hd, 255)
  return { ...profile, sub, emailVerified: true, isAuthoritative }
}
