/**
 * How Google sign-in is configured: not at all, for ID tokens from frontends, or with the redirect flow too.
 */

export type GoogleSettings = {
  /**
   * Whose ID tokens are accepted. There is always one: without it the library would accept anybody's. The
   * redirect flow is the first's.
   */
  clientIds: readonly [string, ...string[]]
  /**
   * Google Workspace domains (`hd`) whose members alone may sign in; empty: everybody with a Google account.
   */
  hostedDomains: readonly string[]
  endpoints: GoogleEndpoints
  /** How long to wait for an answer of Google's. */
  timeoutMs: number
  redirect?: GoogleRedirect
}
/** Google's, or in tests and trials those of a stand-in. */
type GoogleEndpoints = {
  issuer: string
  authorizationUrl: string
  tokenUrl: string
  certificatesUrl: string
}
/**
 * `returnOrigins`: where people may be sent back to with an exchange code, at least one exact origin.
 */
export type GoogleRedirect = { clientSecret: string; redirectUri: string; returnOrigins: readonly string[] }

/** As read from the environment. */
export type GivenGoogleSettings = {
  clientIds: string[]
  clientSecret: string | undefined
  redirectUri: string | undefined
  returnTo: string[]
  hostedDomains: string[]
  endpoints: GoogleEndpoints
  timeoutMs: number
}

const CALLBACK = '/api/auth/google/callback'
const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])$/

/** Google takes no other: TLS, except on one's own machine. */
function isRedirectUri(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, pathname, search, hash } = new URL(text)
  const isPrivate = protocol === 'https:' || (protocol === 'http:' && LOOPBACK.test(hostname))
  return isPrivate && pathname.endsWith(CALLBACK) && search === '' && hash === ''
}

/**
 * Off when nothing is set; what is set by half is a fault, and the fault names what is missing. `corsOrigins`
 * are where people may return to unless GOOGLE_RETURN_TO says otherwise: a browser app elsewhere could not
 * exchange the code that it gets.
 */
export function googleSettings(
  given: GivenGoogleSettings,
  corsOrigins: string[],
  faults: string[],
): GoogleSettings | undefined {
  const { clientIds, clientSecret, redirectUri, returnTo, hostedDomains, endpoints, timeoutMs } = given
  const missing = (name: string, why: string) => void faults.push(`${name} is missing: ${why}`)
  const [first, ...more] = clientIds
  if (first === undefined) {
    if (clientSecret ?? redirectUri ?? returnTo[0] ?? hostedDomains[0])
      missing('GOOGLE_CLIENT_ID', 'without it Google sign-in is off, but others of its settings are set')
    return undefined
  }
  const domains = hostedDomains.map((domain) => domain.toLowerCase())
  const settings = { clientIds: [first, ...more], hostedDomains: domains, endpoints, timeoutMs } as const
  if ((clientSecret ?? redirectUri ?? returnTo[0]) === undefined) return settings

  const flow =
    'the redirect flow takes GOOGLE_CLIENT_SECRET and GOOGLE_REDIRECT_URI; with neither, ID tokens work without it'
  const returnOrigins = returnTo.length > 0 ? returnTo : corsOrigins
  if (clientSecret === undefined) missing('GOOGLE_CLIENT_SECRET', flow)
  if (redirectUri === undefined) missing('GOOGLE_REDIRECT_URI', flow)
  else if (!isRedirectUri(redirectUri))
    faults.push(
      `GOOGLE_REDIRECT_URI must be this server's public https:// address followed by ${CALLBACK} (http:// only on localhost)`,
    )
  if (returnOrigins.length === 0)
    missing('GOOGLE_RETURN_TO', 'the redirect flow must know the origins that it may send people back to')
  if (clientSecret === undefined || redirectUri === undefined) return undefined
  return { ...settings, redirect: { clientSecret, redirectUri, returnOrigins } }
}
