/**
 * `npm run dev` restarts the server after each change in `src/`, `drizzle/` or `.env`, and prints a readable
 * log. `node --watch` is not enough: on Linux it stops watching a file that an editor or git replaces
 * instead of overwriting, and it does not watch migrations.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, watch } from 'node:fs'
import { join } from 'node:path'
import pretty from 'pino-pretty'

const root = join(import.meta.dirname, '..')
/** Editors and `git checkout` write several files at a time. */
const SETTLED_MS = 150

const log = pretty({
  colorize: process.stdout.isTTY,
  translateTime: 'SYS:HH:MM:ss.l',
  singleLine: true,
  // Writes the last line before the process ends.
  sync: true,
  ignore: 'pid,hostname,method,route,status,ms',
  messageFormat: ({ msg, method, route, status, ms }) =>
    msg === 'request' ? `${method} ${route} ${status} ${ms} ms` : String(msg),
})
const say = (line: string) => log.write(`npm run dev: ${line}\n`)

let server: ChildProcess | undefined
/** Whether a file changed after the server started. */
let isStale = false
let isEnding = false

function start(): void {
  isStale = false
  const child = spawn(process.execPath, ['src/server.ts'], {
    cwd: root,
    env: {
      NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/compile'),
      // No load balancer needs notice of a restart.
      SHUTDOWN_NOTICE_MS: '0',
      ...process.env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  child.stdout.pipe(log, { end: false })
  // Starts the next server after this one and its database have ended, so that only one of each runs.
  child.on('close', (code) => {
    server = undefined
    if (isEnding) process.exit(code ?? 1)
    if (isStale) start()
    else say('the server ended; it starts again when a source changes. Ctrl-C ends this.')
  })
  server = child
}

function restart(): void {
  if (isEnding) return
  isStale = true
  if (!server) start()
  else if (!server.killed) {
    say('a source changed, the server starts again')
    // Sends the signal once: a second one would force the server to end immediately.
    server.kill('SIGTERM')
  }
}

let settled: NodeJS.Timeout | undefined
function onChange(name: string | null): void {
  if (name !== null && !/^\.env$|\.(ts|sql|json|txt)$/.test(name)) return
  clearTimeout(settled)
  settled = setTimeout(restart, SETTLED_MS)
}
const folders = ['src', 'drizzle'].flatMap((top) => [
  top,
  ...readdirSync(join(root, top), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1)),
])
for (const folder of folders) watch(join(root, folder), (_event, name) => onChange(name))
watch(root, (_event, name) => name === '.env' && onChange(name))

// The terminal also sends Ctrl-C to the server, which treats both signals as one.
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    isEnding = true
    if (server) server.kill(signal)
    else process.exit()
  })
start()
