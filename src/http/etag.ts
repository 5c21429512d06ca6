/**
 * Versions of what people edit, so that nobody overwrites what they have not seen. The ETag of a resource is
 * a digest of what can be edited of it and of nothing else: a scan or a heartbeat does not move it. Whoever
 * sends it back as `If-Match` changes that version or none.
 */
import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { problem } from './problem.ts'

/** What can be edited, of a resource as it is read from the database. */
export type VersionOf = (resource: never) => unknown

declare module 'fastify' {
  interface FastifyContextConfig {
    /** On each route whose answer is, or whose request changes, a resource that has versions. */
    versionOf?: VersionOf
  }
}

const etagOf = (versionOf: VersionOf, resource: unknown) =>
  `"${createHash('sha256')
    .update(JSON.stringify(versionOf(resource as never)))
    .digest('base64url')
    .slice(0, 22)}"`

/**
 * Before a change: when the request names versions (`If-Match`), one of them must be the current one; `*` is
 * any. A weak tag never matches (RFC 9110, 13.1.1). What is not there at all, the change itself will not
 * find.
 * @param hold locks the resource until the transaction ends and reads it; null: it may be made, but is not
 * there yet
 * @throws Problem `precondition-failed`
 */
export async function requireVersion(
  { headers, routeOptions }: FastifyRequest,
  hold: () => Promise<unknown>,
): Promise<void> {
  const wanted = headers['if-match']
  const { versionOf } = routeOptions.config
  if (wanted === undefined || !versionOf) return
  const current = await hold()
  if (current === undefined) return
  const tags = wanted.split(',').map((tag) => tag.trim())
  if (current === null || !(tags.includes('*') || tags.includes(etagOf(versionOf, current))))
    throw problem('precondition-failed')
}

/** Sends the ETag with each answer that is such a resource. */
export function tagVersions(app: FastifyInstance): void {
  app.addHook('preSerialization', async ({ routeOptions }, reply, payload) => {
    const { versionOf } = routeOptions.config
    if (versionOf && reply.statusCode < 300 && payload !== null)
      reply.header('etag', etagOf(versionOf, payload))
  })
}

/** The fields of a resource by their names. */
export const fieldsOf =
  (...names: string[]): VersionOf =>
  (resource: Record<string, unknown>) =>
    names.map((name) => resource[name])
