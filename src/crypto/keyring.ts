/**
 * The keys that sign tokens and seal cookies, derived from one master secret, or from two while one replaces
 * the other.
 */
import { deriveKey } from './hkdf.ts'
import { requireStrongSecret } from './strong-secret.ts'

/**
 * `kid` names the key inside a token: 8 base64url characters (6 bytes), which say nothing about the secret's
 * 32 bytes.
 */
export type SigningKey = { kid: string; secret: Buffer }

/** The current key, which signs, and after it those that still verify. */
export type SigningKeys = readonly [current: SigningKey, ...previous: SigningKey[]]

/** One set of keys for each purpose, so that no kind of token can pass for another. */
export type Keyring = Record<
  | 'accessTokens'
  | 'refreshTokens'
  | 'guesses'
  | 'csrfTokens'
  | 'addresses'
  | 'googleFlows'
  | 'oidcFlows'
  | 'identityCodes',
  SigningKeys
>

/**
 * `previous` is the secret that `current` replaced, while what was made with it is still to be accepted.
 */
export type MasterSecrets = { current: string; previous?: string | undefined }

const signingKey = (master: string, purpose: string): SigningKey => ({
  kid: deriveKey(master, `${purpose} kid`, 6).toString('base64url'),
  secret: deriveKey(master, `${purpose} key`),
})

/**
 * The keys of one purpose that are derived from the password pepper, which is kept outside the database.
 * @throws Error when a pepper is too short to be one (`requireStrongSecret`)
 */
export function pepperKeys({ current, previous }: MasterSecrets, purpose: string): SigningKeys {
  requirePeppers({ current, previous })
  const key = (pepper: string): SigningKey => ({
    kid: deriveKey(pepper, `${purpose} kid`, 6).toString('base64url'),
    secret: deriveKey(pepper, purpose),
  })
  return previous === undefined ? [key(current)] : [key(current), key(previous)]
}

/** @throws Error when a pepper is too short to be one */
export function requirePeppers({ current, previous }: MasterSecrets): void {
  requireStrongSecret('PASSWORD_PEPPER', current)
  if (previous !== undefined) requireStrongSecret('PASSWORD_PEPPER_PREVIOUS', previous)
}

/** @throws Error when a secret is too short to be one (`requireStrongSecret`) */
export function createKeyring({ current, previous }: MasterSecrets): Keyring {
  requireStrongSecret('JWT_SECRET', current)
  if (previous !== undefined) requireStrongSecret('JWT_SECRET_PREVIOUS', previous)
  const keys = (purpose: string): SigningKeys => [
    signingKey(current, purpose),
    ...(previous === undefined ? [] : [signingKey(previous, purpose)]),
  ]
  return {
    accessTokens: keys('access-token'),
    refreshTokens: keys('refresh-token'),
    guesses: keys('guess'),
    csrfTokens: keys('csrf-token'),
    addresses: keys('address'),
    googleFlows: keys('google-flow'),
    oidcFlows: keys('oidc-flow'),
    identityCodes: keys('identity-code'),
  }
}
