import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/**
 * Runs the server on a free loopback port while this command runs. It checks the database like every start,
 * and it shares the embedded database of a running server. It sends no mail. Limits and requirements that
 * would only get in the way are lifted for it.
 */
const SETTINGS = {
  HOST: '127.0.0.1',
  PORT: '0',
  LOG_LEVEL: 'warn',
  SHUTDOWN_NOTICE_MS: '0',
  ACCESS_TOKEN_SECONDS: '3600',
  RATE_LIMIT_PERSON: '1000000',
  RATE_LIMIT_ROUTER: '1000000',
  EMAIL_VERIFICATION: 'off',
  REQUIRE_SECOND_FACTOR: 'off',
  SMTP_URL: '',
  MAIL_FROM: '',
  APP_URL: '',
}

/** @throws Error with the server's output when it does not start */
export async function withTemporaryServer<T>(work: (url: string) => Promise<T>): Promise<T> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('../../server.ts', import.meta.url))], {
    env: { ...process.env, ...SETTINGS },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = once(child, 'exit')
  const stop = () => child.kill('SIGTERM')
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)
  let said = ''
  child.stderr.on('data', (chunk) => {
    said += String(chunk)
  })
  try {
    for await (const line of createInterface(child.stdout)) {
      const [, port] = /try it +http:\/\/localhost:(\d+)/.exec(line) ?? []
      if (port) return await work(`http://127.0.0.1:${port}`)
    }
    throw new Error(`The server did not start:\n${said.trim()}`)
  } finally {
    stop()
    await ended
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop)
  }
}
