/**
 * `npm run dev`: the server, started again whenever something in `src/`, `drizzle/` or `.env` changes, with a
 * log for people to read. `node --watch` does not serve here: on Linux it loses sight of a file that an
 * editor or git replaces instead of overwriting it, and it knows nothing of migrations.
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
  // The last line is written before the process ends.
  sync: true,
  ignore: 'pid,hostname,method,route,status,ms',
  messageFormat: ({ msg, method, route, status, ms }) =>
    msg === 'request' ? `${method} ${route} ${status} ${ms} ms` : String(msg),
})
const say = (line: string) => log.write(`npm run dev: ${line}\n`)

let server: ChildProcess | undefined
/** Whether something changed since the server was started. */
let isStale = false
let isEnding = false

function start(): void {
  isStale = false
  const child = spawn(process.execPath, ['src/server.ts'], {
    cwd: root,
    env: {
      NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/compile'),
      // No load balancer has to hear of a restart in time.
      SHUTDOWN_NOTICE_MS: '0',
      ...process.env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  child.stdout.pipe(log, { end: false })
  // The next server starts when this one and its database have ended: there is one of each at any time.
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
    // Once: a second signal would force the server to end at once.
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

// Ctrl-C reaches the server from the terminal, too, which counts both as one.
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    isEnding = true
    if (server) server.kill(signal)
    else process.exit()
  })
start()
