/**
 * Servers as in production, each a separate process, on throw-away databases; the process of the bench
 * creates the load.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { loginUrl, type TestDatabase } from '../test/support/database.ts'
import { serverProcesses } from '../test/support/server-process.ts'

export type Call = <T>(method: string, path: string, body?: object) => Promise<T>

const secrets = {
  JWT_SECRET: randomBytes(32).toString('hex'),
  PASSWORD_PEPPER: randomBytes(32).toString('hex'),
}

/** Starts servers without rate limits; all share their secrets. */
export function openServers() {
  const processes = serverProcesses()
  const start = (database: TestDatabase) =>
    processes.start({
      ...secrets,
      LOG_LEVEL: 'warn',
      DATABASE_ROLE_PREFIX: database.rolePrefix,
      DATABASE_URL: loginUrl(database, 'server'),
      DATABASE_AUTH_URL: loginUrl(database, 'auth'),
      DATABASE_ADMIN_URL: loginUrl(database, 'admin'),
      RATE_LIMIT_PERSON: '1000000',
      OVERLOAD_EVENT_LOOP_DELAY_MS: '0',
    })
  return { start, killAll: processes.killAll }
}

/** @throws Error when the status of the answer is not 2xx */
export const callerOf =
  (server: string, headers: Record<string, string> = {}): Call =>
  async (method, path, body) => {
    const sent = { method, headers: { ...headers, ...(body && { 'content-type': 'application/json' }) } }
    const answer = await fetch(server + path, { ...sent, ...(body && { body: JSON.stringify(body) }) })
    if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${await answer.text()}`)
    return (answer.status === 204 ? undefined : await answer.json()) as never
  }

/** A new person, with this many devices on a router. */
export async function personWith(server: string, devices: number) {
  const email = `${randomUUID()}@example.com`
  const password = `pw ${randomUUID()}`
  const account = { email, password }
  const { accessToken } = await callerOf(server)<{ accessToken: string }>(
    'POST',
    '/api/auth/register',
    account,
  )
  const call = callerOf(server, { authorization: `Bearer ${accessToken}` })
  const router = await call<{ id: string }>('POST', '/api/routers', { name: 'Home' })
  const { key } = await call<{ key: string }>('POST', `/api/routers/${router.id}/keys`, {})
  const seen = Array.from({ length: devices }, (_, index) => {
    const octet = index.toString(16).padStart(2, '0')
    return { mac: `02:00:00:00:00:${octet}`, ip: `10.0.0.${index + 1}`, hostname: `device-${octet}` }
  })
  await callerOf(server, { 'x-api-key': key })('POST', '/api/agent/scans', {
    scanId: randomUUID(),
    takenAt: new Date().toISOString(),
    devices: seen,
  })
  return { account, accessToken, call }
}

export const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
