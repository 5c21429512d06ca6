/**
 * The parts of the second factor: codes of an authenticator app, the secret behind them at rest, and codes
 * for when the app is lost.
 */
import { createCipheriv, randomBytes, randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { URI } from 'otpauth'
import { describe, expect, it } from 'vitest'
import { createRecoveryCodes } from '../../src/auth/second-factor/recovery-codes.ts'
import { describeTotp, makeTotpSecret, matchTotp } from '../../src/auth/second-factor/totp.ts'
import { deriveKey } from '../../src/crypto/hkdf.ts'
import { pepperKeys } from '../../src/crypto/keyring.ts'
import { createSecretSeal } from '../../src/crypto/seal.ts'
import { uuidToBytes } from '../../src/crypto/uuid.ts'

const pepper = randomBytes(32).toString('base64')
const keysOf = (current = pepper, purpose = 'sealed totp') => pepperKeys({ current }, purpose)
const at = (seconds: number) => new Date(seconds * 1_000)

describe('a code of an authenticator app', () => {
  const secret = Buffer.from('12345678901234567890')
  const step = 37_037_036
  /** RFC 6238, appendix B (SHA-1), of which six digits are the last six of eight. */
  const VECTORS: [seconds: number, code: string][] = [
    [59, '94287082'],
    [1_111_111_109, '07081804'],
    [1_111_111_111, '14050471'],
    [1_234_567_890, '89005924'],
    [2_000_000_000, '69279037'],
    [20_000_000_000, '65353130'],
  ]

  it.each(VECTORS)('at %i s is that of RFC 6238, and tells its step', (seconds, code) => {
    expect(matchTotp(secret, code.slice(2), at(seconds))).toBe(Math.floor(seconds / 30))
  })

  it.each([
    ['755224', 0],
    ['287082', 1],
    ['359152', 2],
    ['969429', 3],
    ['520489', 9],
  ])('%s is that of step %i, as in RFC 4226, appendix D', (code, counter) => {
    expect(matchTotp(secret, code, at(counter * 30))).toBe(counter)
  })

  it('holds for its step, one before and one after, and tells the same step all the while', () => {
    const code = '081804'
    const around = [-31, -30, -1, 0, 29, 30, 59, 60].map((offset) =>
      matchTotp(secret, code, at(step * 30 + offset)),
    )
    expect(around).toEqual([undefined, step, step, step, step, step, step, undefined])
  })

  it('is wrong for another secret', () => {
    expect(matchTotp(Buffer.alloc(20, 7), '081804', at(step * 30))).toBeUndefined()
    expect(matchTotp(Buffer.concat([secret, Buffer.of(1)]), '081804', at(step * 30))).toBeUndefined()
  })

  it.each([
    '',
    '08180',
    '0818041',
    '081 804',
    ' 81804',
    '+81804',
    '8.1804',
    '0x1804',
    '08180\n',
    '081804\n',
    '٠٨١٨٠٤',
    '08180é',
    '🔑🔑🔑',
  ])('is six digits and nothing else: %j is none', (code) => {
    expect(matchTotp(secret, code, at(step * 30))).toBeUndefined()
  })

  it('is found in no other text, and no text makes the reader throw', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(matchTotp(secret, text, at(step * 30))).toBeUndefined()
      }),
    )
  })

  it('is checked with the bytes of the secret, wherever in memory they lie', () => {
    const within = Buffer.concat([Buffer.alloc(5, 7), secret, Buffer.alloc(5, 7)]).subarray(5, 25)
    expect(matchTotp(within, '081804', at(step * 30))).toBe(step)
  })
})

describe('a secret of an authenticator app', () => {
  it('is 20 bytes, another each time, told as 32 characters of base32', () => {
    const [first, second] = [makeTotpSecret(), makeTotpSecret()]
    expect(first).toHaveLength(20)
    expect(first.equals(second)).toBe(false)
    expect(describeTotp(first, 'ada@example.com').secret).toMatch(/^[A-Z2-7]{32}$/)
  })

  it('is described by a URI that names the service and the account, in the form that every app knows', () => {
    const { secret, uri } = describeTotp(Buffer.from('12345678901234567890'), 'ada+home@example.com')
    expect(secret).toBe('GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ')
    expect(uri).toBe(
      `otpauth://totp/NetPilot:ada%2Bhome%40example.com?issuer=NetPilot&secret=${secret}&algorithm=SHA1&digits=6&period=30`,
    )
  })

  it('makes the same codes in an app as here, whatever the account is called', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[^\s@]{1,40}@example\.com$/),
        fc.integer({ min: 0, max: 2 ** 33 }),
        (account, seconds) => {
          const secret = makeTotpSecret()
          const app = URI.parse(describeTotp(secret, account).uri)
          expect(app).toMatchObject({ issuer: 'NetPilot', label: account })
          const code = 'period' in app ? app.generate({ timestamp: seconds * 1_000 }) : ''
          expect(matchTotp(secret, code, at(seconds))).toBe(Math.floor(seconds / 30))
        },
      ),
    )
  })
})

/** The sealed form before keys had ids: version 1, nonce, text, tag. */
function sealedWithoutKey(userId: string, secret: Buffer): Buffer {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', deriveKey(pepper, 'sealed totp'), nonce)
  cipher.setAAD(Buffer.concat([Buffer.of(1), uuidToBytes(userId)]))
  const text = [cipher.update(secret), cipher.final()]
  return Buffer.concat([Buffer.of(1), nonce, ...text, cipher.getAuthTag()])
}

describe('a sealed secret', () => {
  const seal = createSecretSeal(keysOf())
  const [ada, bob] = [randomUUID(), randomUUID()]
  const secret = makeTotpSecret()

  it('opens for its account, and is neither readable nor ever the same', () => {
    const [first, second] = [seal.seal(ada, secret), seal.seal(ada, secret)]
    expect(seal.unseal(ada, first)).toEqual(secret)
    expect(seal.unseal(ada, second)).toEqual(secret)
    expect(first.equals(second)).toBe(false)
    expect(first).toHaveLength(20 + 35)
    expect(first.includes(secret)).toBe(false)
  })

  it('does not open in the row of another account', () => {
    expect(() => seal.unseal(bob, seal.seal(ada, secret))).toThrow()
  })

  it('does not open with another pepper, nor for another purpose', () => {
    const sealed = seal.seal(ada, secret)
    expect(() => createSecretSeal(keysOf(randomBytes(32).toString('base64'))).unseal(ada, sealed)).toThrow()
    expect(() => createSecretSeal(keysOf(pepper, 'other')).unseal(ada, sealed)).toThrow()
    expect(createSecretSeal(keysOf()).unseal(ada, sealed)).toEqual(secret)
  })

  it('opens with the pepper that was replaced, and in the form before that, and says that it is outdated', () => {
    const replaced = createSecretSeal(
      pepperKeys({ current: randomBytes(32).toString('base64'), previous: pepper }, 'sealed totp'),
    )
    for (const sealed of [seal.seal(ada, secret), sealedWithoutKey(ada, secret)]) {
      expect(replaced.unseal(ada, sealed)).toEqual(secret)
      expect(replaced.isOutdated(sealed)).toBe(true)
      expect(() => replaced.unseal(bob, sealed)).toThrow()
    }
    const anew = replaced.seal(ada, secret)
    expect(replaced.isOutdated(anew)).toBe(false)
    expect(seal.isOutdated(sealedWithoutKey(ada, secret))).toBe(true)
    expect(() => seal.unseal(ada, anew)).toThrow()
  })

  it('does not open with any one bit changed, nor any byte short or over', () => {
    const sealed = seal.seal(ada, secret)
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const changed = Buffer.from(sealed)
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      expect(() => seal.unseal(ada, changed)).toThrow()
    }
    for (let length = 0; length < sealed.length; length += 1)
      expect(() => seal.unseal(ada, sealed.subarray(0, length))).toThrow()
    expect(() => seal.unseal(ada, Buffer.concat([sealed, Buffer.of(0)]))).toThrow()
  })
})

describe('recovery codes', () => {
  const recoveryCodes = createRecoveryCodes(keysOf(pepper, 'recovery codes'))
  const [ada, bob] = [randomUUID(), randomUUID()]
  const { codes, digests } = recoveryCodes.make(ada)
  const digestOf = (userId: string, typed: string) => recoveryCodes.digests(userId, typed)?.[0]
  const [code = '', other = ''] = codes
  const [digest] = digests

  it('are ten, all different, of 60 bits each, in groups that can be read out', () => {
    expect(codes).toHaveLength(10)
    expect(new Set(codes).size).toBe(10)
    for (const each of codes) expect(each).toMatch(/^[0-9a-hjkmnp-tv-z]{4}(-[0-9a-hjkmnp-tv-z]{4}){2}$/)
    expect(recoveryCodes.make(ada).codes).not.toContain(code)
  })

  it('use each of the 32 characters alike', () => {
    const counts = new Map<string, number>()
    for (let batch = 0; batch < 200; batch += 1)
      for (const character of recoveryCodes.make(ada).codes.join('').replaceAll('-', ''))
        counts.set(character, (counts.get(character) ?? 0) + 1)
    expect([...counts.keys()].sort().join('')).toBe('0123456789abcdefghjkmnpqrstvwxyz')
    // 750 of each are expected; eight standard deviations (27) either way.
    for (const [character, count] of counts) expect(Math.abs(count - 750), character).toBeLessThan(216)
  })

  it('are stored as digests that say nothing without the pepper', () => {
    expect(digests.map((stored) => stored.length)).toEqual(codes.map(() => 32))
    expect(codes.map((each) => digestOf(ada, each))).toEqual(digests)
    expect(
      createRecoveryCodes(keysOf(randomBytes(32).toString('base64'), 'recovery codes')).digests(
        ada,
        code,
      )?.[0],
    ).not.toEqual(digest)
  })

  it('are found under the pepper that was replaced, too', () => {
    const current = randomBytes(32).toString('base64')
    const replaced = createRecoveryCodes(pepperKeys({ current, previous: pepper }, 'recovery codes'))
    expect(replaced.digests(ada, code)).toHaveLength(2)
    expect(replaced.digests(ada, code)).toContainEqual(digest)
  })

  it('are of one account: copied to another row they are worth nothing', () => {
    expect(digestOf(bob, code)).not.toEqual(digest)
    expect(digestOf(ada, other)).not.toEqual(digest)
  })

  it.each<[string, (text: string) => string]>([
    ['in capitals', (text) => text.toUpperCase()],
    ['without hyphens', (text) => text.replaceAll('-', '')],
    ['with spaces instead', (text) => text.replaceAll('-', ' ')],
    ['with white space around them', (text) => `\t ${text}\r\n`],
    ['with typographic dashes', (text) => text.replace('-', '–').replace('-', '\u2011')],
    ['one character at a time', (text) => [...text].join(' ')],
    ['with o for 0', (text) => text.replaceAll('0', 'o')],
    ['with O for 0', (text) => text.replaceAll('0', 'O')],
    ['with l for 1', (text) => text.replaceAll('1', 'l')],
    ['with I for 1', (text) => text.replaceAll('1', 'I')],
  ])('are understood %s', (_how, typed) => {
    for (let batch = 0; batch < 5; batch += 1) {
      const made = recoveryCodes.make(ada)
      expect(made.codes.map((each) => digestOf(ada, typed(each)))).toEqual(made.digests)
    }
  })

  it.each([
    ['nothing', ''],
    ['six digits', '123456'],
    ['a character less', code.slice(1)],
    ['a character more', `${code}0`],
    ['a letter that is not used', code.replace(/./, 'u')],
    ['an underscore', code.replace(/./, '_')],
    ['dots between the groups', code.replaceAll('-', '.')],
    ['keys', '🔑'.repeat(6)],
  ])('have one form, and %s is not it', (_what, typed) => {
    expect(digestOf(ada, typed)).toBeUndefined()
  })
})
