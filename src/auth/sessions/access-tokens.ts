/**
 * Access tokens: JSON web tokens (RFC 9068 in form) that name a person and a login session for ten minutes,
 * and decide nothing else: what the person may do is read from the database. @fastify/jwt does the
 * cryptography; on its own it accepts or chokes on a good part of hostile tokens, so what it is shown is
 * checked before, and what it returns after.
 */
import { randomUUID } from 'node:crypto'
import fastifyJwt from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import { decodeBase64url } from '../../crypto/base64url.ts'
import type { Keyring } from '../../crypto/keyring.ts'
import { isUuid } from '../../crypto/uuid.ts'
import type { UserIdentity } from '../../rls/identity.ts'

/** Whom a token speaks for. */
type Bearer = Pick<UserIdentity, 'userId' | 'sessionId'>

export type AccessTokens = {
  sign(bearer: Bearer): string
  /**
   * Whom an authentic, current token speaks for; undefined (401 to the caller) for any other text. Never
   * throws.
   */
  verify(token: string): Bearer | undefined
}

/**
 * `lifetime`: seconds from issue to expiry; a token that claims a longer one is refused.
 */
export type AccessTokenOptions = { keyring: Keyring; lifetime: number }

const ALGORITHM = 'HS256'
const TYPE = 'at+jwt'
const ISSUER = 'netpilot'
const AUDIENCE = 'netpilot-api'
const CLAIMS = ['aud', 'exp', 'iat', 'iss', 'jti', 'nbf', 'sid', 'sub']
/** How far ahead another server's clock may be, seconds. */
const CLOCK_SKEW = 30
const MAX_LENGTH = 2_048

/**
 * There is one header per key, and a token must carry it to the byte. That leaves no room for another
 * algorithm or type, an unknown key,
 * `crit`, an embedded key, or a second spelling.
 */
const headerOf = (kid: string) =>
  Buffer.from(JSON.stringify({ alg: ALGORITHM, typ: TYPE, kid })).toString('base64url')

/** Seconds since 1970, as a claim has them. */
const isTime = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

/** The claims by name, when they are exactly ours and the token is of now (seconds since 1970). */
function readClaims(claims: Record<string, unknown>, now: number, lifetime: number): Bearer | undefined {
  if (Object.keys(claims).sort().join() !== CLAIMS.join()) return undefined
  const { iss, aud, sub, sid, jti, iat, nbf, exp } = claims
  if (iss !== ISSUER || aud !== AUDIENCE || !isUuid(sub) || !isUuid(sid) || !isUuid(jti)) return undefined
  if (!isTime(iat) || !isTime(nbf) || !isTime(exp) || exp - iat > lifetime) return undefined
  if (iat > now + CLOCK_SKEW || nbf > now + CLOCK_SKEW || exp <= now) return undefined
  return { userId: sub, sessionId: sid }
}

/** Registers @fastify/jwt on `app`; the result works once `app` is ready. */
export function createAccessTokens(
  app: FastifyInstance,
  { keyring, lifetime }: AccessTokenOptions,
): AccessTokens {
  const [current] = keyring.accessTokens
  const secrets = new Map(keyring.accessTokens.map(({ kid, secret }) => [headerOf(kid), secret]))
  app.register(fastifyJwt, {
    secret: current.secret,
    sign: {
      algorithm: ALGORITHM,
      header: { alg: ALGORITHM, typ: TYPE },
      kid: current.kid,
      iss: ISSUER,
      aud: AUDIENCE,
      expiresIn: lifetime,
      notBefore: 0,
    },
    verify: {
      algorithms: [ALGORITHM],
      checkTyp: TYPE,
      allowedIss: ISSUER,
      allowedAud: AUDIENCE,
      requiredClaims: CLAIMS,
      clockTolerance: CLOCK_SKEW * 1_000,
      cache: false,
    },
    // `request.jwtVerify`, which the library adds, would skip the checks below: it refuses every token.
    trusted: () => false,
  })

  return {
    sign: ({ userId, sessionId }) => app.jwt.sign({ sub: userId, sid: sessionId, jti: randomUUID() }),
    verify(token) {
      if (token.length > MAX_LENGTH) return undefined
      const [header = '', payload = '', signature = '', ...more] = token.split('.')
      const secret = secrets.get(header)
      if (!secret || !decodeBase64url(payload) || !decodeBase64url(signature) || more.length > 0)
        return undefined
      try {
        // Without options the library uses the verifier it has made for the current key.
        const claims = app.jwt.verify<Record<string, unknown>>(
          token,
          secret === current.secret ? undefined : { key: secret },
        )
        return readClaims(claims, Date.now() / 1_000, lifetime)
      } catch {
        return undefined
      }
    },
  }
}
