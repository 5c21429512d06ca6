export type Credentials = { token: string } | { key: string }
export type Api = ReturnType<typeof createApi>

/** Thrown for a response with status 400 or more. */
export class Refused extends Error {
  readonly code: string
  constructor(request: string, { code, detail, title, errors }: Record<string, unknown>) {
    super(`${request} was refused: ${code}, ${detail ?? title}${errors ? ` ${JSON.stringify(errors)}` : ''}`)
    this.code = String(code)
  }
}

/** Sends JSON requests to a running server. @throws Refused */
export function createApi(url: string) {
  return async <T>(
    credentials: Credentials | undefined,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<T> => {
    const response = await fetch(new URL(path, url), {
      method,
      headers: {
        ...(credentials && 'token' in credentials && { authorization: `Bearer ${credentials.token}` }),
        ...(credentials && 'key' in credentials && { 'x-api-key': credentials.key }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const answer = text === '' ? {} : JSON.parse(text)
    if (!response.ok) throw new Refused(`${method} ${path}`, answer)
    return answer
  }
}
