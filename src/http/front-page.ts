import type { FastifyInstance } from 'fastify'
import { problem } from './problem.ts'

const PAGE = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>NetPilot</title></head>
<body>
<h1>NetPilot</h1>
<p>This is the server. It looks after home and small-business routers, and it is running.</p>
<ul>
<li>The whole API, to read and to try: <a href="/docs">/docs</a></li>
<li>The same as an OpenAPI document: <a href="/openapi.json">/openapi.json</a></li>
<li>How it is doing: <a href="/health">/health</a></li>
<li>From here, the README goes on with "A walk, from registration to devices".</li>
</ul>
</body>
</html>
`

/** A browser that opens `/` is shown where the documentation is. Every other client gets 404. */
export function frontPage(app: FastifyInstance): void {
  app.get('/', { schema: { hide: true } }, async ({ headers }, reply) => {
    reply.header('vary', [reply.getHeader('vary'), 'Accept'].flat().filter(Boolean).join(', '))
    if (!headers.accept?.includes('text/html')) throw problem('not-found')
    return reply.type('text/html; charset=utf-8').send(PAGE)
  })
}
