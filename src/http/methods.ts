/**
 * What follows from the routes that there are: other methods on a path that exists are 405, and what was made
 * says where it lies.
 */
import type { FastifyInstance, HTTPMethods } from 'fastify'
import { problem } from './problem.ts'

const METHODS: HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']

/**
 * Before the routes. What was made is found under its id below the path that it was posted to, where that is
 * a path; other routes say themselves where it is. Each path of an operation gets a route for the methods
 * that it lacks, in the scope where its operations are: so whoever may not enter there is told so first.
 * @returns adds those routes, when all others are there
 */
export function followRoutes(app: FastifyInstance): () => void {
  const paths = new Map<string, { scope: FastifyInstance; path: string; allowed: Set<string> }>()
  app.addHook('onRoute', function collect(this: FastifyInstance, { url, routePath, method, schema }) {
    if (schema?.operationId === undefined) return
    const known = paths.get(url) ?? { scope: this, path: routePath, allowed: new Set<string>() }
    for (const each of [method].flat()) known.allowed.add(each)
    paths.set(url, known)
  })
  app.addHook('preSerialization', async ({ url, routeOptions }, reply, payload) => {
    if (reply.statusCode === 201 && paths.get(`${routeOptions.url}/:id`)?.allowed.has('GET'))
      reply.header('location', `${url.split('?', 1)[0]}/${(payload as { id: string }).id}`)
  })
  return () => {
    for (const { scope, path, allowed } of paths.values()) {
      const allow = METHODS.filter((method) => allowed.has(method)).join(', ')
      scope.route({
        method: METHODS.filter((method) => !allowed.has(method)),
        url: path,
        // A body is not even read.
        onRequest: async () => {
          throw problem('method-not-allowed', { allow })
        },
        schema: { hide: true },
        handler: async () => undefined,
      })
    }
  }
}
