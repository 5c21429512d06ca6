/** How the second provider is configured: not at all, or by four variables. */
import { isPrivateHost } from '../network/private-http.ts'

export type OidcSettings = {
  issuer: string
  clientId: string
  clientSecret: string
  /** As people know the issuer. */
  name: string
  scopes: string
  redirectUri: string
  /** Where people may be sent back to with a code. */
  returnOrigins: readonly string[]
  /** Plain HTTP is trusted as far as the operator's own network. */
  allowHttp: boolean
  timeoutMs: number
}

/** As read from the environment. */
export type GivenOidcSettings = {
  issuer: string | undefined
  clientId: string | undefined
  clientSecret: string | undefined
  name: string | undefined
  scopes: string
  redirectUri: string | undefined
  returnTo: string[]
  allowHttp: boolean
  timeoutMs: number
}

const CALLBACK = '/api/auth/oidc/callback'
const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])$/

/** TLS, or one's own machine, or (`allowHttp`) a host of a private network. */
export const mayAsk = ({ protocol, hostname }: URL, allowHttp: boolean): boolean =>
  protocol === 'https:' ||
  (protocol === 'http:' && (LOOPBACK.test(hostname) || (allowHttp && isPrivateHost(hostname))))

/**
 * Off when nothing is set; what is set by half is a fault, and the fault names what is missing. `origins`:
 * those of the operator's own pages, where people may return to unless OIDC_RETURN_TO says otherwise.
 */
export function oidcSettings(
  given: GivenOidcSettings,
  { publicUrl, origins }: { publicUrl: string | undefined; origins: string[] },
  faults: string[],
): OidcSettings | undefined {
  const { issuer, clientId, clientSecret, name, scopes, returnTo, allowHttp, timeoutMs } = given
  const required = { OIDC_ISSUER: issuer, OIDC_CLIENT_ID: clientId, OIDC_CLIENT_SECRET: clientSecret }
  if (
    [...Object.values(required), name, given.redirectUri, returnTo[0]].every((value) => value === undefined)
  )
    return undefined
  for (const [variable, value] of Object.entries(required))
    if (value === undefined)
      faults.push(
        `${variable} is missing: signing in by OpenID Connect takes ${Object.keys(required).join(', ')}`,
      )
  const redirectUri = given.redirectUri ?? (publicUrl && `${publicUrl}${CALLBACK}`)
  const returnOrigins = returnTo.length > 0 ? returnTo : origins
  if (redirectUri === undefined)
    faults.push('PUBLIC_URL is missing: the issuer sends people back to it (or to OIDC_REDIRECT_URI)')
  else if (!isCallback(redirectUri))
    faults.push(`OIDC_REDIRECT_URI must be this server's public address followed by ${CALLBACK}`)
  if (returnOrigins.length === 0)
    faults.push('OIDC_RETURN_TO is missing: the flow must know the origins that it may send people back to')
  if (issuer !== undefined && !isIssuer(issuer, allowHttp))
    faults.push(
      'OIDC_ISSUER must be an https:// URL without a query (http:// on this machine, or with OIDC_ALLOW_HTTP=on on a private network)',
    )
  if (!scopes.split(' ').includes('openid')) faults.push('OIDC_SCOPES must have openid among them')
  if (issuer === undefined || clientId === undefined || clientSecret === undefined || !redirectUri)
    return undefined
  return {
    issuer,
    clientId,
    clientSecret,
    name: name ?? 'OpenID Connect',
    scopes,
    redirectUri,
    returnOrigins,
    allowHttp,
    timeoutMs,
  }
}

function isIssuer(text: string, allowHttp: boolean): boolean {
  const url = URL.parse(text)
  return url !== null && mayAsk(url, allowHttp) && url.search + url.hash + url.username + url.password === ''
}

function isCallback(text: string): boolean {
  const url = URL.parse(text)
  return (
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    url.pathname.endsWith(CALLBACK) &&
    url.search + url.hash === ''
  )
}
