/** The configuration of Google sign-in: off, for ID tokens from frontends, or with the redirect flow too. */

export type GoogleSettings = {
  /**
   * The client ids whose ID tokens are accepted. At least one is required: without any, the library would
   * accept tokens for every client. The redirect flow uses the first.
   */
  clientIds: readonly [string, ...string[]]
  /** Google Workspace domains (`hd`) whose members may sign in. Empty: every Google account may. */
  hostedDomains: readonly string[]
  endpoints: GoogleEndpoints
  /** Timeout for a response from Google. */
  timeoutMs: number
  redirect?: GoogleRedirect
}
/** The endpoints of Google, or of a stand-in in tests and trials. */
type GoogleEndpoints = {
  issuer: string
  authorizationUrl: string
  tokenUrl: string
  certificatesUrl: string
}
/** `returnOrigins`: the origins that may receive an exchange code, at least one exact origin. */
type GoogleRedirect = { clientSecret: string; redirectUri: string; returnOrigins: readonly string[] }

/** The settings as read from the environment. */
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

/** Google accepts only https, except on localhost. */
function isRedirectUri(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, pathname, search, hash } = new URL(text)
  const isPrivate = protocol === 'https:' || (protocol === 'http:' && LOOPBACK.test(hostname))
  return isPrivate && pathname.endsWith(CALLBACK) && search === '' && hash === ''
}

/**
 * Google sign-in is off when no setting is given. Incomplete settings are an error that names what is
 * missing. Unless GOOGLE_RETURN_TO is set, people may return to `corsOrigins`: a browser app on another
 * origin could not exchange its code.
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
