/** The metadata of an issuer (OpenID Connect Discovery 1.0), requested on first use and cached. */
import * as oauth from 'oauth4webapi'
import { Problem } from '../../../http/problem.ts'
import { type ProviderRequests, providerUnavailable, requestOptions, sharePending } from './ask-provider.ts'

const KEEP_MS = 3_600_000

/**
 * Requests that arrive during the download wait for the same answer.
 * @returns the issuer's metadata, at most an hour old. Throws Problem `unavailable`, also when the document
 * names another issuer
 */
export function createDiscovery(
  issuer: string,
  requests: ProviderRequests,
): () => Promise<oauth.AuthorizationServer> {
  const options = { ...requestOptions(requests), [oauth.allowInsecureRequests]: true }
  let kept: { server: oauth.AuthorizationServer; until: number } | undefined
  const ask = sharePending(async () => {
    try {
      const url = new URL(issuer)
      const server = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, options))
      kept = { server, until: Date.now() + KEEP_MS }
      return server
    } catch (error) {
      throw error instanceof Problem ? error : providerUnavailable(requests.name, error)
    }
  })
  return async () => (kept && Date.now() < kept.until ? kept.server : ask())
}
