/**
 * ID tokens of Google's (OpenID Connect Core 1.0). google-auth-library verifies signature, issuer and
 * audience; it asks for no subject, no verified address, no nonce and no fresh token, and takes any audience
 * when it is given none, so that all of this is asked here.
 */
import type { Certificates, OAuth2Client } from 'google-auth-library'
import type { GoogleSettings } from '../../config/google.ts'
import { problem } from '../../http/problem.ts'
import { isAccountAddress } from '../credentials/schema.ts'
import { isTime } from '../sessions/access-tokens.ts'

/** Somebody whom Google vouches for. */
export type GoogleClaims = {
  /** Who it is, for good: the address behind it may change, and may come to belong to somebody else. */
  sub: string
  /** Trimmed and lower-cased. */
  email: string
  emailVerified: true
  /** Whether Google itself gives out the address, so that whoever has the Google account has the mailbox. */
  isAuthoritative: boolean
  fullName: string | null
  avatarUrl: string | null
}

/**
 * `nonce`: the one that the token must carry. `maxAgeSeconds`: how old it may be at most (default 600).
 */
export type Expected = { nonce?: string | undefined; maxAgeSeconds?: number }

/**
 * Whom a token of Google's for us speaks for, or undefined for any other text. @throws Problem `unavailable`
 * without Google's keys
 */
export type VerifyIdToken = (idToken: string, expected?: Expected) => Promise<GoogleClaims | undefined>

const MAX_AGE = 600
/** How far Google's clock may be from ours, seconds. The library would take 300. */
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
      // The library's errors repeat the token and its claims: none of them goes any further.
      return undefined
    }
  }
}

/**
 * Google's keys, kept for as long as it says (the library does that); whoever asks while they are fetched
 * waits for the same answer.
 */
function keepCertificates(client: OAuth2Client): () => Promise<Certificates> {
  let asked: Promise<Certificates> | undefined
  const fetchKeys = async () => {
    try {
      const certs: unknown = (await client.getFederatedSignonCertsAsync()).certs
      if (!isCertificates(certs)) throw { code: 'no certificates came' }
      return certs
    } catch (error) {
      throw googleUnavailable(error)
    } finally {
      asked = undefined
    }
  }
  return () => {
    asked ??= fetchKeys()
    return asked
  }
}

/**
 * What failed between Google and us. The library's error holds the whole request: only its status or code is
 * kept.
 */
export function googleUnavailable(error: unknown) {
  const { status, code } = error as { status?: number; code?: string }
  return problem('unavailable', {
    detail: 'Google cannot be asked now',
    cause: new Error(`Google was asked in vain: ${status ?? code}`),
  })
}

const isCertificates = (certs: unknown): certs is Certificates =>
  typeof certs === 'object' &&
  certs !== null &&
  Object.values(certs).some((pem) => String(pem).startsWith('-----BEGIN '))

/** Of the header, before any other is looked at by the library. */
function algorithmOf(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token.split('.', 1)[0] ?? '', 'base64url').toString()).alg
  } catch {
    return undefined
  }
}

const isText = (value: unknown, max: number): value is string =>
  typeof value === 'string' &&
  value !== '' &&
  value.length <= max &&
  value.isWellFormed() &&
  !value.includes('\0')

/** The claims by name, of a token whose signature, issuer and audience are right. */
function readClaims(
  claims: Record<string, unknown>,
  { clientIds, hostedDomains }: GoogleSettings,
  { nonce, maxAgeSeconds = MAX_AGE }: Expected,
): GoogleClaims | undefined {
  const now = Date.now() / 1_000
  const { sub, email, azp, hd, iat, nbf, exp, name, picture } = claims
  if (!isText(sub, 255) || !isText(email, 254) || claims.email_verified !== true) return undefined
  // A nonce that nobody asks about is none of ours: the sign-in libraries of mobile systems make one of their
  // own.
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
  const address = email.trim().toLowerCase()
  if (!isAccountAddress(address)) return undefined
  return {
    sub,
    email: address,
    emailVerified: true,
    isAuthoritative: address.endsWith('@gmail.com') || isText(hd, 255),
    fullName: isText(name, 200) ? name : null,
    avatarUrl: isText(picture, 2_000) && picture.startsWith('https://') ? picture : null,
  }
}
