/**
 * What is stored or sent sealed: encrypted and authenticated, so that it can neither be read nor made without
 * the key. A sealed text names its key, so that a secret of the operator can be replaced.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { decodeBase64url } from './base64url.ts'
import type { SigningKeys } from './keyring.ts'
import { uuidToBytes } from './uuid.ts'

const CIPHER = 'aes-256-gcm'
/**
 * Bytes: the key's id; a random nonce, which serves 2³² texts under one key (NIST SP 800-38D, 8.3); the
 * encrypted text; the tag that proves it whole.
 */
const LENGTH = { kid: 6, nonce: 12, tag: 16 } as const

/** Encrypts with the current key. `context` is authenticated along, and not stored: to open takes the same. */
function encrypt([{ kid, secret }]: SigningKeys, text: Buffer, context: Buffer): Buffer {
  const nonce = randomBytes(LENGTH.nonce)
  const cipher = createCipheriv(CIPHER, secret, nonce, { authTagLength: LENGTH.tag }).setAAD(context)
  const encrypted = [cipher.update(text), cipher.final()]
  return Buffer.concat([Buffer.from(kid, 'base64url'), nonce, ...encrypted, cipher.getAuthTag()])
}

/** @returns undefined for any bytes that were not sealed by one of the keys in this context. Never throws. */
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

/** What a browser keeps for the server between two requests. */
export type CookieSeal = {
  /** JSON of `value`, sealed: base64url, about 4/3 of its length and 46 characters. */
  seal(value: unknown): string
  /** What was sealed, with the current key or one that it replaced; undefined for any other text. Never throws. */
  unseal(text: string): unknown
}

const NO_CONTEXT = Buffer.alloc(0)

/** `keys` are of one purpose: what is sealed for another does not open. */
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
 * Secrets of an account that must be read again, in a table. The account is authenticated along: a stolen
 * table shows nothing, and a row's secret copied to another row does not open.
 */
export type SecretSeal = {
  /** 35 bytes longer than the secret, and different each time. @throws TypeError when `userId` is no lower-case uuid */
  seal(userId: string, secret: Buffer): Buffer
  /** @throws Error when the bytes were not sealed for this account: somebody changed the row, or lost the key */
  unseal(userId: string, sealed: Buffer): Buffer
  /** Whether a seal of now would have another form or key: seal the secret again. */
  isOutdated(sealed: Buffer): boolean
}

/** The first byte. Version 1 had no key's id and is still read. */
const VERSION = 2
const VERSION_WITHOUT_KEY = 1

/** `keys` are of one purpose, such as those of `pepperKeys`. */
export function createSecretSeal(keys: SigningKeys): SecretSeal {
  const contextOf = (version: number, userId: string) =>
    Buffer.concat([Buffer.of(version), uuidToBytes(userId)])
  const attempt = (userId: string, version: number | undefined, rest: Buffer) => {
    if (version === VERSION) return decrypt(keys, rest, contextOf(VERSION, userId))
    if (version !== VERSION_WITHOUT_KEY) throw new Error('The sealed secret is of an unknown version')
    const context = contextOf(VERSION_WITHOUT_KEY, userId)
    const withKey = (kid: string) => Buffer.concat([Buffer.from(kid, 'base64url'), rest])
    return keys.map(({ kid }) => decrypt(keys, withKey(kid), context)).find((opened) => opened !== undefined)
  }
  return {
    seal: (userId, secret) =>
      Buffer.concat([Buffer.of(VERSION), encrypt(keys, secret, contextOf(VERSION, userId))]),
    unseal(userId, sealed) {
      const secret = attempt(userId, sealed[0], sealed.subarray(1))
      if (!secret)
        throw new Error('The sealed secret was not sealed for this account with a key that is known')
      return secret
    },
    isOutdated: (sealed) =>
      sealed[0] !== VERSION || sealed.toString('base64url', 1, 1 + LENGTH.kid) !== keys[0].kid,
  }
}
