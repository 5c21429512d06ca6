import { createHmac, randomBytes, randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRefreshTokens } from '../../src/auth/sessions/refresh-tokens.ts'
import { createKeyring, type SigningKey } from '../../src/crypto/keyring.ts'

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const [oldSecret, newSecret] = [randomBytes(32).toString('hex'), randomBytes(32).toString('base64')]
const keyring = createKeyring({ current: newSecret })
const tokens = createRefreshTokens(keyring)
const claim = () => ({ userId: randomUUID(), sessionId: randomUUID(), counter: 7 })

/** A token over chosen bytes with a true signature. */
function forge(signed: Buffer, { secret }: SigningKey): string {
  return `npr_${Buffer.concat([signed, createHmac('sha256', secret).update(signed).digest()]).toString('base64url')}`
}
const signedPart = (token: string) => Buffer.from(token.slice(4), 'base64url').subarray(0, 43)

describe('refresh tokens', () => {
  it('read back as they were issued', () => {
    fc.assert(
      fc.property(
        fc.uuid(),
        fc.uuid(),
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        (userId, sessionId, counter) => {
          expect(tokens.read(tokens.issue({ userId, sessionId, counter }))).toEqual({
            userId,
            sessionId,
            counter,
          })
        },
      ),
    )
  })

  it('are 104 characters, the same for the same claim and others for the next', () => {
    const first = claim()
    expect(tokens.issue(first)).toMatch(/^npr_[\w-]{100}$/)
    expect(tokens.issue(first)).toBe(tokens.issue(first))
    expect(tokens.issue({ ...first, counter: 8 })).not.toBe(tokens.issue(first))
  })

  it('are not issued for what does not fit', () => {
    expect(() => tokens.issue({ ...claim(), counter: -1 })).toThrow(RangeError)
    expect(() => tokens.issue({ ...claim(), counter: 2 ** 32 })).toThrow(RangeError)
    expect(() => tokens.issue({ ...claim(), userId: 'ada' })).toThrow(TypeError)
  })

  it('are refused with any one character changed', () => {
    const token = tokens.issue(claim())
    for (let at = 0; at < token.length; at += 1) {
      for (const other of `${BASE64URL}+/=. \n`) {
        if (other !== token[at])
          expect(tokens.read(token.slice(0, at) + other + token.slice(at + 1))).toBeUndefined()
      }
    }
  })

  it('of the previous key are read, and the current one signs', () => {
    const issued = claim()
    const old = createRefreshTokens(createKeyring({ current: oldSecret })).issue(issued)
    const rotated = createRefreshTokens(createKeyring({ current: newSecret, previous: oldSecret }))
    expect(rotated.read(old)).toEqual(issued)
    expect(rotated.issue(issued)).toBe(tokens.issue(issued))
    expect(tokens.read(old)).toBeUndefined()
  })

  it('of one key are refused under the kid of another', () => {
    const [current, previous] = createKeyring({ current: newSecret, previous: oldSecret }).refreshTokens
    const signed = Buffer.from(signedPart(tokens.issue(claim())))
    signed.write(previous?.kid ?? '', 1, 'base64url')
    expect(
      createRefreshTokens(createKeyring({ current: newSecret, previous: oldSecret })).read(
        forge(signed, current),
      ),
    ).toBeUndefined()
  })

  const token = tokens.issue(claim())
  const [key] = keyring.refreshTokens
  const otherVersion = Buffer.from(signedPart(token))
  otherVersion[0] = 2
  it.each([
    ['white space before it', ` ${token}`],
    ['a line end after it', `${token}\n`],
    ['padding', `${token}=`],
    ['no prefix', token.slice(4)],
    ['another prefix', token.replace('npr_', 'npa_')],
    ['standard base64', `npr_${Buffer.alloc(75, 0xff).toString('base64')}`],
    ['a true signature over another version', forge(otherVersion, key)],
    ['a true signature over fewer bytes', forge(signedPart(token).subarray(0, 42), key)],
    ['a true signature over more bytes', forge(Buffer.concat([signedPart(token), Buffer.of(0)]), key)],
    ['the signature of the access-token key', forge(signedPart(token), keyring.accessTokens[0])],
    ['the signature of an empty key', forge(signedPart(token), { kid: '', secret: Buffer.alloc(0) })],
    ['a signature cut short', token.slice(0, -4)],
    [
      'a signature of zeros',
      `npr_${Buffer.concat([signedPart(token), Buffer.alloc(32)]).toString('base64url')}`,
    ],
    ['nothing', ''],
  ])('are refused with %s', (_what, text) => {
    expect(tokens.read(text)).toBeUndefined()
  })

  it('are read from no other text, and no text makes the reader throw', () => {
    const shaped = fc.stringMatching(/^npr_[\w-]{100}$/)
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), shaped), (text) => {
        expect(tokens.read(text)).toBeUndefined()
      }),
    )
    expect(tokens.read(token + 'A'.repeat(1_000_000))).toBeUndefined()
  })
})
