import type { FastifyRequest } from 'fastify'

import type { ProviderIdentity } from '../credentials/identities.ts'

/** A proof by a provider: one of them. */
type IdentityProof = { googleIdToken?: string | undefined; providerCode?: string | undefined }

/**
 * Whom a proof by a provider speaks for, given just now; undefined for any other text.
 * @throws Problem `unavailable` without the provider's keys
 */
export type VerifyIdentity = (proof: IdentityProof) => Promise<ProviderIdentity | undefined>

/** One of them: what was not given is no proof. `code`: of the second factor. */
type OwnerProof = IdentityProof & { password?: string; code?: string }

/**
 * Also renews the proof of the login session (`requireRecentProof`).
 * @throws Problem `wrong-password` or `wrong-code` when the proof is wrong, or of somebody else; `locked-out`
 * after too many wrong passwords, which are counted apart from those of strangers at the login;
 * `unauthenticated` when the login session is over
 */
export type Reauthenticate = (request: FastifyRequest, proof: OwnerProof) => Promise<void>
