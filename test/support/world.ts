/** People, routers and agents, which tests use through HTTP only. Each one is new. */
import { randomBytes, randomUUID } from 'node:crypto'
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import pg from 'pg'
import { inject } from 'vitest'
import { type AppOptions, buildApp } from '../../src/app.ts'
import type { Secrets } from '../../src/auth/auth.ts'
import { type Config, readConfig } from '../../src/config/config.ts'
import { readMigrations } from '../../src/database/migrations/runner.ts'
import { listenForNotifications } from '../../src/database/notifications.ts'
import { createPool } from '../../src/database/pool.ts'
import { createBackgroundTasks } from '../../src/jobs/background-tasks.ts'
import type { Mail } from '../../src/mail/mailer.ts'
import type { Pools } from '../../src/rls/transaction.ts'
import { loginUrl, servingUrl, type TestDatabase } from './database.ts'
import { tokenIn } from './mail.ts'
import { requireOwner } from './owner-named.ts'

export type Answer = LightMyRequestResponse
type Method = NonNullable<InjectOptions['method']>
type CallOptions = { body?: unknown; headers?: Record<string, string>; query?: Record<string, string> }

/** All tests come from one address, and more of them run at once than two processors can serve. */
const UNLIMITED = {
  RATE_LIMIT_REGISTRATIONS: '1000000',
  RATE_LIMIT_SIGN_INS: '1000000',
  RATE_LIMIT_PERSON: '1000000',
  RATE_LIMIT_ROUTER: '1000000',
  RATE_LIMIT_DOCUMENTS: '1000000',
  OVERLOAD_EVENT_LOOP_DELAY_MS: '0',
}

/** Durations, limits and bcrypt's cost are configuration; tests set them low. */
export const testConfig = (env: Record<string, string> = {}): Config =>
  readConfig({
    BCRYPT_COST: '4',
    LOG_LEVEL: 'silent',
    DATABASE_POOL_SIZE: '10',
    DATABASE_ACQUIRE_TIMEOUT_MS: '5000',
    ...UNLIMITED,
    ...env,
  })

export type TestServer = {
  app: FastifyInstance
  pools: Pools
  config: Config
  logged: string[]
  /** Mails that it sent, the newest last. */
  mails: Mail[]
  /** Resolves when the work that answers do not wait for is done. */
  settled(): Promise<void>
  closing: AbortController
  secrets: AppOptions['secrets']
  close(): Promise<void>
}

/** Secrets of a server, different for each. */
export const newSecrets = (): Secrets => ({
  jwt: { current: randomBytes(32).toString('base64url') },
  pepper: { current: randomBytes(32).toString('base64url') },
})

/** A separate server, for a test that needs other settings or changes it. */
export async function openServer(
  env: Record<string, string> = {},
  database: TestDatabase = inject('database'),
  options: Partial<AppOptions> = {},
): Promise<TestServer> {
  const config = testConfig({
    DATABASE_ROLE_PREFIX: database.rolePrefix,
    ...(database.pooler && { DATABASE_NAMED_STATEMENTS: 'off' }),
    ...env,
  })
  const pool = (role: keyof Pools, size: number) =>
    createPool({
      url: servingUrl(database, role),
      size,
      acquireTimeoutMs: config.database.acquireTimeoutMs,
      applicationName: `test ${role}`,
      onIdleError: () => {},
    })
  const pools = {
    server: pool('server', config.database.poolSize),
    auth: pool('auth', config.database.authPoolSize),
    admin: pool('admin', config.database.adminPoolSize),
  }
  requireOwner(pools.server)
  const logged: string[] = []
  const mails: Mail[] = []
  const background = createBackgroundTasks((error) => void logged.push(String(error)))
  const closing = new AbortController()
  const secrets = newSecrets()
  const app = await buildApp({
    config,
    version: '0.0.0-test',
    secrets,
    pools,
    migrations: await readMigrations(),
    closing: closing.signal,
    listen: (wake) =>
      listenForNotifications({
        url: loginUrl(database, 'server'),
        channel: 'netpilot_policy',
        onNotification: wake,
        onGap: () => wake(),
        onError: () => {},
      }),
    logStream: { write: (line) => void logged.push(line) },
    mailer: { send: (mail) => void mails.push(mail), close: async () => {} },
    background,
    // The purge must not run while tests age rows, except in the tests of the purge.
    firstPurgeAfterMs: 86_400_000,
    ...options,
  })
  await app.ready()
  const close = async () => {
    await app.close()
    await Promise.all(Object.values(pools).map((each) => each.end()))
  }
  return { app, pools, config, secrets, logged, mails, settled: background.settled, closing, close }
}

/** A signed-in person with an account. */
export type Person = {
  id: string
  email: string
  password: string
  accessToken: string
  refreshToken: string
  call(method: Method, url: string, options?: CallOptions): Promise<Answer>
  router(fields?: Record<string, unknown>): Promise<Router>
}
/** A person's router, and its agent. */
export type Router = {
  id: string
  key: string
  keyId: string
  owner: Person
  /** Sends a request as the agent. */
  call(method: Method, url: string, options?: CallOptions): Promise<Answer>
  /** Posts a scan of devices (MACs, or whole entries). @returns the answer */
  scan(
    entries: (string | Record<string, unknown>)[],
    scan?: { scanId?: string; takenAt?: string },
  ): Promise<Answer>
  /** Its devices, as the owner sees them. */
  devices(): Promise<Record<string, unknown>[]>
}

export type World = ReturnType<typeof worldOf>

/** The people of one server. */
export function worldOf({ app, mails }: Pick<TestServer, 'app' | 'mails'>) {
  const send = (method: Method, url: string, { body, headers = {}, query }: CallOptions = {}) =>
    app.inject({
      method,
      url,
      headers,
      ...(query && { query }),
      ...(body !== undefined && { payload: body as string | object }),
    })

  const person = async (
    fields: { email?: string; password?: string; fullName?: string } = {},
  ): Promise<Person> => {
    const { email = `${randomUUID()}@example.com`, password = `pw ${randomUUID()}`, ...rest } = fields
    const answer = await send('POST', '/api/auth/register', { body: { email, password, ...rest } })
    if (answer.statusCode !== 201)
      throw new Error(`registration answered ${answer.statusCode}: ${answer.body}`)
    const { user, accessToken, refreshToken } = answer.json()
    const somebody: Person = {
      id: user.id,
      email,
      password,
      accessToken,
      refreshToken,
      call: (method, url, options = {}) =>
        send(method, url, {
          ...options,
          headers: { authorization: `Bearer ${somebody.accessToken}`, ...options.headers },
        }),
      router: async (routerFields = {}) => {
        const router = (
          await somebody.call('POST', '/api/routers', { body: { name: 'Home', ...routerFields } })
        ).json()
        const { key, id: keyId } = (
          await somebody.call('POST', `/api/routers/${router.id}/keys`, { body: {} })
        ).json()
        return routerOf(somebody, router.id, key, keyId)
      },
    }
    return somebody
  }

  /** A person who has followed the link in the mail that registration sent. */
  const confirmedPerson: typeof person = async (fields) => {
    const somebody = await person(fields)
    const mail = mails.findLast(({ to, kind }) => to === somebody.email && kind === 'verify-email')
    const answer = await send('POST', '/api/auth/verify-email', { body: { token: mail && tokenIn(mail) } })
    if (answer.statusCode !== 204)
      throw new Error(`confirming an address answered ${answer.statusCode}: ${answer.body}`)
    return somebody
  }

  /** A person whom the database knows as an administrator. */
  const administrator = async (): Promise<Person> => {
    const somebody = await person()
    await rowsOf(`update users set role = 'admin' where id = $1`, [somebody.id])
    return somebody
  }

  const routerOf = (owner: Person, id: string, key: string, keyId: string): Router => {
    const call: Router['call'] = (method, url, options = {}) =>
      send(method, url, { ...options, headers: { 'x-api-key': key, ...options.headers } })
    return {
      id,
      key,
      keyId,
      owner,
      call,
      scan: (entries, { scanId = randomUUID(), takenAt = new Date().toISOString() } = {}) =>
        call('POST', '/api/agent/scans', {
          body: {
            scanId,
            takenAt,
            devices: entries.map((entry) => (typeof entry === 'string' ? { mac: entry } : entry)),
          },
        }),
      devices: async () =>
        (await owner.call('GET', '/api/devices', { query: { routerId: id, limit: '200' } })).json().items,
    }
  }

  return { app, send, person, confirmedPerson, administrator, routerOf }
}

let shared: Promise<World> | undefined
/** The server that most tests share; it ends with its worker. */
export const sharedWorld = (): Promise<World> => {
  shared ??= openServer().then(worldOf)
  return shared
}

let superuser: pg.Pool | undefined
/** Runs a statement as a superuser, without row security: to age rows, and to see what was stored. */
export async function rowsOf<Row extends pg.QueryResultRow>(
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  superuser ??= new pg.Pool({ connectionString: inject('database').adminUrl, max: 4, allowExitOnIdle: true })
  return (await superuser.query<Row>(text, values)).rows
}

/** Creates the row as if the person had linked an account at the provider. */
export const linkProvider = (userId: string, provider: string, subject: string) =>
  rowsOf(
    `with linked as (insert into user_providers (user_id, provider, subject) values ($1, $2, $3))
      insert into user_identities (provider, subject, user_id) values ($2, $3, $1)`,
    [userId, provider, subject],
  )

/** A MAC that no other test has; globally administered unless requested otherwise. */
export const newMac = (firstOctet = '00'): string =>
  [firstOctet, ...randomBytes(5).toString('hex').matchAll(/../g)].map(String).join(':')
