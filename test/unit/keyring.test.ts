import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createKeyring } from '../../src/crypto/keyring.ts'

const secret = () => randomBytes(32).toString('base64')

describe('the keyring', () => {
  it('derives the same keys from the same secret, and other ones from another', () => {
    const current = secret()
    expect(createKeyring({ current })).toEqual(createKeyring({ current }))
    expect(createKeyring({ current: secret() }).accessTokens[0].secret).not.toEqual(
      createKeyring({ current }).accessTokens[0].secret,
    )
  })

  it('has another key and another kid for each purpose', () => {
    const { accessTokens, refreshTokens } = createKeyring({ current: secret() })
    expect(accessTokens[0].secret).toHaveLength(32)
    expect(accessTokens[0].secret).not.toEqual(refreshTokens[0].secret)
    expect(accessTokens[0].kid).not.toBe(refreshTokens[0].kid)
  })

  it('names a key with 8 characters that are no part of it', () => {
    const { kid, secret: key } = createKeyring({ current: secret() }).accessTokens[0]
    expect(kid).toMatch(/^[\w-]{8}$/)
    expect(key.includes(Buffer.from(kid, 'base64url'))).toBe(false)
  })

  it('keeps the previous secret’s keys after the current ones', () => {
    const [current, previous] = [secret(), secret()]
    const both = createKeyring({ current, previous })
    expect(both.accessTokens).toEqual([
      ...createKeyring({ current }).accessTokens,
      ...createKeyring({ current: previous }).accessTokens,
    ])
    expect(both.refreshTokens).toHaveLength(2)
  })

  it.each([
    ['64 hexadecimal digits', randomBytes(32).toString('hex')],
    ['43 base64url characters', randomBytes(32).toString('base64url')],
    ['44 base64 characters', randomBytes(32).toString('base64')],
    ['32 characters of other text', 'Tr0ub4dor & 3: correct horse, ok'],
    ['16 two-byte characters and more', '– – – – – – – – – –'],
  ])('takes %s', (_what, current) => {
    expect(() => createKeyring({ current })).not.toThrow()
  })

  it.each([
    ['nothing', ''],
    ['a word', 'changeme'],
    ['32 hexadecimal digits, which are 16 bytes', randomBytes(16).toString('hex')],
    ['63 hexadecimal digits', randomBytes(32).toString('hex').slice(1)],
    ['32 base64 characters, which are 24 bytes', randomBytes(24).toString('base64')],
    ['31 characters of other text', 'Tr0ub4dor & 3: correct horse, o'],
  ])('refuses %s, and says how to make one without repeating it', (_what, weak) => {
    const refusal = /^JWT_SECRET is too short: .* openssl rand -base64 32$/
    expect(() => createKeyring({ current: weak })).toThrow(refusal)
    expect(() => createKeyring({ current: secret(), previous: weak })).toThrow(
      /^JWT_SECRET_PREVIOUS is too short/,
    )
  })
})
