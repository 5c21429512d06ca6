/** Verifies an identity proof that a provider issued just now. The result is undefined for any other text. */

import type { VerifyIdentity } from '../sessions/owner-proof.ts'
import type { Google } from './google/google.ts'
import type { IdentityCodes } from './identity-code.ts'

export const createIdentityVerifier =
  ({ google, identityCodes }: { google: Google | undefined; identityCodes: IdentityCodes }): VerifyIdentity =>
  async ({ googleIdToken, providerCode }) => {
    if (providerCode !== undefined) {
      const proven = identityCodes.read(providerCode)
      return proven && { provider: proven.provider, subject: proven.claims.sub }
    }
    const claims = googleIdToken === undefined ? undefined : await google?.verifyFresh(googleIdToken)
    return claims && { provider: 'google', subject: claims.sub }
  }
