import { createHash, randomUUID } from 'node:crypto'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { API_KEY_PATTERN, type ApiKeyKind, makeApiKey, readApiKey } from '../../src/auth/api-keys/format.ts'
import { decodeBase62, encodeBase62, randomBase62 } from '../../src/crypto/base62.ts'

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

describe('base62', () => {
  it.each([
    [4, 6],
    [16, 22],
    [32, 43],
  ])('writes %i bytes as %i characters, and reads them back', (byteLength, width) => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: byteLength, maxLength: byteLength }), (bytes) => {
        const text = encodeBase62(Buffer.from(bytes))
        expect(text).toMatch(new RegExp(`^[0-9A-Za-z]{${width}}$`))
        expect(decodeBase62(text, byteLength)).toEqual(Buffer.from(bytes))
      }),
    )
  })

  it('has one text for each value', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...DIGITS), minLength: 22, maxLength: 22 }), (text) => {
        const bytes = decodeBase62(text, 16)
        expect(bytes === undefined || encodeBase62(bytes) === text).toBe(true)
      }),
    )
  })

  it('knows its extremes', () => {
    expect(encodeBase62(Buffer.alloc(16))).toBe('0'.repeat(22))
    expect(encodeBase62(Buffer.alloc(16, 0xff))).toBe('7n42DGM5Tflk9n8mt7Fhc7')
  })

  it.each([
    ['a value one too large', '7n42DGM5Tflk9n8mt7Fhc8'],
    ['the largest text', 'z'.repeat(22)],
    ['too few characters', '0'.repeat(21)],
    ['too many characters', '0'.repeat(23)],
    ['a foreign character', `${'0'.repeat(21)}-`],
    ['a full-width digit', `${'0'.repeat(21)}\uff11`],
    ['a surrogate pair', `${'0'.repeat(20)}😀`],
    ['nothing', ''],
  ])('refuses %s', (_what, text) => {
    expect(decodeBase62(text, 16)).toBeUndefined()
  })

  it('draws every character equally often', () => {
    const counts = new Map<string, number>()
    for (const character of randomBase62(62_000)) counts.set(character, (counts.get(character) ?? 0) + 1)
    expect(counts.size).toBe(62)
    // 1,000 expected; eight standard deviations either way.
    for (const count of counts.values()) expect(Math.abs(count - 1_000)).toBeLessThan(254)
  })
})

describe('API keys', () => {
  const kinds: ApiKeyKind[] = ['agent', 'personal']
  const sealed = (body: string) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(crc32(body))
    return body + encodeBase62(bytes)
  }

  it('read back as they were made', () => {
    fc.assert(
      fc.property(fc.constantFrom(...kinds), fc.uuid(), (kind, userId) => {
        const { key, keyId, sha256 } = makeApiKey(kind, userId)
        expect(readApiKey(key)).toEqual({ kind, userId, keyId, sha256 })
      }),
    )
  })

  it('look as documented', () => {
    const { key, prefix, keyId } = makeApiKey('agent', randomUUID())
    expect(key).toMatch(/^npa_[0-9A-Za-z]{22}_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/)
    expect(key.startsWith(`${prefix}_`)).toBe(true)
    expect(prefix.endsWith(`_${keyId}`)).toBe(true)
    expect(makeApiKey('personal', randomUUID()).key).toMatch(/^npp_/)
  })

  it('are proven by the SHA-256 of the 32 bytes of their secret', () => {
    const { key, sha256 } = makeApiKey('agent', randomUUID())
    const secret = decodeBase62(key.slice(40, 83), 32)
    expect(sha256).toEqual(
      createHash('sha256')
        .update(secret ?? '')
        .digest(),
    )
  })

  it('never repeat', () => {
    const userId = randomUUID()
    const made = Array.from({ length: 1_000 }, () => makeApiKey('agent', userId))
    expect(new Set(made.map(({ keyId }) => keyId)).size).toBe(1_000)
    expect(new Set(made.map(({ sha256 }) => sha256.toString('hex'))).size).toBe(1_000)
  })

  it('are not made for something that is no user id', () => {
    expect(() => makeApiKey('agent', 'ada')).toThrow(TypeError)
    expect(() => makeApiKey('agent', randomUUID().toUpperCase())).toThrow(TypeError)
  })

  it('are refused with any one character changed, T26', () => {
    const { key } = makeApiKey('agent', randomUUID())
    for (let at = 0; at < key.length; at += 1) {
      for (const other of `${DIGITS}_- \n`) {
        if (other !== key[at])
          expect(readApiKey(key.slice(0, at) + other + key.slice(at + 1))).toBeUndefined()
      }
    }
  })

  it('are refused with two neighbours swapped or a character lost, T26', () => {
    const { key } = makeApiKey('personal', randomUUID())
    for (let at = 0; at < key.length; at += 1) {
      const swapped =
        key.slice(0, at) +
        key
          .slice(at, at + 2)
          .split('')
          .reverse()
          .join('') +
        key.slice(at + 2)
      if (swapped !== key) expect(readApiKey(swapped)).toBeUndefined()
      expect(readApiKey(key.slice(0, at) + key.slice(at + 1))).toBeUndefined()
    }
  })

  const { key, prefix } = makeApiKey('agent', randomUUID())
  const body = key.slice(0, 83)
  it.each([
    ['white space before it', ` ${key}`],
    ['a line end after it', `${key}\n`],
    ['a second key after it', `${key}${key}`],
    ['a NUL after it', `${key}\0`],
    ['its public part alone', prefix],
    ['an unknown kind', sealed(body.replace('npa_', 'npx_'))],
    ['upper case', key.toUpperCase()],
    ['a user id that is no uuid', sealed(`npa_${'z'.repeat(22)}${body.slice(26)}`)],
    ['a secret of more than 32 bytes', sealed(`${prefix}_${'z'.repeat(43)}`)],
    ['an overflowing checksum', `${body}zzzzzz`],
    ['nothing', ''],
  ])('are refused with %s, T26', (_what, text) => {
    expect(readApiKey(text)).toBeUndefined()
  })

  it('are read from no other text, and no text makes the reader throw', () => {
    const shaped = fc.stringMatching(/^np[ap]_[0-9A-Za-z]{22}_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/)
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), shaped), (text) => {
        expect(readApiKey(text)).toBeUndefined()
      }),
    )
    expect(readApiKey('npa_'.repeat(1_000_000))).toBeUndefined()
  })

  it('are found in any text by the published pattern, and nothing else is', () => {
    const found = (text: string) =>
      [...text.matchAll(new RegExp(API_KEY_PATTERN, 'g'))].map(([match]) => match)
    const other = makeApiKey('personal', randomUUID()).key
    expect(found(`curl -H "X-API-Key: ${key}" # or ${other}.`)).toEqual([key, other])
    expect(found(`NETPILOT_KEY=${key}`)).toEqual([key])
    expect(found(`${prefix} x${key} ${key}x ${randomUUID()}`)).toEqual([])
  })
})
