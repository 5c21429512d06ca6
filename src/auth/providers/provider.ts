/** Who else can say who somebody is: Google, or an issuer of ID tokens of the operator's own. */
import type { RedirectFlow } from './redirect-flow.ts'

/** Stored with each link, and part of the routes. */
export type ProviderId = 'google' | 'oidc'

/** Somebody whom a provider vouches for. */
export type ProviderClaims = {
  /** Who it is, for good: the address behind it may change, and may come to belong to somebody else. */
  sub: string
  /** Trimmed and lower-cased. */
  email: string
  /** The provider says that the address is theirs. */
  emailVerified: boolean
  /** Whoever has the provider's account has the mailbox, too: an account here is found by the address. */
  isAuthoritative: boolean
  fullName: string | null
  avatarUrl: string | null
}

/**
 * `nonce`: the one that the token must carry. `maxAgeSeconds`: how old it may be at most.
 */
export type Expected = { nonce?: string | undefined; maxAgeSeconds?: number }

/**
 * Whom an ID token for us speaks for, or undefined for any other text. @throws Problem `unavailable` without
 * the provider's keys
 */
export type VerifyIdToken = (idToken: string, expected?: Expected) => Promise<ProviderClaims | undefined>

export type Provider = {
  id: ProviderId
  /** As people know it. */
  name: string
  /** Where frontends bring ID tokens that they got themselves. */
  verify?: VerifyIdToken
  /** Sending browsers there and back, when that is configured. */
  flow: RedirectFlow | undefined
}
