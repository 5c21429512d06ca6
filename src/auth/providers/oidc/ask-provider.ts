/**
 * Requests to a provider. Each has a time limit, and every failure of the connection becomes the same
 * problem.
 */
import { customFetch } from 'oauth4webapi'
import { problem } from '../../../http/problem.ts'

/**
 * Describes a failed request to a provider. A library's error may contain the whole request, so only its
 * status or code is kept.
 */
export function providerUnavailable(name: string, error: unknown) {
  const { status, code, cause } = error as { status?: number; code?: string; cause?: { code?: string } }
  return problem('unavailable', {
    detail: `${name} cannot be asked now`,
    cause: new Error(`${name} was asked in vain: ${status ?? code ?? cause?.code ?? (error as Error).name}`),
  })
}

/** A request that is shared: callers that arrive while it is under way wait for the same answer. */
export function sharePending<T>(ask: () => Promise<T>): () => Promise<T> {
  let pending: Promise<T> | undefined
  return () => {
    pending ??= ask().finally(() => {
      pending = undefined
    })
    return pending
  }
}

/** The request options as the library passes them. */
type Asked = Omit<RequestInit, 'body'> & { body?: RequestInit['body'] | undefined }

export type ProviderRequests = { name: string; timeoutMs: number; mayAsk: (url: URL) => boolean }

/** @returns options for every function of oauth4webapi that makes a request @throws Problem `unavailable` */
export const requestOptions = ({ name, timeoutMs, mayAsk }: ProviderRequests) => ({
  [customFetch]: async (url: string, { body, ...options }: Asked): Promise<Response> => {
    if (!mayAsk(new URL(url))) throw providerUnavailable(name, { code: 'an address without TLS' })
    const response = await fetch(url, {
      ...options,
      body: body ?? null,
      signal: AbortSignal.timeout(timeoutMs),
    }).catch((error) => {
      throw providerUnavailable(name, error)
    })
    // 400: the provider refuses a code (RFC 6749, 5.2). Any other status, a redirect
    // included, means that the provider is unavailable.
    if (response.status !== 200 && response.status !== 400) throw providerUnavailable(name, response)
    return response
  },
})
