/**
 * What a flow with the purpose `prove` ends with: a sealed word of the server that this browser came back
 * from the provider as somebody, just now. It opens nothing by itself; it links an account, or proves its
 * owner.
 */
import type { SigningKeys } from '../../crypto/keyring.ts'
import { createCookieSeal } from '../../crypto/seal.ts'
import type { ProviderClaims, ProviderId } from './provider.ts'

/** What a person proves with it: as which account of which provider they came back. */
type ProvenIdentity = { provider: ProviderId; claims: ProviderClaims }

export type IdentityCodes = {
  issue(identity: ProvenIdentity): string
  /** Undefined for any other text, and for a code that is older than five minutes. */
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
