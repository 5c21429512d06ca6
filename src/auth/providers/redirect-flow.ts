/**
 * Signing in by a redirect to a provider and back. The server stores nothing about the flow: the browser
 * keeps its state in one sealed cookie, which the callback removes.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { SigningKeys } from '../../crypto/keyring.ts'
import { createCookieSeal } from '../../crypto/seal.ts'
import type { OidcClient } from './oidc/client.ts'
import type { ProviderClaims } from './provider.ts'

/**
 * The kind of code that the flow returns: one for tokens, or one that proves an identity
 * (`identity-code.ts`).
 */
type Purpose = 'sign-in' | 'prove'

export type RedirectFlow = {
  /**
   * @returns where to redirect the browser and what to store in the cookie; undefined when `returnTo` (an
   * absolute URL) is not on an allowed origin
   * @throws Problem `unavailable`
   */
  start(returnTo: string, purpose?: Purpose): Promise<{ location: string; cookie: string } | undefined>
  /**
   * @returns the flow that this browser started with this `state`, at most ten minutes ago. Undefined for
   * every other flow: one of another browser, or a finished one, whose cookie is removed.
   */
  resume(state: string, cookie: string): ResumedFlow | undefined
}

type ResumedFlow = {
  returnTo: string
  purpose: Purpose
  /**
   * Redeems the provider's code, which works once.
   * @returns undefined when the provider rejects the code or the identity is not verified
   * @throws Problem `unavailable`
   */
  redeem(code: string, iss?: string): Promise<ProviderClaims | undefined>
}

export const FLOW_SECONDS = 600

/** `startedAt`: seconds since 1970. */
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

/** 256 random bits. RFC 7636 (4.1) recommends the same for a verifier. */
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

/** Returns the URL as parsed, not as written, because a browser may parse the same text differently. */
function allowedUrl(text: string, origins: readonly string[]): string | undefined {
  if (!URL.canParse(text)) return undefined
  const { protocol, origin, username, password, href } = new URL(text)
  // The origin of a blob: URL is that of the URL inside it.
  return origins.includes(origin) &&
    origin.startsWith(`${protocol}//`) &&
    username + password === '' &&
    href.length <= MAX_RETURN_TO
    ? href
    : undefined
}
