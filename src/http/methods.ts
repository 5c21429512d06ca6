/**
 * Derives two answers from the routes: 405 for other methods on an existing path, and `Location` for a
 * created resource.
 */
import type { FastifyInstance, HTTPMethods } from 'fastify'
import { problem } from './problem.ts'

const METHODS: HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']

/**
 * Call it before the routes. A created resource has the path of its POST plus its id, if a route for that
 * path exists; other routes set `Location` themselves. The missing methods of each path are added in the
 * scope of its operations, so that a client without access is refused for that first.
 * @returns a function that adds those routes, to be called after all others
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
        // Answers in `onRequest`, so that the body is not read.
        onRequest: async () => {
          throw problem('method-not-allowed', { allow })
        },
        schema: { hide: true },
        handler: async () => undefined,
      })
    }
  }
}
