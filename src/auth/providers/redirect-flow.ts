/**
 * Signing in by being sent to a provider and back. The server keeps nothing about it: the browser does, in
 * one sealed cookie that the way back ends.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { SigningKeys } from '../../crypto/keyring.ts'
import { createCookieSeal } from '../../crypto/seal.ts'
import type { OidcClient } from './oidc/client.ts'
import type { ProviderClaims } from './provider.ts'

/** What comes back: a code for tokens, or one that proves who somebody is (`identity-code.ts`). */
type Purpose = 'sign-in' | 'prove'

export type RedirectFlow = {
  /**
   * Where to send the browser, and what it keeps in the cookie meanwhile; undefined when `returnTo` (an
   * absolute URL) is not on an allowed origin. @throws Problem `unavailable`
   */
  start(returnTo: string, purpose?: Purpose): Promise<{ location: string; cookie: string } | undefined>
  /**
   * The flow that this browser began with this `state`, at most ten minutes ago; undefined for every other:
   * one of another browser, one whose cookie is gone because it was finished.
   */
  resume(state: string, cookie: string): ResumedFlow | undefined
}

type ResumedFlow = {
  returnTo: string
  purpose: Purpose
  /**
   * Redeems the provider's code, once. Undefined when it does not take it, or vouches for nobody by it.
   * @throws Problem `unavailable`
   */
  redeem(code: string, iss?: string): Promise<ProviderClaims | undefined>
}

export const FLOW_SECONDS = 600

/**
 * `startedAt`: seconds since 1970.
 */
type Flow = {
  state: string
  nonce: string
  verifier: string
  returnTo: string
  startedAt: number
  purpose?: Purpose
}

type FlowOptions = { client: OidcClient; keys: SigningKeys; returnOrigins: readonly string[] }

const MAX_RETURN_TO = 2_000

/** 256 bits, which is also what RFC 7636 asks of a verifier (4.1). */
const random = () => randomBytes(32).toString('base64url')

export function createRedirectFlow({ client, keys, returnOrigins }: FlowOptions): RedirectFlow {
  const { seal, unseal } = createCookieSeal(keys)
  return {
    async start(text, purpose = 'sign-in') {
      const returnTo = allowedUrl(text, returnOrigins)
      if (returnTo === undefined) return undefined
      const flow: Flow = {
        state: random(),
        nonce: random(),
        verifier: random(),
        returnTo,
        startedAt: Date.now() / 1_000,
        purpose,
      }
      const location = await client.authorizationUrl({
        state: flow.state,
        nonce: flow.nonce,
        challenge: createHash('sha256').update(flow.verifier).digest('base64url'),
        isProof: purpose === 'prove',
      })
      return { location, cookie: seal(flow) }
    },

    resume(state, cookie) {
      const flow = unseal(cookie) as Flow | undefined
      if (flow?.state !== state || Date.now() / 1_000 - flow.startedAt > FLOW_SECONDS) return undefined
      const { returnTo, verifier, nonce, purpose = 'sign-in' } = flow
      return {
        returnTo,
        purpose,
        redeem: (code, iss) =>
          client.redeem({ code, iss, state, nonce, verifier, isProof: purpose === 'prove' }),
      }
    },
  }
}

/** The URL as it was understood, never as it was written: a browser may read the same text differently. */
function allowedUrl(text: string, origins: readonly string[]): string | undefined {
  if (!URL.canParse(text)) return undefined
  const { protocol, origin, username, password, href } = new URL(text)
  // The origin of a blob: URL is that of the page inside.
  return origins.includes(origin) &&
    origin.startsWith(`${protocol}//`) &&
    username + password === '' &&
    href.length <= MAX_RETURN_TO
    ? href
    : undefined
}
