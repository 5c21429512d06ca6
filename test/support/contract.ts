/** The API document as a contract for comparing answers. */
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import type { FastifyReply } from 'fastify'

type Response = {
  headers?: Record<string, { $ref: string }>
  content?: Record<string, { schema: object; examples?: Record<string, unknown> }>
}
export type Document = {
  paths: Record<string, Record<string, { operationId: string; responses: Record<string, Response> }>>
  components: { headers: Record<string, { required?: boolean }> }
}
type Answered = Pick<FastifyReply, 'statusCode' | 'getHeaders'>
export type Contract = {
  documented: string[]
  /** The faults of an answer, each as what the document does not have. */
  faultsOf(operationId: string, reply: Answered, body: string): string[]
}

export const PROBLEM = 'application/problem+json'
/** Headers that clients of this API use: an answer has only those of them that the document names. */
const TOLD_HEADERS = [
  'Allow',
  'ETag',
  'Location',
  'RateLimit',
  'Retry-After',
  'Set-Cookie',
  'WWW-Authenticate',
]
const codesOf = (response: Response) => Object.keys(response.content?.[PROBLEM]?.examples ?? {})

/** A copy in which an object has only the properties that it names. */
const closed = (schema: unknown): unknown =>
  Array.isArray(schema)
    ? schema.map(closed)
    : typeof schema === 'object' && schema !== null
      ? {
          ...('properties' in schema && { additionalProperties: false }),
          ...Object.fromEntries(Object.entries(schema).map(([name, part]) => [name, closed(part)])),
        }
      : schema

/** What the API document says of answers, as a function that checks one. */
export function contractOf({ paths, components }: Document): Contract {
  const ajv = addFormats.default(new Ajv({ strict: false }))
  ajv.addSchema({ components: closed(components) }, 'document')
  const responses = new Map<string, Response>()
  for (const operation of Object.values(paths).flatMap((methods) => Object.values(methods)))
    for (const [status, response] of Object.entries(operation.responses))
      responses.set(`${operation.operationId} ${status}`, response)

  const faultsOf: Contract['faultsOf'] = (operationId, reply, text) => {
    const name = `${operationId} ${reply.statusCode === 500 ? '5XX' : reply.statusCode}`
    const response = responses.get(name)
    if (!response) return ['its status']
    const sent = reply.getHeaders()
    const named = Object.keys(response.headers ?? {})
    const faults = [
      ...named.flatMap((header) =>
        components.headers[header]?.required && !sent[header.toLowerCase()] ? `no ${header}` : [],
      ),
      ...TOLD_HEADERS.filter((header) => sent[header.toLowerCase()] && !named.includes(header)),
    ]
    const type = String(sent['content-type'] ?? '').replace(/;.*/, '')
    const media = response.content?.[type]
    if (!media) return text === '' && !response.content ? faults : [...faults, `its media type "${type}"`]
    if (!type.endsWith('json')) return faults
    const body = JSON.parse(text)
    if (type === PROBLEM && !codesOf(response).includes(body.code)) faults.push(`its code ${body.code}`)
    const key = type === PROBLEM ? 'problem' : name
    if (!ajv.getSchema(key))
      ajv.addSchema(JSON.parse(JSON.stringify(closed(media.schema)).replaceAll('"#/', '"document#/')), key)
    if (!ajv.validate(key, body)) faults.push(`its body: ${ajv.errorsText()}`)
    return faults
  }
  const documented = [...responses].flatMap(([name, response]) => {
    const codes = codesOf(response)
    return name.endsWith('XX') ? [] : codes.length > 0 ? codes.map((code) => `${name} ${code}`) : [name]
  })
  return { documented, faultsOf }
}
