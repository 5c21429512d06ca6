/** What holds every answer of the tests against the API document finds each kind of lie. */
import { describe, expect, it } from 'vitest'
import { contractOf, PROBLEM } from '../support/contract.ts'

const header = (name: string) => ({ [name]: { $ref: `#/components/headers/${name}` } })
const { documented, faultsOf } = contractOf({
  paths: {
    '/things/{id}': {
      get: {
        operationId: 'getThing',
        responses: {
          200: {
            headers: header('X-Request-Id'),
            content: { 'application/json': { schema: { $ref: '#/components/schemas/Thing' } } },
          },
          204: { headers: header('X-Request-Id') },
          404: {
            content: {
              [PROBLEM]: {
                schema: { type: 'object', properties: { code: {} } },
                examples: { 'not-found': {} },
              },
            },
          },
          '4XX': { content: { [PROBLEM]: { schema: {}, examples: { 'invalid-request': {} } } } },
        },
      },
    },
  },
  components: {
    headers: { 'X-Request-Id': { required: true } },
    schemas: { Thing: { type: 'object', properties: { at: { type: 'string', format: 'date-time' } } } },
  },
} as Parameters<typeof contractOf>[0])

const faults = (statusCode: number, headers: Record<string, string>, body: unknown = '') =>
  faultsOf(
    'getThing',
    { statusCode, getHeaders: () => ({ 'x-request-id': '1', ...headers }) as never },
    body === '' ? '' : JSON.stringify(body),
  )
const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' }

describe('an answer', () => {
  it('that the document names is right', () => {
    expect(documented).toEqual(['getThing 200', 'getThing 204', 'getThing 404 not-found'])
    expect(faults(200, JSON_TYPE, { at: '2026-01-31T20:00:00.000Z' })).toEqual([])
    expect(faults(204, {})).toEqual([])
    expect(faults(404, { 'content-type': PROBLEM }, { code: 'not-found' })).toEqual([])
  })

  it.each([
    ['a status', faults(409, { 'content-type': PROBLEM }, { code: 'conflict' }), /status/],
    ['a code', faults(404, { 'content-type': PROBLEM }, { code: 'conflict' }), /code conflict/],
    ['a media type', faults(200, { 'content-type': 'text/plain' }, 'a text'), /media type "text.plain"/],
    ['a body', faults(204, JSON_TYPE, {}), /media type/],
    ['no body', faults(200, {}), /media type/],
    ['a field', faults(200, JSON_TYPE, { more: 1 }), /additional properties/],
    ['a format', faults(200, JSON_TYPE, { at: 'soon' }), /date-time/],
    ['a header', faults(204, { etag: '"1"' }), /ETag/],
    ['no header', faults(204, { 'x-request-id': '' }), /no X-Request-Id/],
  ])('with %s that the document does not name is wrong', (_what, found, fault) => {
    expect(found).toEqual([expect.stringMatching(fault)])
  })
})
