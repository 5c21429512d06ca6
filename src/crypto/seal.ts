/**
 * Seals values that are stored or sent: encrypts and authenticates them, so that only the key can read or
 * create them. A sealed text carries its key id, so that the operator can rotate the secret.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { decodeBase64url } from './base64url.ts'
import type { SigningKeys } from './keyring.ts'
import { uuidToBytes } from './uuid.ts'

const CIPHER = 'aes-256-gcm'
/**
 * Layout in bytes: the key id; a random nonce, enough for 2³² texts under one key (NIST SP 800-38D, 8.3); the
 * ciphertext; the authentication tag.
 */
const LENGTH = { kid: 6, nonce: 12, tag: 16 } as const

/**
 * Encrypts with the current key. `context` is authenticated but not stored: `decrypt` needs the same context.
 */
function encrypt([{ kid, secret }]: SigningKeys, text: Buffer, context: Buffer): Buffer {
  const nonce = randomBytes(LENGTH.nonce)
  const cipher = createCipheriv(CIPHER, secret, nonce, { authTagLength: LENGTH.tag }).setAAD(context)
  const encrypted = [cipher.update(text), cipher.final()]
  return Buffer.concat([Buffer.from(kid, 'base64url'), nonce, ...encrypted, cipher.getAuthTag()])
}

/** @returns undefined for bytes that none of the keys sealed in this context. Never throws. */
function decrypt(keys: SigningKeys, bytes: Buffer, context: Buffer): Buffer | undefined {
  const start = LENGTH.kid + LENGTH.nonce
  const key = keys.find(({ kid }) => kid === bytes.toString('base64url', 0, LENGTH.kid))
  if (!key || bytes.length < start + LENGTH.tag) return undefined
  const nonce = bytes.subarray(LENGTH.kid, start)
  const decipher = createDecipheriv(CIPHER, key.secret, nonce, { authTagLength: LENGTH.tag })
    .setAAD(context)
    .setAuthTag(bytes.subarray(-LENGTH.tag))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(start, -LENGTH.tag)), decipher.final()])
  } catch {
    return undefined
  }
}

/** Seals what a browser stores for the server between two requests. */
export type CookieSeal = {
  /** Seals the JSON of `value` as base64url, about 4/3 of its length plus 46 characters. */
  seal(value: unknown): string
  /**
   * Unseals a text sealed with the current or the previous key. Any other text gives undefined. Never throws.
   */
  unseal(text: string): unknown
}

const NO_CONTEXT = Buffer.alloc(0)

/** `keys` belong to one purpose. A text that was sealed for another purpose does not unseal. */
export function createCookieSeal(keys: SigningKeys): CookieSeal {
  return {
    seal: (value) => encrypt(keys, Buffer.from(JSON.stringify(value)), NO_CONTEXT).toString('base64url'),
    unseal(text) {
      const bytes = decodeBase64url(text)
      const opened = bytes && decrypt(keys, bytes, NO_CONTEXT)
      return opened && JSON.parse(opened.toString())
    },
  }
}

/**
 * Seals those secrets of an account that the server must read again. The user id is authenticated too: a
 * stolen table reveals nothing, and a secret copied to another row does not unseal.
 */
export type SecretSeal = {
  /**
   * The result is 35 bytes longer than the secret and different each time. @throws TypeError when `userId` is
   * no lower-case uuid
   */
  seal(userId: string, secret: Buffer): Buffer
  /**
   * @throws Error when the bytes were not sealed for this account: the row was changed, or the key is missing
   */
  unseal(userId: string, sealed: Buffer): Buffer
  /** Whether the format or the key is no longer current, so that the secret should be sealed again. */
  isOutdated(sealed: Buffer): boolean
}

/** The first byte. Version 1 had no key id and is still read. */
const VERSION = 2
const VERSION_WITHOUT_KEY = 1

/** `keys` belong to one purpose, such as those of `pepperKeys`. */
export function createSecretSeal(keys: SigningKeys): SecretSeal {
  const contextOf = (version: number, userId: string) =>
    Buffer.concat([Buffer.of(version), uuidToBytes(userId)])
  const attempt = (userId: string, version: number | undefined, rest: Buffer) => {
    if (version === VERSION) return decrypt(keys, rest, contextOf(VERSION, userId))
    if (version !== VERSION_WITHOUT_KEY) throw new Error('The sealed secret has an unknown version')
    const context = contextOf(VERSION_WITHOUT_KEY, userId)
    const withKey = (kid: string) => Buffer.concat([Buffer.from(kid, 'base64url'), rest])
    return keys.map(({ kid }) => decrypt(keys, withKey(kid), context)).find((opened) => opened !== undefined)
  }
  return {
    seal: (userId, secret) =>
      Buffer.concat([Buffer.of(VERSION), encrypt(keys, secret, contextOf(VERSION, userId))]),
    unseal(userId, sealed) {
      const secret = attempt(userId, sealed[0], sealed.subarray(1))
      if (!secret) throw new Error('The secret was not sealed for this account with a known key')
      return secret
    },
    isOutdated: (sealed) =>
      sealed[0] !== VERSION || sealed.toString('base64url', 1, 1 + LENGTH.kid) !== keys[0].kid,
  }
}
