/**
 * Every operation of the OpenAPI document, and requests made from its schemas. Tests check a rule for all
 * routes on each of them, including new ones.
 */
import type { Answer, World } from './world.ts'

export type Schema = {
  $ref?: string
  type?: string | string[]
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  anyOf?: Schema[]
  /** For a body that has several forms: the fields of each, as `operationsOf` reads them from its objects. */
  forms?: string[][]
  oneOf?: Schema[]
  enum?: unknown[]
  format?: string
  pattern?: string
  examples?: unknown[]
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
  uniqueItems?: boolean
  minProperties?: number
  maxProperties?: number
}

type Method = Parameters<World['send']>[0]

export type Operation = {
  /**
   * `POST /api/routers/{id}/keys`
   */
  name: string
  method: Method
  path: string
  operationId: string | undefined
  summary: string | undefined
  tags: string[]
  door: 'anyone' | 'person' | 'admin' | 'agent'
  /**
   * Every authentication method, the first of which is `door`; none where any caller may use the operation.
   */
  doors: string[]
  /** The schema of a JSON body. */
  body: Schema | undefined
  parameters: { in: 'query' | 'path'; name: string; required?: boolean; schema: Schema }[]
  responses: Record<string, { content?: Record<string, { schema: { $ref?: string } }> }>
}

type Documented = Omit<Operation, 'name' | 'method' | 'path' | 'door' | 'doors' | 'body' | 'parameters'> & {
  security?: Record<string, unknown>[]
  parameters?: (Operation['parameters'][number] & { example?: unknown })[]
  requestBody?: { content: Record<string, { schema: Schema }> }
}

type Document = {
  paths: Record<string, Record<string, Documented>>
  components: { schemas: Record<string, Schema> }
}

function operationsOf(openapi: Document): Operation[] {
  const resolve = (schema?: Schema): Schema | undefined => {
    if (!schema) return undefined
    if (schema.$ref) return resolve(openapi.components.schemas[schema.$ref.replace(/.*\//, '')])
    const { properties, items, oneOf, ...rest } = schema
    if (oneOf) return folded(oneOf.flatMap((form) => resolve(form) ?? []))
    return {
      ...rest,
      ...(properties && {
        properties: Object.fromEntries(
          Object.entries(properties).map(([field, inner]) => [field, resolve(inner) as Schema]),
        ),
      }),
      ...(items && { items: resolve(items) as Schema }),
    }
  }
  return Object.entries(openapi.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(
      ([method, { operationId, summary, tags, parameters = [], responses, security = [], requestBody }]) => ({
        name: `${method.toUpperCase()} ${path}`,
        method: method.toUpperCase() as Method,
        path,
        operationId,
        summary,
        tags,
        door: (Object.keys(security[0] ?? {})[0] ?? 'anyone') as Operation['door'],
        doors: security.flatMap((way) => Object.keys(way)),
        body: resolve(requestBody?.content['application/json']?.schema),
        parameters: parameters
          .filter(({ in: where }) => where === 'query' || where === 'path')
          .map(({ example, schema, ...rest }) => ({
            ...rest,
            schema: { ...schema, ...(example !== undefined && { examples: [example] }) },
          })),
        responses,
      }),
    ),
  )
}

/** The forms of a body as one object with all their fields. */
function folded(forms: Schema[]): Schema {
  const [first = [], ...others] = forms.map(({ required = [] }) => required)
  const common = first.filter((field) => others.every((required) => required.includes(field)))
  return {
    ...forms[0],
    properties: Object.assign({}, ...forms.toReversed().map(({ properties }) => properties)),
    required: common,
    forms: [first, ...others].map((required) => required.filter((field) => !common.includes(field))),
  }
}

/** Values for schemas without an example, by name. */
const EXAMPLES: Record<string, string> = {
  mac: '00:00:5e:00:53:01',
  ip: '192.0.2.7',
  ips: '192.0.2.8',
  takenAt: '2026-01-01T00:00:00Z',
}
const FORMATS: Record<string, string> = {
  uuid: '7e5f1c1e-0000-4000-8000-000000000000',
  'date-time': '2100-01-01T00:00:00Z',
}

/** A value that the schema accepts, with every possible field or only with the required ones. */
export function sampleOf(schema: Schema, { name = '', lean = false } = {}): unknown {
  if (schema.properties) {
    const [chosen, ...others] = schema.forms ?? []
    const needed = [...(schema.required ?? []), ...(chosen ?? [])]
    const fields = Object.entries(schema.properties).filter(([field]) => !others.flat().includes(field))
    const lacking = (schema.minProperties ?? 0) - needed.length
    const kept = lean ? fields.filter(([field], index) => needed.includes(field) || index < lacking) : fields
    return Object.fromEntries(kept.map(([field, inner]) => [field, sampleOf(inner, { name: field, lean })]))
  }
  if (schema.items) return [sampleOf(schema.items, { name, lean })]
  const [type] = [schema.type ?? schema.anyOf?.[0]?.type ?? 'string'].flat()
  const known = schema.examples?.[0] ?? schema.enum?.[0] ?? EXAMPLES[name] ?? FORMATS[schema.format ?? '']
  return known ?? { integer: schema.minimum ?? 1, boolean: true, object: {} }[type as string] ?? 'sample'
}

/** A place in a body: its JSON pointer, its schema, and the body with another value there. */
export type Place = { pointer: string; schema: Schema; with(value: unknown): unknown }

/** Every place of the full sample: the body itself, its fields, their fields and items. */
export function placesOf(schema: Schema, sample = sampleOf(schema)): Place[] {
  const below = (
    pointer: string,
    inner: Schema | undefined,
    value: unknown,
    put: (value: unknown) => unknown,
  ): Place[] =>
    inner && value !== undefined
      ? placesOf(inner, value).map((place) => ({
          ...place,
          pointer: `/${pointer}${place.pointer}`,
          with: (replacement) => put(place.with(replacement)),
        }))
      : []
  const fields = Object.entries(schema.properties ?? {}).flatMap(([field, inner]) =>
    below(field, inner, (sample as Record<string, unknown>)[field], (value) => ({
      ...(sample as object),
      [field]: value,
    })),
  )
  const items = below('0', schema.items, (sample as unknown[])[0], (value) => [value])
  return [{ pointer: '', schema, with: (value) => value }, ...fields, ...items]
}

/** The JSON types that a place may have; none when it may have any. */
export const typesOf = ({ type, anyOf, enum: values }: Schema): string[] =>
  type ? [type].flat() : anyOf ? anyOf.flatMap(typesOf) : (values ?? []).map((value) => typeof value)

/** The path with a value for each of its parameters, made from its schema unless given. */
export const urlOf = ({ path, parameters }: Operation, values: Record<string, string>) =>
  path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const schema = parameters.find((parameter) => parameter.name === name)?.schema ?? {}
    return encodeURIComponent(values[name] ?? String(sampleOf(schema, { name })))
  })

/** The operations that a server documents. */
export async function listOperations({ send }: World): Promise<Operation[]> {
  const answer: Answer = await send('GET', '/openapi.json')
  return operationsOf(answer.json())
}
