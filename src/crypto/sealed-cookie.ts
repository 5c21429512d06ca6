/**
 * What a browser keeps for the server between two requests: encrypted and authenticated, so that it can
 * neither be read nor made.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { decodeBase64url } from './base64url.ts'
import type { SigningKeys } from './keyring.ts'

export type Seal = {
  /** JSON of `value`, sealed: base64url, about 4/3 of its length and 46 characters. */
  seal(value: unknown): string
  /**
   * What was sealed, with the current key or one that it replaced; undefined for any other text. Never
   * throws.
   */
  open(text: string): unknown
}

const CIPHER = 'aes-256-gcm'
/**
 * Bytes: which key, a nonce that is never used twice (NIST SP 800-38D, 8.2.2), the text, and the tag that
 * proves it whole.
 */
const LENGTH = { kid: 6, nonce: 12, tag: 16 } as const

/**
 * `keys` are of one purpose: what is sealed for another does not open.
 */
export function createCookieSeal(keys: SigningKeys): Seal {
  const [current] = keys
  return {
    seal(value) {
      const nonce = randomBytes(LENGTH.nonce)
      const cipher = createCipheriv(CIPHER, current.secret, nonce)
      const text = [cipher.update(JSON.stringify(value), 'utf8'), cipher.final()]
      return Buffer.concat([
        Buffer.from(current.kid, 'base64url'),
        nonce,
        ...text,
        cipher.getAuthTag(),
      ]).toString('base64url')
    },
    open(text) {
      const bytes = decodeBase64url(text)
      const start = LENGTH.kid + LENGTH.nonce
      if (!bytes || bytes.length < start + LENGTH.tag) return undefined
      const key = keys.find(({ kid }) => kid === bytes.toString('base64url', 0, LENGTH.kid))
      if (!key) return undefined
      const decipher = createDecipheriv(CIPHER, key.secret, bytes.subarray(LENGTH.kid, start), {
        authTagLength: LENGTH.tag,
      })
      decipher.setAuthTag(bytes.subarray(-LENGTH.tag))
      try {
        return JSON.parse(
          Buffer.concat([decipher.update(bytes.subarray(start, -LENGTH.tag)), decipher.final()]).toString(),
        )
      } catch {
        return undefined
      }
    },
  }
}
