/** Requests to a provider: bounded in time, and what fails between it and us is one kind of failure. */
import { customFetch } from 'oauth4webapi'
import { problem } from '../../../http/problem.ts'

/**
 * What failed between a provider and us. An error of a library may hold the whole request: only its status or
 * code is kept.
 */
export function providerUnavailable(name: string, error: unknown) {
  const { status, code, cause } = error as { status?: number; code?: string; cause?: { code?: string } }
  return problem('unavailable', {
    detail: `${name} cannot be asked now`,
    cause: new Error(`${name} was asked in vain: ${status ?? code ?? cause?.code ?? (error as Error).name}`),
  })
}

/** As the library describes a request. */
type Asked = Omit<RequestInit, 'body'> & { body?: RequestInit['body'] | undefined }

export type ProviderRequests = { name: string; timeoutMs: number; mayAsk: (url: URL) => boolean }

/** Options for every function of oauth4webapi that makes a request. @throws Problem `unavailable` */
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
    // 400: the provider refuses a code (RFC 6749, 5.2). Any other refusal is about us, and it leads nowhere else.
    if (response.status !== 200 && response.status !== 400) throw providerUnavailable(name, response)
    return response
  },
})
