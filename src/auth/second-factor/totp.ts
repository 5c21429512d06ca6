/**
 * Time-based one-time passwords (RFC 6238) that every authenticator app supports: HMAC-SHA-1, six digits, a
 * new code every 30 seconds. A step is one such period, counted from 1970.
 */
import { randomBytes } from 'node:crypto'
import { Secret, TOTP } from 'otpauth'

const ISSUER = 'NetPilot'
/** As long as the output of the HMAC (RFC 4226, section 4, R6). */
const SECRET_BYTES = 20
const FORM = { algorithm: 'SHA1', digits: 6, period: 30 } as const
/** One step to either side, to allow for an inaccurate clock and for typing time (RFC 6238, 5.2 and 6). */
const WINDOW = 1
const CODE = /^[0-9]{6}$/

/** 20 random bytes, to be shared with an authenticator app once. */
export const makeTotpSecret = (): Buffer => randomBytes(SECRET_BYTES)

/** The library takes a whole ArrayBuffer, and a Buffer may be a part of a larger one. */
const shared = (secret: Buffer) => new Secret({ buffer: Uint8Array.from(secret).buffer })

/**
 * @returns what a person types or scans as a QR code: the secret in base32 (32 characters), and an
 * `otpauth://` URI that contains it. The URI also names this service and the account
 * (https://github.com/google/google-authenticator/wiki/Key-Uri-Format).
 */
export function describeTotp(secret: Buffer, account: string): { secret: string; uri: string } {
  const totp = new TOTP({ ...FORM, issuer: ISSUER, label: account, secret: shared(secret) })
  return { secret: totp.secret.base32, uri: totp.toString() }
}

/**
 * Compares codes in constant time and never throws. A code works once: the caller accepts a step only when it
 * is later than the last accepted one (RFC 6238, 5.2).
 * @returns the step of a code when it is one of those around `at`; undefined for any other text
 */
export function matchTotp(secret: Buffer, code: string, at: Date): number | undefined {
  // The library compares bytes, and throws when six characters have more than six bytes.
  if (!CODE.test(code)) return undefined
  const timestamp = at.getTime()
  const delta = TOTP.validate({ ...FORM, secret: shared(secret), token: code, timestamp, window: WINDOW })
  return delta === null ? undefined : TOTP.counter({ period: FORM.period, timestamp }) + delta
}
