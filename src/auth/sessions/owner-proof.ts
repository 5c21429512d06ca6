/** One of them: what was not given is no proof. `code`: of the second factor. */

import type { FastifyRequest } from 'fastify'

type OwnerProof = { password?: string; googleIdToken?: string; code?: string }

/**
 * Also renews the proof of the login session (`requireRecentProof`).
 * @throws Problem `wrong-password` or `wrong-code` when the proof is wrong, or of somebody else; `locked-out`
 * after too many wrong passwords, which are counted apart from those of strangers at the login;
 * `unauthenticated` when the login session is over
 */
export type Reauthenticate = (request: FastifyRequest, proof: OwnerProof) => Promise<void>
