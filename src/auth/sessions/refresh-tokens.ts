/**
 * Refresh tokens are derived, not stored. A token is `npr_` and the base64url of 75 bytes: version 1, kid 6,
 * user id 16, session id 16, counter 4 big-endian, HMAC-SHA-256 over all of these 32. A leaked database is
 * not enough to create a token, and only the login session's row can end one.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { decodeBase64url } from '../../crypto/base64url.ts'
import type { Keyring } from '../../crypto/keyring.ts'
import { bytesToUuid, uuidToBytes } from '../../crypto/uuid.ts'

/** `counter`: how often the login session's token was rotated, 0 to 2³² − 1. */
export type RefreshClaim = { userId: string; sessionId: string; counter: number }

export type RefreshTokens = {
  /**
   * @returns 104 characters; the same claim gives the same token
   * @throws when an id is no lower-case uuid or the counter is out of range
   */
  issue(claim: RefreshClaim): string
  /** @returns the claim of an authentic token; undefined for any other text. Never throws. */
  read(token: string): RefreshClaim | undefined
}

const PREFIX = 'npr_'
const VERSION = 1
const AT = { kid: 1, user: 7, session: 23, counter: 39, mac: 43, end: 75 } as const

const macOf = (secret: Buffer, signed: Buffer) => createHmac('sha256', secret).update(signed).digest()

export function createRefreshTokens({ refreshTokens: keys }: Keyring): RefreshTokens {
  const [current] = keys
  const secrets = new Map(keys.map(({ kid, secret }) => [kid, secret]))
  return {
    issue({ userId, sessionId, counter }) {
      const rotation = Buffer.alloc(4)
      rotation.writeUInt32BE(counter)
      const kid = Buffer.from(current.kid, 'base64url')
      const signed = Buffer.concat([
        Buffer.of(VERSION),
        kid,
        uuidToBytes(userId),
        uuidToBytes(sessionId),
        rotation,
      ])
      return PREFIX + Buffer.concat([signed, macOf(current.secret, signed)]).toString('base64url')
    },
    read(token) {
      if (token.length !== PREFIX.length + (AT.end * 4) / 3 || !token.startsWith(PREFIX)) return undefined
      const bytes = decodeBase64url(token.slice(PREFIX.length))
      if (bytes?.[0] !== VERSION) return undefined
      const secret = secrets.get(bytes.toString('base64url', AT.kid, AT.user))
      if (!secret || !timingSafeEqual(macOf(secret, bytes.subarray(0, AT.mac)), bytes.subarray(AT.mac)))
        return undefined
      return {
        userId: bytesToUuid(bytes.subarray(AT.user, AT.session)),
        sessionId: bytesToUuid(bytes.subarray(AT.session, AT.counter)),
        counter: bytes.readUInt32BE(AT.counter),
      }
    },
  }
}
