/**
 * Recovery codes, which a person writes down in case they lose the authenticator. A code is twelve characters
 * of Crockford's base 32 (https://www.crockford.com/base32.html: no i, l, o or u), 60 random bits, as
 * `abcd-efgh-jkmn`. The table stores an HMAC under a key derived from the pepper and bound to the account. A
 * plain digest of 60 bits could be searched after a theft of the table, and an attacker with write access
 * could copy it to another account.
 */
import { createHmac, randomBytes } from 'node:crypto'
import type { SigningKeys } from '../../crypto/keyring.ts'
import { uuidToBytes } from '../../crypto/uuid.ts'

export type RecoveryCodes = {
  /**
   * @returns ten codes, to be shown once, and the digest to store for each
   * @throws TypeError when `userId` is not a lower-case uuid
   */
  make(userId: string): { codes: string[]; digests: Buffer[] }
  /**
   * Accepts a typed code in any case, with or without spaces and hyphens, with o for 0 and i or l for 1.
   * @returns the digests under the current key and the earlier ones; undefined for text of another form
   * @throws TypeError when `userId` is not a lower-case uuid
   */
  digests(userId: string, typed: string): Buffer[] | undefined
}

export const RECOVERY_CODE_COUNT = 10

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const LENGTH = 12
const FORM = new RegExp(`^[${ALPHABET}]{${LENGTH}}$`)

/** Each byte gives one character without bias: 32 divides 256. */
const makeCode = () =>
  Array.from(randomBytes(LENGTH), (byte) => ALPHABET.charAt(byte % ALPHABET.length)).join('')
const grouped = (code: string) => code.replace(/.{4}(?=.)/g, '$&-')

function normalised(typed: string): string | undefined {
  // Word processors replace hyphens with dashes.
  const code = typed
    .replace(/[\s\p{Dash_Punctuation}]/gu, '')
    .toLowerCase()
    .replaceAll('o', '0')
    .replace(/[il]/g, '1')
  return FORM.test(code) ? code : undefined
}

/** `keys`: the keys that `pepperKeys` derives for recovery codes. */
export function createRecoveryCodes(keys: SigningKeys): RecoveryCodes {
  const digestOf = (userId: string, code: string, { secret } = keys[0]) =>
    createHmac('sha256', secret).update(uuidToBytes(userId)).update(code).digest()
  return {
    make(userId) {
      const codes = Array.from({ length: RECOVERY_CODE_COUNT }, makeCode)
      return { codes: codes.map(grouped), digests: codes.map((code) => digestOf(userId, code)) }
    },
    digests(userId, typed) {
      const code = normalised(typed)
      return code === undefined ? undefined : keys.map((key) => digestOf(userId, code, key))
    },
  }
}
