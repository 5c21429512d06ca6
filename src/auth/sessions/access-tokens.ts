/**
 * Access tokens: JSON web tokens (in the form of RFC 9068) that identify a person and a login session for ten
 * minutes. They contain no permissions, which the server reads from the database. @fastify/jwt does the
 * cryptography. On its own it accepts many hostile tokens or fails on them, so this file checks its input and
 * its output.
 */
import { randomUUID } from 'node:crypto'
import fastifyJwt from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import { decodeBase64url } from '../../crypto/base64url.ts'
import type { Keyring } from '../../crypto/keyring.ts'
import { isUuid } from '../../crypto/uuid.ts'
import type { UserIdentity } from '../../rls/identity.ts'

/** The person and the login session that a token identifies. */
type Bearer = Pick<UserIdentity, 'userId' | 'sessionId'>

export type AccessTokens = {
  sign(bearer: Bearer): string
  /**
   * @returns the person and login session of an authentic, current token; undefined (401 to the caller) for
   * any other text. Never throws.
   */
  verify(token: string): Bearer | undefined
}

/** `lifetime`: seconds from issue to expiry. A token that claims a longer lifetime is refused. */
export type AccessTokenOptions = { keyring: Keyring; lifetime: number }

const ALGORITHM = 'HS256'
const TYPE = 'at+jwt'
const ISSUER = 'netpilot'
const AUDIENCE = 'netpilot-api'
const CLAIMS = ['aud', 'exp', 'iat', 'iss', 'jti', 'nbf', 'sid', 'sub']
/** How far ahead another server's clock may be, in seconds. */
const CLOCK_SKEW = 30
const MAX_LENGTH = 2_048

/**
 * Each key has exactly one header, and a token must contain the same bytes. This excludes another algorithm
 * or type, an unknown key, `crit`, an embedded key, and a second spelling.
 */
const headerOf = (kid: string) =>
  Buffer.from(JSON.stringify({ alg: ALGORITHM, typ: TYPE, kid })).toString('base64url')

/** Checks a time claim: seconds since 1970. */
/** A NumericDate of a JSON web token (RFC 7519, 2), in whole seconds. */
export const isTime = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

/**
 * @returns the bearer when the claims are exactly the expected ones and the token is valid at `now` (seconds
 * since 1970)
 */
function readClaims(claims: Record<string, unknown>, now: number, lifetime: number): Bearer | undefined {
  if (Object.keys(claims).sort().join() !== CLAIMS.join()) return undefined
  const { iss, aud, sub, sid, jti, iat, nbf, exp } = claims
  if (iss !== ISSUER || aud !== AUDIENCE || !isUuid(sub) || !isUuid(sid) || !isUuid(jti)) return undefined
  if (!isTime(iat) || !isTime(nbf) || !isTime(exp) || exp - iat > lifetime) return undefined
  if (iat > now + CLOCK_SKEW || nbf > now + CLOCK_SKEW || exp <= now) return undefined
  return { userId: sub, sessionId: sid }
}

/** Registers @fastify/jwt on `app`. The result works once `app` is ready. */
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
    // The library adds `request.jwtVerify`, which would skip the checks below. With this setting it refuses
    // every token.
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
        // Without options the library reuses the verifier that it created for the current key.
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
