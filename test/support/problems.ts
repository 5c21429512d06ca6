/** The common form of every error, and the differences that two equal errors may have. */
import { expect } from 'vitest'
import type { Answer } from './world.ts'

export type ProblemBody = {
  detail?: string
  errors?: { path: string; message: string; code?: string }[]
  entryId?: string
  challenge?: string
  requestId: string
}

/**
 * Checks an answer against RFC 9457, the contract's fields and the headers that belong to its status.
 * @returns what is specific to this error
 */
export function expectProblem(
  { statusCode, headers, body }: Answer,
  status: number,
  code: string,
): ProblemBody {
  const { type, title, status: repeated, code: told, ...own } = JSON.parse(body)
  expect({ type, title, status: repeated, code: told }).toEqual({
    type: `urn:netpilot:problem:${code}`,
    title: expect.any(String),
    status,
    code,
  })
  expect(['detail', 'errors', 'entryId', 'challenge', 'requestId']).toEqual(
    expect.arrayContaining(Object.keys(own)),
  )
  expect(statusCode).toBe(status)
  expect(headers).toMatchObject({
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
    'x-request-id': own.requestId,
    'x-content-type-options': 'nosniff',
    ...(status === 401 && {
      'www-authenticate': expect.stringMatching(/^Bearer realm="netpilot"(, error="invalid_token")?$/),
    }),
    ...((status === 503 || status === 429) && { 'retry-after': expect.stringMatching(/^[1-9]\d*$/) }),
  })
  expect(own.requestId).toMatch(/^[0-9a-f-]{36}$/)
  return own
}

/**
 * Status, headers and body without what belongs to one request only. Two answers that reveal no difference
 * have the same.
 */
export function comparable({ statusCode, headers, body }: Answer) {
  const { date, ratelimit, 'x-request-id': requestId, ...rest } = headers
  return { statusCode, headers: rest, body: body.replaceAll(String(requestId), '…') }
}
