/**
 * Secrets for one use, sent by mail or returned to a browser: `npt_<user id, 22>_<secret, 43>`, base62. The
 * user id selects the rows to search. The secret is 256 random bits, so a plain SHA-256 of it can be stored.
 */
import { createHash, randomBytes } from 'node:crypto'
import { decodeBase62, encodeBase62 } from '../../crypto/base62.ts'
import { bytesToUuid, uuidToBytes } from '../../crypto/uuid.ts'

export type SingleUseClaim = { userId: string; sha256: Buffer }

const FORM = /^npt_(?<user>[0-9A-Za-z]{22})_(?<secret>[0-9A-Za-z]{43})$/
const sha256 = (secret: Buffer) => createHash('sha256').update(secret).digest()

export function makeSingleUseToken(userId: string): { token: string; sha256: Buffer } {
  const secret = randomBytes(32)
  return { token: `npt_${encodeBase62(uuidToBytes(userId))}_${encodeBase62(secret)}`, sha256: sha256(secret) }
}

/** @returns the claim of a well-formed token; undefined for any other text. Never throws. */
export function readSingleUseToken(text: string): SingleUseClaim | undefined {
  const { user = '', secret = '' } = FORM.exec(text)?.groups ?? {}
  const [userBytes, secretBytes] = [decodeBase62(user, 16), decodeBase62(secret, 32)]
  return userBytes && secretBytes
    ? { userId: bytesToUuid(userBytes), sha256: sha256(secretBytes) }
    : undefined
}
