/** The process: reads the configuration, prepares the database, listens, and shuts down in order. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { buildApp } from './app.ts'
import {
  type Config,
  ConfigError,
  loadEnvFile,
  readConfig,
  requireProductionSettings,
} from './config/config.ts'
import { envFileFaults } from './config/env-file.ts'
import { explain, refuses, type Section, selfCheck } from './database/catalogue/self-check.ts'
import { openLocalDatabase } from './database/local.ts'
import { readMigrations } from './database/migrations/runner.ts'
import { listenForNotifications } from './database/notifications.ts'
import { createPool } from './database/pool.ts'
import { roleNames } from './database/role-names.ts'
import { explainSystemError, StartRefused } from './database/start-refused.ts'
import { rawSocketProblem } from './http/problem.ts'
import type { Pools } from './rls/transaction.ts'
import { printStart } from './start-message.ts'

const { version } = createRequire(import.meta.url)('../package.json') as { version: string }

async function start(): Promise<void> {
  loadEnvFile()
  const config = readConfig(process.env)
  for (const fault of envFileFaults(config.names)) process.stderr.write(`.env: ${fault}\n`)
  // The port is reserved before the database starts and until the server listens. Of several simultaneous
  // starts, those without the port leave the database alone, because the serving one may be attached to it.
  const releasePort = await holdPort(config)
  const database = config.database.url === undefined ? await local(config) : remote(config)
  const migrations = await readMigrations()
  const onIdleError = (err: Error) => app?.log.warn({ err }, 'an idle database connection was lost')
  const pool = (purpose: keyof Pools, size: number) =>
    createPool({
      url: database.urls[purpose],
      size,
      acquireTimeoutMs: config.database.acquireTimeoutMs,
      applicationName: `netpilot ${purpose}`,
      onIdleError,
    })
  const pools = {
    server: pool('server', config.database.poolSize),
    auth: pool('auth', config.database.authPoolSize),
    admin: pool('admin', config.database.adminPoolSize),
  }
  const closing = new AbortController()
  let app: Awaited<ReturnType<typeof buildApp>> | undefined

  const listen = (wake: (digest?: string) => void) =>
    listenForNotifications({
      url: config.database.directUrl ?? database.urls.server,
      channel: 'netpilot_policy',
      onNotification: wake,
      onGap: () => wake(),
      onError: (err) =>
        app?.log.warn(
          { err },
          'the LISTEN connection was lost: agents hear of changes late until it is back',
        ),
    })

  const close = async () => {
    await app?.close()
    await Promise.all(Object.values(pools).map((each) => each.end()))
    await database.stop()
  }

  let checked: Section[]
  try {
    checked = await selfCheck(pools, migrations, roleNames(config.database.rolePrefix))
    if (checked.some(refuses)) throw new StartRefused(refusal(checked))
    app = await buildApp({
      config,
      version,
      secrets: database.secrets,
      pools,
      migrations,
      closing: closing.signal,
      listen,
    })
    await releasePort()
    await app.listen({
      host: config.host,
      port: config.port,
      listenTextResolver: (address) => `listening on ${address}`,
    })
  } catch (error) {
    await close().catch(() => {})
    throw error
  }

  const { log } = app
  // A promise without a handler has failed. Its request was answered correctly (nothing was stored), but the
  // code is wrong.
  process.on('unhandledRejection', (err) => log.error({ err }, 'unhandled rejection'))
  void database.lost.then(() => {
    if (!closing.signal.aborted)
      fail('The database is gone: it stopped, or the process that ran it did. Start NetPilot again.')
  })
  stopOnSignal(async () => {
    closing.abort()
    log.info('closing: no longer ready, finishing open requests')
    await new Promise((resolve) => setTimeout(resolve, config.shutdown.noticeMs))
    // Requests slower than this are cut off. The process still exits in order.
    const cut = setTimeout(() => app?.server.closeAllConnections(), config.shutdown.drainMs)
    await close()
    clearTimeout(cut)
    log.info('closed')
  })
  const warnings = checked.filter(({ findings }) => findings.length > 0)
  for (const { name, promise, remedy, findings } of warnings)
    log.warn(
      { check: name, found: findings.map(({ what }) => what), remedy },
      `database self-check failed. Expected: the database ${promise}`,
    )
  printStart({
    config,
    version,
    address: app.server.address(),
    embedded: database.embedded,
    warnings: warnings.map(({ name }) => name),
  })
}

async function local(config: Config) {
  const { urls, secrets, dataDir, isNew, stop, lost } = await openLocalDatabase(
    config.dataDir,
    config.database.rolePrefix,
  )
  const { jwt, jwtPrevious, pepper, pepperPrevious } = config.secrets
  return {
    urls,
    embedded: { dataDir, isNew },
    stop,
    lost,
    secrets: {
      jwt: { current: jwt ?? secrets.jwtSecret, previous: jwtPrevious },
      pepper: { current: pepper ?? secrets.passwordPepper, previous: pepperPrevious },
    },
  }
}

function remote(config: Config) {
  const { url, authUrl, adminUrl, jwtSecret, pepper } = requireProductionSettings(config)
  return {
    urls: { server: url, auth: authUrl, admin: adminUrl },
    embedded: undefined,
    stop: async () => {},
    // An external database may come back, so the server waits for it and does not give up.
    lost: new Promise<void>(() => {}),
    secrets: {
      jwt: { current: jwtSecret, previous: config.secrets.jwtPrevious },
      pepper: { current: pepper, previous: config.secrets.pepperPrevious },
    },
  }
}

const refusal = (checked: Section[]) =>
  [
    "NetPilot does not start: one person's rows might show to another, or the database is not what this version was written for.",
    ...explain(checked, ({ isWarning }) => !isWarning),
    '"npm run doctor" repeats these checks at any time.',
  ].join('\n')

/**
 * npm passes Ctrl-C on, so that one key press arrives twice. Signals within a second of the first count as
 * the same. Later ones force the exit.
 */
function stopOnSignal(stop: () => Promise<void>): void {
  let askedAt: number | undefined
  const onSignal = () => {
    if (askedAt === undefined) {
      askedAt = Date.now()
      stop().then(
        () => process.exit(0),
        (error: Error) => fail(`NetPilot did not shut down cleanly: ${error.message}`),
      )
    } else if (Date.now() - askedAt > 1_000) fail('NetPilot was told twice and stops at once.')
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
}

/**
 * Reserves the port and answers 503 meanwhile. @returns a function that releases the port
 * @throws EADDRINUSE when another program listens there
 */
async function holdPort({ host, port }: Config): Promise<() => Promise<void>> {
  const holder = createServer((socket) =>
    socket.on('error', () => {}).end(rawSocketProblem(503, randomUUID()), () => socket.destroy()),
  )
  holder.listen({ host, port })
  await once(holder, 'listening')
  return async () => {
    holder.close()
    await once(holder, 'close')
  }
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

start().catch((error: Error) =>
  fail(
    error instanceof ConfigError || error instanceof StartRefused
      ? error.message
      : `NetPilot does not start: ${explainSystemError(error) ?? error.stack}`,
  ),
)
