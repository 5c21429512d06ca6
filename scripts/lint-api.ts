/**
 * `npm run lint:api` writes the API document of the real server and lints it. The server needs no database
 * for that.
 */
import { execFileSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { buildApp } from '../src/app.ts'
import { readConfig } from '../src/config/config.ts'

const root = new URL('..', import.meta.url)
const cache = new URL('node_modules/.cache/', root)
const document = new URL('openapi.json', cache)

// A pool connects on demand, and this script demands no connection.
const pools = { server: new pg.Pool(), auth: new pg.Pool(), admin: new pg.Pool() }
const app = await buildApp({
  config: readConfig({ LOG_LEVEL: 'silent' }),
  version: process.env.npm_package_version ?? '0.0.0',
  secrets: { jwt: { current: 'unused'.repeat(8) }, pepper: { current: 'unused'.repeat(8) } },
  pools,
  migrations: [],
})
await app.ready()
await mkdir(cache, { recursive: true })
await writeFile(document, JSON.stringify(app.swagger(), null, 2))
await app.close()

execFileSync(
  process.execPath,
  [
    fileURLToPath(new URL('node_modules/@redocly/cli/bin/cli.js', root)),
    'lint',
    fileURLToPath(document),
    '--config',
    fileURLToPath(new URL('redocly.yaml', root)),
  ],
  { stdio: 'inherit', env: { ...process.env, REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' } },
)
