/**
 * API keys: `npa_<user id, 22>_<key id, 12>_<secret, 43><checksum, 6>`, all base62. A personal key begins
 * with `npp_`. The user id selects the rows to search. The checksum (CRC-32 of all before it) avoids the
 * search for mistyped or invented keys. The secret is 256 random bits, so a plain SHA-256 of it can be
 * stored.
 */
import { createHash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { decodeBase62, encodeBase62, randomBase62 } from '../../crypto/base62.ts'
import { bytesToUuid, uuidToBytes } from '../../crypto/uuid.ts'

/** `agent`: bound to one router. `personal`: for the scripts of one person. */
export type ApiKeyKind = 'agent' | 'personal'

/**
 * A new key. `key` is shown once and never stored. `prefix` (39 characters) is its public part, up to and
 * including the key id.
 */
export type NewApiKey = { key: string; prefix: string; keyId: string; sha256: Buffer }

/** The claim of a well-formed key. `sha256` (of the 32 bytes of its secret) is what proves it. */
export type ApiKeyClaim = { kind: ApiKeyKind; userId: string; keyId: string; sha256: Buffer }

/**
 * For secret scanners: the source of a regular expression (RE2 and PCRE alike) that finds keys in any text.
 * Case matters.
 */
export const API_KEY_PATTERN = String.raw`\bnp[ap]_[0-9A-Za-z]{22}_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\b`

const FORM = new RegExp(`^${API_KEY_PATTERN}$`)
const KEY_ID_WIDTH = 12
const SECRET_BYTES = 32

const sha256 = (secret: Buffer) => createHash('sha256').update(secret).digest()

function checksum(text: string): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(text))
  return encodeBase62(bytes)
}

/** @throws TypeError when `userId` is not a lower-case uuid */
export function makeApiKey(kind: ApiKeyKind, userId: string): NewApiKey {
  const keyId = randomBase62(KEY_ID_WIDTH)
  const secret = randomBytes(SECRET_BYTES)
  const prefix = `${kind === 'agent' ? 'npa' : 'npp'}_${encodeBase62(uuidToBytes(userId))}_${keyId}`
  const body = `${prefix}_${encodeBase62(secret)}`
  return { key: body + checksum(body), prefix, keyId, sha256: sha256(secret) }
}

/**
 * Checks form and checksum only. The database decides whether the key exists. This function never throws, and
 * its work is bounded for any text.
 */
export function readApiKey(text: string): ApiKeyClaim | undefined {
  if (!FORM.test(text) || checksum(text.slice(0, 83)) !== text.slice(83)) return undefined
  const user = decodeBase62(text.slice(4, 26), 16)
  const secret = decodeBase62(text.slice(40, 83), SECRET_BYTES)
  if (!user || !secret) return undefined
  return {
    kind: text.startsWith('npa') ? 'agent' : 'personal',
    userId: bytesToUuid(user),
    keyId: text.slice(27, 39),
    sha256: sha256(secret),
  }
}
