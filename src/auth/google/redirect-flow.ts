/**
 * Signing in by being sent to Google and back: the authorization code flow (OpenID Connect Core 1.0, 3.1)
 * with PKCE (RFC 7636). The server keeps nothing about it: the browser does, in one sealed cookie that the
 * way back ends.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { CodeChallengeMethod, OAuth2Client } from 'google-auth-library'
import type { GoogleRedirect } from '../../config/google.ts'
import type { SigningKeys } from '../../crypto/keyring.ts'
import { createCookieSeal } from '../../crypto/seal.ts'
import { type GoogleClaims, googleUnavailable, type VerifyIdToken } from './id-tokens.ts'

export type GoogleFlow = {
  /**
   * Where to send the browser, and what it keeps in the cookie meanwhile; undefined when `returnTo` (an
   * absolute URL) is not on an allowed origin.
   */
  start(returnTo: string): { location: string; cookie: string } | undefined
  /**
   * The flow that this browser began with this `state`, at most ten minutes ago; undefined for every other:
   * one of another browser, one whose cookie is gone because it was finished.
   */
  resume(state: string, cookie: string): ResumedFlow | undefined
}

type ResumedFlow = {
  returnTo: string
  /**
   * Redeems Google's code, once. Undefined when Google does not take it, or vouches for nobody by it. @throws
   * Problem `unavailable`
   */
  redeem(code: string): Promise<GoogleClaims | undefined>
}

/**
 * The browser keeps this cookie from other sites' subdomains (`__Host-`), from scripts, and from requests
 * that others start, but for links.
 */
export const FLOW_COOKIE = {
  name: '__Host-netpilot-google',
  maxAge: 600,
  attributes: { path: '/', secure: true, httpOnly: true, sameSite: 'lax' },
} as const

/**
 * `startedAt`: seconds since 1970.
 */
type Flow = { state: string; nonce: string; verifier: string; returnTo: string; startedAt: number }

type FlowOptions = GoogleRedirect & {
  client: OAuth2Client
  verify: VerifyIdToken
  method: CodeChallengeMethod
  keys: SigningKeys
}

const MAX_RETURN_TO = 2_000

/** 256 bits, which is also what RFC 7636 asks of a verifier (4.1). */
const random = () => randomBytes(32).toString('base64url')

export function googleFlow({ client, verify, method, keys, returnOrigins }: FlowOptions): GoogleFlow {
  const { seal, unseal } = createCookieSeal(keys)
  return {
    start(text) {
      const returnTo = allowedUrl(text, returnOrigins)
      if (returnTo === undefined) return undefined
      const flow: Flow = {
        state: random(),
        nonce: random(),
        verifier: random(),
        returnTo,
        startedAt: Date.now() / 1_000,
      }
      const location = client.generateAuthUrl({
        scope: 'openid email profile',
        state: flow.state,
        nonce: flow.nonce,
        code_challenge_method: method,
        code_challenge: createHash('sha256').update(flow.verifier).digest('base64url'),
        prompt: 'select_account',
      })
      return { location, cookie: seal(flow) }
    },

    resume(state, cookie) {
      const flow = unseal(cookie) as Flow | undefined
      if (flow?.state !== state || Date.now() / 1_000 - flow.startedAt > FLOW_COOKIE.maxAge) return undefined
      const { returnTo, verifier, nonce } = flow
      return {
        returnTo,
        async redeem(code) {
          const idToken = await redeemCode(client, code, verifier)
          return idToken === undefined ? undefined : verify(idToken, { nonce })
        },
      }
    },
  }
}

async function redeemCode(
  client: OAuth2Client,
  code: string,
  codeVerifier: string,
): Promise<string | undefined> {
  try {
    const { tokens } = await client.getToken({ code, codeVerifier })
    return tokens.id_token ?? undefined
  } catch (error) {
    // `invalid_grant`: the code is used, expired, of another flow or made up (RFC 6749, 5.2). Any other
    // refusal is about us.
    if ((error as { status?: number }).status === 400) return undefined
    throw googleUnavailable(error)
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
