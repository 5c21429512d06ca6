/** An identity provider: Google, or an issuer of ID tokens that the operator runs. */
import type { RedirectFlow } from './redirect-flow.ts'

/** The database stores it with each link, and the route paths contain it. */
export type ProviderId = 'google' | 'oidc'

/** A person whose identity a provider has verified. */
export type ProviderClaims = {
  /**
   * The permanent identifier of the person. Their address may change and may later belong to another person.
   */
  sub: string
  /** Trimmed and lower-cased. */
  email: string
  /** The provider says that the address belongs to the person. */
  emailVerified: boolean
  /** The owner of the provider's account also owns the mailbox, so the address may find an account here. */
  isAuthoritative: boolean
  fullName: string | null
  avatarUrl: string | null
}

/** `nonce`: the value that the token must contain. `maxAgeSeconds`: the greatest age of the token. */
export type Expected = { nonce?: string | undefined; maxAgeSeconds?: number }

/**
 * @returns the identity in an ID token for this server, or undefined for any other text
 * @throws Problem `unavailable` without the provider's keys
 */
export type VerifyIdToken = (idToken: string, expected?: Expected) => Promise<ProviderClaims | undefined>

export type Provider = {
  id: ProviderId
  /** The name that users see. */
  name: string
  /** Verifies ID tokens that a frontend requested from the provider. */
  verify?: VerifyIdToken
  /** The redirect flow, when it is configured. */
  flow: RedirectFlow | undefined
}
