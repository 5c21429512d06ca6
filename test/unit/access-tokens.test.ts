import { createHmac, generateKeyPairSync, randomBytes, randomUUID, sign } from 'node:crypto'
import fc from 'fast-check'
import Fastify from 'fastify'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createAccessTokens } from '../../src/auth/sessions/access-tokens.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'

const LIFETIME = 600
const [secret, oldSecret, foreignSecret] = Array.from({ length: 3 }, () =>
  randomBytes(32).toString('base64'),
) as [string, string, string]
const keyring = createKeyring({ current: secret, previous: oldSecret })
const [key] = keyring.accessTokens

async function open(masters: { current: string; previous?: string }, lifetime = LIFETIME) {
  const app = Fastify()
  const tokens = createAccessTokens(app, { keyring: createKeyring(masters), lifetime })
  app.get('/whoami', (request) => request.jwtVerify())
  await app.ready()
  return { app, ...tokens }
}

const { app, sign: signToken, verify } = await open({ current: secret, previous: oldSecret })
const bearer = { userId: randomUUID(), sessionId: randomUUID() }
const valid = signToken(bearer)

type Json = Record<string, unknown>
type Parts = [header: string, payload: string, signature: string]
const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const decode = (part: string): Json => JSON.parse(Buffer.from(part, 'base64url').toString())
const parts = valid.split('.') as Parts
const [header, claims] = [decode(parts[0]), decode(parts[1])]
const now = Number(claims.iat)

/** Two encoded parts with the signature that the key (ours, unless told) gives them. */
const seal = (head: string, payload: string, by: Buffer | string = key.secret, hash = 'sha256') =>
  `${head}.${payload}.${createHmac(hash, by).update(`${head}.${payload}`).digest('base64url')}`
const withHeader = (changed: Json, by?: Buffer | string, hash?: string) =>
  seal(encode(changed), parts[1], by, hash)
const withPayload = (payload: unknown) => seal(parts[0], encode(payload))
const withClaims = (changed: Json) => withPayload({ ...claims, ...changed })
const without = (object: Json, name: string) =>
  Object.fromEntries(Object.entries(object).filter(([key]) => key !== name))

/** The last character of 43 carries two spare bits: another character with the same bytes. */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const respelled = (part: string) => part.slice(0, -1) + ALPHABET.charAt(ALPHABET.indexOf(part.slice(-1)) + 1)
/** A payload of 3n + 1 bytes, whose base64url has spare bits. */
const loosePayload = () => {
  const text = JSON.stringify(claims)
  return encode(text.padEnd(text.length + ((4 - (text.length % 3)) % 3)))
}

const rsa = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})
const ed25519 = generateKeyPairSync('ed25519')
const asymmetric = (alg: string) => {
  const input = `${encode({ ...header, alg })}.${parts[1]}`
  const signature =
    alg === 'EdDSA'
      ? sign(null, Buffer.from(input), ed25519.privateKey)
      : sign('sha256', Buffer.from(input), rsa.privateKey)
  return `${input}.${signature.toString('base64url')}`
}
const jwk = { kty: 'oct', k: Buffer.alloc(32).toString('base64url') }

afterEach(() => {
  vi.useRealTimers()
})

describe('access tokens', () => {
  it('say whom they speak for', () => {
    expect(verify(valid)).toEqual(bearer)
  })

  it('have a header of algorithm, type and key id, and eight claims', () => {
    expect(header).toEqual({ alg: 'HS256', typ: 'at+jwt', kid: key.kid })
    expect(claims).toEqual({
      iss: 'netpilot',
      aud: 'netpilot-api',
      sub: bearer.userId,
      sid: bearer.sessionId,
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
      iat: now,
      nbf: now,
      exp: now + LIFETIME,
    })
  })

  it('differ even for the same bearer in the same second', () => {
    expect(signToken(bearer)).not.toBe(signToken(bearer))
  })

  it('read back for any two ids', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.uuid(), (userId, sessionId) => {
        expect(verify(signToken({ userId, sessionId }))).toEqual({ userId, sessionId })
      }),
    )
  })

  it('live exactly as long as configured', () => {
    vi.useFakeTimers({ now: (now + LIFETIME) * 1_000 - 1, toFake: ['Date'] })
    expect(verify(valid)).toEqual(bearer)
    vi.setSystemTime((now + LIFETIME) * 1_000)
    expect(verify(valid)).toBeUndefined()
  })

  it('of a server whose clock is up to 30 seconds ahead are accepted', () => {
    vi.useFakeTimers({ now: (now - 30) * 1_000, toFake: ['Date'] })
    expect(verify(valid)).toEqual(bearer)
    vi.setSystemTime((now - 31) * 1_000)
    expect(verify(valid)).toBeUndefined()
  })

  it('of the previous key are accepted, and those of a key that is gone are not', async () => {
    const [before, after] = await Promise.all([open({ current: oldSecret }), open({ current: secret })])
    const old = before.sign(bearer)
    expect(verify(old)).toEqual(bearer)
    expect(after.verify(old)).toBeUndefined()
    expect(after.verify(valid)).toEqual(bearer)
  })

  it('that live longer than the server now allows are refused', async () => {
    const { verify: shorter, sign: signShorter } = await open({ current: secret }, 60)
    expect(shorter(valid)).toBeUndefined()
    expect(verify(signShorter(bearer))).toEqual(bearer)
  })

  it('say nothing through the library’s own request.jwtVerify, which would skip half of the checks', async () => {
    const answer = await app.inject({ url: '/whoami', headers: { authorization: `Bearer ${valid}` } })
    expect(answer.statusCode).toBe(401)
  })

  it('forged by the same means as below, but without a flaw, are accepted', () => {
    expect(verify(seal(...(parts.slice(0, 2) as [string, string])))).toEqual(bearer)
    expect(verify(withClaims({}))).toEqual(bearer)
    expect(verify(seal(parts[0], loosePayload()))).toEqual(bearer)
  })

  it.each<[flaw: string, token: string]>([
    // T1: what the library answers with an exception
    ['T1 no text at all', ''],
    ['T1 two dots', '..'],
    ['T1 one part', parts[0]],
    ['T1 two parts', `${parts[0]}.${parts[1]}`],
    ['T1 four parts', `${valid}.${parts[2]}`],
    ['T1 a payload that is no JSON', seal(parts[0], encode('{"iss":'))],
    ['T1 a payload that is an array', withPayload([claims])],
    ['T1 a payload that is a string', withPayload('"netpilot"')],
    ['T1 a payload that is null', withPayload('null')],
    ['T1 an empty payload', seal(parts[0], '')],
    ['T1 a header that is no JSON', seal(encode('{'), parts[1])],
    ['T1 a header that is null', seal(encode('null'), parts[1])],
    ['T1 another algorithm of the family', withHeader({ ...header, alg: 'HS512' }, key.secret, 'sha512')],
    ['T1 an unknown algorithm', withHeader({ ...header, alg: 'HS1' })],
    ['T1 an algorithm that is no text', withHeader({ ...header, alg: ['HS256'] })],
    ['T1 crit', withHeader({ ...header, crit: ['exp'] })],
    ['T1 crit that is empty', withHeader({ ...header, crit: [] })],
    ['T1 an nbf beyond any date', withClaims({ nbf: 1e308 })],
    ['T1 an exp that is a text', withClaims({ exp: String(now + LIFETIME) })],
    ['T1 an aud that is an object', withClaims({ aud: { 'netpilot-api': true } })],
    ['T1 padding of the signature', `${valid}=`],
    ['T1 padding of the payload', seal(parts[0], `${parts[1]}==`)],
    ['T1 white space before it', ` ${valid}`],
    ['T1 a line end after it', `${valid}\n`],
    ['T1 white space inside', seal(parts[0], `${parts[1]} `)],
    ['T1 the standard base64 alphabet', valid.replaceAll('-', '+').replace(/.$/, '/')],
    ['T1 more than 2 kB', seal(parts[0], encode(JSON.stringify(claims).padEnd(2_048)))],
    ['T1 a megabyte', 'a.'.repeat(500_000)],
    // T2: what the library accepts unless told
    ...Object.keys(claims).map((name): [string, string] => [
      `T2 no ${name}`,
      withPayload(without(claims, name)),
    ]),
    ...Object.keys(claims).map((name): [string, string] => [`T2 ${name} null`, withClaims({ [name]: null })]),
    ['T2 a claim too many', withClaims({ role: 'admin' })],
    ['T2 another claim in the place of one', withPayload({ ...without(claims, 'jti'), role: 'admin' })],
    ['T2 another iss', withClaims({ iss: 'netpilot2' })],
    ['T2 another aud', withClaims({ aud: 'netpilot' })],
    ['T2 an aud array', withClaims({ aud: ['netpilot-api'] })],
    ['T2 an iss array', withClaims({ iss: ['netpilot'] })],
    ['T2 a sub that is no uuid', withClaims({ sub: 'admin' })],
    ['T2 a sub in upper case', withClaims({ sub: '0197ABCD-0000-7000-8000-000000000000' })],
    ['T2 a sub with a line end', withClaims({ sub: `${bearer.userId}\n` })],
    ['T2 a sid that is no uuid', withClaims({ sid: 'admin' })],
    ['T2 a sid that is a number', withClaims({ sid: 1 })],
    ['T2 a jti that is no uuid', withClaims({ jti: 'x' })],
    ['T2 a fractional exp', withClaims({ exp: now + 60.5 })],
    ['T2 a fractional iat', withClaims({ iat: now - 0.5 })],
    ['T2 a fractional nbf', withClaims({ nbf: now - 0.5 })],
    ['T2 exp 1e308', withClaims({ exp: 1e308 })],
    ['T2 iat -1e308', withClaims({ iat: -1e308 })],
    ['T2 a negative nbf', withClaims({ nbf: -1 })],
    [
      'T2 exp beyond all numbers',
      withPayload(JSON.stringify(claims).replace(`"exp":${now + LIFETIME}`, '"exp":1e999')),
    ],
    ['T2 exp in the past', withClaims({ iat: now - LIFETIME - 1, nbf: now - LIFETIME - 1, exp: now - 1 })],
    ['T2 an iat in the future', withClaims({ iat: now + 60, exp: now + 120 })],
    ['T2 an nbf in the future', withClaims({ nbf: now + 60 })],
    ['T2 a lifetime one second too long', withClaims({ exp: now + LIFETIME + 1 })],
    ['T2 an old iat that stretches the lifetime', withClaims({ iat: 0 })],
    ['T2 typ JWT', withHeader({ ...header, typ: 'JWT' })],
    ['T2 typ in upper case', withHeader({ ...header, typ: 'AT+JWT' })],
    ['T2 the long form of typ', withHeader({ ...header, typ: 'application/at+jwt' })],
    ['T2 no typ', withHeader(without(header, 'typ'))],
    ['T2 no kid', withHeader(without(header, 'kid'))],
    ['T2 an unknown kid', withHeader({ ...header, kid: 'AAAAAAAA' })],
    ['T2 a kid that is a property of every object', withHeader({ ...header, kid: '__proto__' })],
    ['T2 the kid of the other key', withHeader({ ...header, kid: keyring.accessTokens[1]?.kid })],
    ['T2 an embedded jwk', withHeader({ ...header, jwk }, Buffer.alloc(32))],
    ['T2 an embedded jwk beside our signature', withHeader({ ...header, jwk })],
    ['T2 a jku', withHeader({ ...header, jku: 'https://keys.example/jwks.json' })],
    ['T2 an x5u', withHeader({ ...header, x5u: 'https://keys.example/cert.pem' })],
    ['T2 a header too many', withHeader({ ...header, cty: 'JWT' })],
    [
      'T2 a header named twice',
      seal(encode(JSON.stringify(header).replace('{', '{"alg":"none",')), parts[1]),
    ],
    ['T2 the header in another order', withHeader({ kid: key.kid, typ: 'at+jwt', alg: 'HS256' })],
    ['T2 no signature', `${parts[0]}.${parts[1]}.`],
    ['T2 a signature cut short', valid.slice(0, -2)],
    [
      'T2 the signature of a foreign key',
      withHeader(header, createKeyring({ current: foreignSecret }).accessTokens[0].secret),
    ],
    ['T2 the signature of the refresh-token key', withHeader(header, keyring.refreshTokens[0].secret)],
    ['T2 the signature of the master secret', withHeader(header, secret)],
    ['T2 the claims of another token', `${parts[0]}.${encode({ ...claims, sub: randomUUID() })}.${parts[2]}`],
    // T3: a second spelling of the same bytes
    ['T3 a non-canonical signature', `${parts[0]}.${parts[1]}.${respelled(parts[2])}`],
    ['T3 a non-canonical payload', seal(parts[0], respelled(loosePayload()))],
    // T5: algorithm confusion
    ['T5 alg none without a signature', `${encode({ ...header, alg: 'none' })}.${parts[1]}.`],
    ['T5 alg none with one', withHeader({ ...header, alg: 'none' })],
    ['T5 alg nOnE', `${encode({ ...header, alg: 'nOnE' })}.${parts[1]}.`],
    ['T5 an empty key', withHeader(header, '')],
    ['T5 HS256 with a public key as the secret', withHeader(header, rsa.publicKey)],
    ['T5 HS256 with a trimmed public key as the secret', withHeader(header, rsa.publicKey.trim())],
    ['T5 HS256 with a public key after white space as the secret', withHeader(header, ` \n${rsa.publicKey}`)],
    ['T5 HS256 with the kid as the secret', withHeader(header, key.kid)],
    ['T5 RS256', asymmetric('RS256')],
    ['T5 EdDSA', asymmetric('EdDSA')],
    // T6: the prototype
    ['T6 a __proto__ claim', withPayload(JSON.stringify(claims).replace('{', '{"__proto__":{"sub":"x"},'))],
    ['T6 claims in __proto__ only', withPayload(`{"__proto__":${JSON.stringify(claims)}}`)],
    ['T6 a constructor claim', withClaims({ constructor: { prototype: {} } })],
  ])('are refused with: %s', (_flaw, token) => {
    expect(verify(token)).toBeUndefined()
  })

  it('are refused with any one character changed, T3', () => {
    for (let at = 0; at < valid.length; at += 1) {
      for (const other of `${ALPHABET}.`) {
        if (other !== valid[at])
          expect(verify(valid.slice(0, at) + other + valid.slice(at + 1))).toBeUndefined()
      }
    }
  })

  it('are read from no other text, and no text makes the verifier throw, T1', () => {
    const sealed = fc.json().map(withPayload)
    const shaped = fc.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]{43}$/)
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), shaped, sealed), (text) => {
        expect(verify(text)).toBeUndefined()
      }),
    )
  })

  it('stay refused when they are shown again: nothing is remembered, T4', () => {
    const hostile = withClaims({ role: 'admin' })
    expect([verify(hostile), verify(valid), verify(hostile), verify(valid)]).toEqual([
      undefined,
      bearer,
      undefined,
      bearer,
    ])
  })

  it('give a fresh object each time, with nothing of the token’s own, T6', () => {
    expect(Object.keys(verify(valid) ?? {})).toEqual(['userId', 'sessionId'])
    expect(verify(valid)).not.toBe(verify(valid))
  })
})
