/**
 * The keys that sign tokens and seal cookies. They are derived from one master secret, or from two during a
 * rotation.
 */
import { deriveKey } from './hkdf.ts'
import { requireStrongSecret } from './strong-secret.ts'

/**
 * `kid` is the key id inside a token: 8 base64url characters (6 bytes), which reveal nothing about the
 * 32-byte secret.
 */
export type SigningKey = { kid: string; secret: Buffer }

/** The current key signs. The others only verify. */
export type SigningKeys = readonly [current: SigningKey, ...previous: SigningKey[]]

/** One set of keys for each purpose, so that one kind of token is never accepted as another. */
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

/** `previous` is the secret before `current`, while tokens and seals made with it are still accepted. */
export type MasterSecrets = { current: string; previous?: string | undefined }

const signingKey = (master: string, purpose: string): SigningKey => ({
  kid: deriveKey(master, `${purpose} kid`, 6).toString('base64url'),
  secret: deriveKey(master, `${purpose} key`),
})

/**
 * Derives the keys of one purpose from the password pepper, which is stored outside the database.
 * @throws Error when a pepper is too short (`requireStrongSecret`)
 */
export function pepperKeys({ current, previous }: MasterSecrets, purpose: string): SigningKeys {
  requirePeppers({ current, previous })
  const key = (pepper: string): SigningKey => ({
    kid: deriveKey(pepper, `${purpose} kid`, 6).toString('base64url'),
    secret: deriveKey(pepper, purpose),
  })
  return previous === undefined ? [key(current)] : [key(current), key(previous)]
}

/** @throws Error when a pepper is too short (`requireStrongSecret`) */
export function requirePeppers({ current, previous }: MasterSecrets): void {
  requireStrongSecret('PASSWORD_PEPPER', current)
  if (previous !== undefined) requireStrongSecret('PASSWORD_PEPPER_PREVIOUS', previous)
}

/** @throws Error when a secret is too short (`requireStrongSecret`) */
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
