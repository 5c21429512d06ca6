import type { FastifyRequest } from 'fastify'
import type { ProviderIdentity } from '../credentials/identities.ts'

/** A proof from a provider. The request contains one of the two. */
type IdentityProof = { googleIdToken?: string | undefined; providerCode?: string | undefined }

/**
 * @returns the identity in a proof that a provider issued just now; undefined for any other text
 * @throws Problem `unavailable` without the provider's keys
 */
export type VerifyIdentity = (proof: IdentityProof) => Promise<ProviderIdentity | undefined>

/**
 * The request contains one of these proofs. An absent proof counts as wrong. `code`: of the second factor.
 */
type OwnerProof = IdentityProof & { password?: string; code?: string }

/**
 * Also renews the proof of the login session (`requireRecentProof`).
 * @throws Problem `wrong-password` or `wrong-code` when the proof is wrong or belongs to another person;
 * `locked-out` after too many wrong passwords, which are counted apart from failed sign-ins;
 * `unauthenticated` when the login session has ended
 */
export type Reauthenticate = (request: FastifyRequest, proof: OwnerProof) => Promise<void>
