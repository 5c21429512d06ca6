/**
 * Secrets that must be read again, at rest: version 1 (1 byte), nonce (12), the secret under AES-256-GCM, tag
 * (16). The key comes from the pepper, which is kept outside the database, and the account is authenticated
 * along: a stolen table shows nothing, and a row's secret copied to another row does not open.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { deriveKey } from './hkdf.ts'
import { uuidToBytes } from './uuid.ts'

export type SecretSeal = {
  /**
   * 29 bytes longer than the secret, and different each time. @throws TypeError when `userId` is not a
   * lower-case uuid
   */
  seal(userId: string, secret: Buffer): Buffer
  /**
   * @throws Error when these bytes were not sealed for this account with this pepper: somebody changed the
   * row, or lost the pepper
   */
  open(userId: string, sealed: Buffer): Buffer
}

const CIPHER = 'aes-256-gcm'
const VERSION = 1
/** Random nonces of 96 bits serve 2³² secrets under one key (NIST SP 800-38D, 8.3). */
const NONCE_BYTES = 12
const TAG_BYTES = 16
const SECRET_AT = 1 + NONCE_BYTES

/**
 * `purpose` keeps secrets of different kinds apart. `pepper`: at least 32 random bytes as text.
 */
export function createSecretSeal(pepper: string, purpose: string): SecretSeal {
  const key = deriveKey(pepper, `sealed ${purpose}`)
  const boundTo = (userId: string) => Buffer.concat([Buffer.of(VERSION), uuidToBytes(userId)])
  return {
    seal(userId, secret) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES }).setAAD(boundTo(userId))
      return Buffer.concat([
        Buffer.of(VERSION),
        nonce,
        cipher.update(secret),
        cipher.final(),
        cipher.getAuthTag(),
      ])
    },
    open(userId, sealed) {
      if (sealed[0] !== VERSION) throw new Error('The sealed secret is of an unknown version')
      const decipher = createDecipheriv(CIPHER, key, sealed.subarray(1, SECRET_AT), {
        authTagLength: TAG_BYTES,
      })
        .setAAD(boundTo(userId))
        .setAuthTag(sealed.subarray(-TAG_BYTES))
      return Buffer.concat([decipher.update(sealed.subarray(SECRET_AT, -TAG_BYTES)), decipher.final()])
    },
  }
}
