/** What an issuer tells about itself (OpenID Connect Discovery 1.0), asked when it is needed, and kept. */
import * as oauth from 'oauth4webapi'
import { Problem } from '../../../http/problem.ts'
import { type ProviderRequests, providerUnavailable, requestOptions } from './ask-provider.ts'

const KEEP_MS = 3_600_000

/**
 * @returns what the issuer said, at most an hour ago; whoever asks meanwhile waits for the same answer.
 * Throws Problem `unavailable`, also when the document names another issuer
 */
export function createDiscovery(
  issuer: string,
  requests: ProviderRequests,
): () => Promise<oauth.AuthorizationServer> {
  const options = { ...requestOptions(requests), [oauth.allowInsecureRequests]: true }
  let kept: { server: oauth.AuthorizationServer; until: number } | undefined
  let asked: Promise<oauth.AuthorizationServer> | undefined
  const ask = async () => {
    try {
      const url = new URL(issuer)
      const server = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, options))
      kept = { server, until: Date.now() + KEEP_MS }
      return server
    } catch (error) {
      throw error instanceof Problem ? error : providerUnavailable(requests.name, error)
    } finally {
      asked = undefined
    }
  }
  return async () => {
    if (kept && Date.now() < kept.until) return kept.server
    asked ??= ask()
    return asked
  }
}
