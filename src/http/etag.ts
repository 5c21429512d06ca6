/**
 * ETags prevent lost updates. The ETag of a resource is a digest of its editable fields only, so a scan or a
 * heartbeat does not change it. A client that sends it back as `If-Match` changes exactly that version, or
 * nothing.
 */
import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { problem } from './problem.ts'

/** Selects the editable fields of a resource as read from the database. */
export type VersionOf = (resource: never) => unknown

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Set on each route that returns or changes a versioned resource. */
    versionOf?: VersionOf
  }
}

const etagOf = (versionOf: VersionOf, resource: unknown) =>
  `"${createHash('sha256')
    .update(JSON.stringify(versionOf(resource as never)))
    .digest('base64url')
    .slice(0, 22)}"`

/**
 * Checks `If-Match` before a change: if the request has it, one of its tags must be the current version; `*`
 * matches any. A weak tag never matches (RFC 9110, 13.1.1). A missing resource passes, because the change
 * itself then answers 404.
 * @param hold locks the resource until the transaction ends and reads it; null: the resource can be created,
 * but does not exist yet
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

/** Adds the ETag to each response that is a versioned resource. */
export function tagVersions(app: FastifyInstance): void {
  app.addHook('preSerialization', async ({ routeOptions }, reply, payload) => {
    const { versionOf } = routeOptions.config
    if (versionOf && reply.statusCode < 300 && payload !== null)
      reply.header('etag', etagOf(versionOf, payload))
  })
}

/** Selects the named fields of a resource. */
export const fieldsOf =
  (...names: string[]): VersionOf =>
  (resource: Record<string, unknown>) =>
    names.map((name) => resource[name])
