/**
 * The result of a flow with the purpose `prove`: a sealed statement of the server that this browser has just
 * returned from the provider with this identity. The code alone gives no access. It links an account or
 * proves that the person is its owner.
 */
import type { SigningKeys } from '../../crypto/keyring.ts'
import { createCookieSeal } from '../../crypto/seal.ts'
import type { ProviderClaims, ProviderId } from './provider.ts'

/** The provider and its account that the person signed in with. */
type ProvenIdentity = { provider: ProviderId; claims: ProviderClaims }

export type IdentityCodes = {
  issue(identity: ProvenIdentity): string
  /** @returns undefined for any other text, and for a code that is older than five minutes */
  read(code: string): ProvenIdentity | undefined
}

const SECONDS = 300

export function createIdentityCodes(keys: SigningKeys): IdentityCodes {
  const { seal, unseal } = createCookieSeal(keys)
  return {
    issue: (identity) => seal({ ...identity, at: Date.now() / 1_000 }),
    read(code) {
      const opened = unseal(code) as (ProvenIdentity & { at: number }) | undefined
      if (!opened || Date.now() / 1_000 - opened.at > SECONDS) return undefined
      return { provider: opened.provider, claims: opened.claims }
    },
  }
}
