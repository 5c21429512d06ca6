/**
 * Reads the environment into a typed configuration. Only this file reads the environment. `.env.example`
 * describes every variable.
 */
import { existsSync } from 'node:fs'
import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { requireStrongSecret } from '../crypto/strong-secret.ts'
import { roleNames } from '../database/role-names.ts'
import { googleSettings } from './google.ts'
import { mailSettings } from './mail.ts'
import { oidcSettings } from './oidc.ts'

export type Config = ReturnType<typeof readConfig>

/** Thrown with one line for each missing or wrong variable. The message never contains a value. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  readonly faults: string[]
  constructor(faults: string[]) {
    super(
      [
        'The configuration cannot be used:',
        ...faults.map((fault) => `  - ${fault}`),
        'See .env.example.',
      ].join('\n'),
    )
    this.faults = faults
  }
}

/** Loads `.env`, if it exists, into the environment. Variables that are already set win. */
export function loadEnvFile(path = '.env'): void {
  if (existsSync(path)) process.loadEnvFile(path)
}

/** @throws ConfigError */
export function readConfig(env: NodeJS.ProcessEnv) {
  const faults: string[] = []
  /** Every name that is read, and therefore every known name. */
  const names = new Set<string>()
  const value = (name: string) => {
    names.add(name)
    return env[name] === '' ? undefined : env[name]
  }
  const text = (name: string, fallback: string) => value(name) ?? fallback
  const integer = (name: string, fallback: number, min: number, max: number) => {
    const number = Number(value(name) ?? fallback)
    if (Number.isInteger(number) && number >= min && number <= max) return number
    faults.push(`${name} must be a whole number from ${min} to ${max}`)
    return fallback
  }
  const oneOf = <const T extends string>(name: string, fallback: T, allowed: readonly T[]) => {
    const choice = (value(name) ?? fallback) as T
    if (allowed.includes(choice)) return choice
    faults.push(`${name} must be one of ${allowed.join(', ')}`)
    return fallback
  }
  const list = (name: string) =>
    (value(name) ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter(Boolean)
  const databaseUrl = (name: string) => {
    const url = value(name)
    if (url !== undefined && !/^postgres(ql)?:\/\//.test(url))
      faults.push(`${name} must be a postgres:// connection string`)
    return url
  }

  const isProduction = value('NODE_ENV') === 'production'
  const corsOrigins = list('CORS_ORIGINS')
  const publicUrl = value('PUBLIC_URL')
  /** Of pages of the operator's own. */
  const ownOrigins = [...corsOrigins, value('APP_URL'), publicUrl].flatMap((url) =>
    url !== undefined && URL.canParse(url) ? [new URL(url).origin] : [],
  )
  const config = {
    isProduction,
    host: text('HOST', '0.0.0.0'),
    port: integer('PORT', 3000, 0, 65_535),
    dataDir: resolve(text('DATA_DIR', '.netpilot')),
    logLevel: oneOf('LOG_LEVEL', 'info', ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
    publicUrl,
    trustProxy: list('TRUST_PROXY'),
    corsOrigins,
    database: {
      url: databaseUrl('DATABASE_URL'),
      directUrl: databaseUrl('DATABASE_URL_DIRECT'),
      authUrl: databaseUrl('DATABASE_AUTH_URL'),
      adminUrl: databaseUrl('DATABASE_ADMIN_URL'),
      migrateUrl: databaseUrl('DATABASE_MIGRATE_URL'),
      setupUrl: databaseUrl('DATABASE_SETUP_URL'),
      rolePrefix: text('DATABASE_ROLE_PREFIX', 'netpilot_'),
      poolSize: integer('DATABASE_POOL_SIZE', 10, 1, 1_000),
      authPoolSize: integer('DATABASE_AUTH_POOL_SIZE', 4, 1, 1_000),
      adminPoolSize: integer('DATABASE_ADMIN_POOL_SIZE', 2, 1, 1_000),
      acquireTimeoutMs: integer('DATABASE_ACQUIRE_TIMEOUT_MS', 1_000, 10, 60_000),
      namedStatements: oneOf('DATABASE_NAMED_STATEMENTS', 'on', ['on', 'off']) === 'on',
    },
    secrets: {
      jwt: value('JWT_SECRET'),
      jwtPrevious: value('JWT_SECRET_PREVIOUS'),
      pepper: value('PASSWORD_PEPPER'),
      pepperPrevious: value('PASSWORD_PEPPER_PREVIOUS'),
    },
    accessTokenSeconds: integer('ACCESS_TOKEN_SECONDS', 600, 10, 3_600),
    session: {
      idleDays: integer('SESSION_IDLE_DAYS', 14, 1, 365),
      maxDays: integer('SESSION_MAX_DAYS', 30, 1, 365),
      refreshGraceSeconds: integer('REFRESH_GRACE_SECONDS', 10, 0, 300),
    },
    emailVerification: oneOf('EMAIL_VERIFICATION', 'off', ['on', 'off']) === 'on',
    requireSecondFactor: oneOf('REQUIRE_SECOND_FACTOR', 'off', ['off', 'admins', 'everyone']),
    lockout: {
      failures: integer('LOCKOUT_FAILURES', 5, 1, 1_000),
      seconds: integer('LOCKOUT_SECONDS', 300, 1, 86_400),
    },
    passwords: {
      minLength: integer('PASSWORD_MIN_LENGTH', 12, 8, 128),
      cost: integer('BCRYPT_COST', 12, isProduction ? 12 : 4, 16),
      concurrency: integer('BCRYPT_CONCURRENCY', Math.min(availableParallelism(), 2), 1, 64),
      queue: integer('BCRYPT_QUEUE', 64, 0, 10_000),
      waitMs: integer('BCRYPT_WAIT_MS', 10_000, 0, 60_000),
    },
    rateLimits: {
      registrations: integer('RATE_LIMIT_REGISTRATIONS', 60, 1, 1_000_000),
      signIns: integer('RATE_LIMIT_SIGN_INS', 300, 1, 1_000_000),
      person: integer('RATE_LIMIT_PERSON', 1_200, 1, 1_000_000),
      router: integer('RATE_LIMIT_ROUTER', 600, 1, 1_000_000),
      documents: integer('RATE_LIMIT_DOCUMENTS', 60, 1, 1_000_000),
    },
    apiDocs: oneOf('API_DOCS', 'on', ['on', 'off']) === 'on',
    healthDetails: oneOf('HEALTH_DETAILS', 'on', ['on', 'off']) === 'on',
    maxEventLoopDelayMs: integer('OVERLOAD_EVENT_LOOP_DELAY_MS', 1_000, 0, 60_000),
    auditRetentionDays: integer('AUDIT_RETENTION_DAYS', 365, 30, 3_650),
    google: googleSettings(
      {
        clientIds: list('GOOGLE_CLIENT_ID'),
        clientSecret: value('GOOGLE_CLIENT_SECRET'),
        redirectUri: value('GOOGLE_REDIRECT_URI'),
        returnTo: list('GOOGLE_RETURN_TO'),
        hostedDomains: list('GOOGLE_HOSTED_DOMAIN'),
        timeoutMs: integer('GOOGLE_TIMEOUT_MS', 5_000, 100, 60_000),
        endpoints: {
          issuer: text('GOOGLE_ISSUER', 'https://accounts.google.com'),
          authorizationUrl: text('GOOGLE_AUTHORIZATION_URL', 'https://accounts.google.com/o/oauth2/v2/auth'),
          tokenUrl: text('GOOGLE_TOKEN_URL', 'https://oauth2.googleapis.com/token'),
          certificatesUrl: text('GOOGLE_CERTIFICATES_URL', 'https://www.googleapis.com/oauth2/v1/certs'),
        },
      },
      corsOrigins,
      faults,
    ),
    oidc: oidcSettings(
      {
        issuer: value('OIDC_ISSUER'),
        clientId: value('OIDC_CLIENT_ID'),
        clientSecret: value('OIDC_CLIENT_SECRET'),
        name: value('OIDC_NAME'),
        scopes: text('OIDC_SCOPES', 'openid email profile'),
        redirectUri: value('OIDC_REDIRECT_URI'),
        returnTo: list('OIDC_RETURN_TO'),
        allowHttp: oneOf('OIDC_ALLOW_HTTP', 'off', ['on', 'off']) === 'on',
        timeoutMs: integer('OIDC_TIMEOUT_MS', 5_000, 100, 60_000),
      },
      { publicUrl, origins: ownOrigins },
      faults,
    ),
    mail: {
      ...mailSettings(
        { smtpUrl: value('SMTP_URL'), from: value('MAIL_FROM'), appUrl: value('APP_URL') },
        isProduction,
        faults,
      ),
      queue: integer('MAIL_QUEUE', 1_000, 1, 100_000),
      timeoutMs: integer('MAIL_TIMEOUT_MS', 10_000, 10, 300_000),
    },
    routerOnlineMinutes: integer('ROUTER_ONLINE_MINUTES', 15, 1, 1_440),
    scans: {
      bodyLimit: integer('SCAN_BODY_LIMIT_BYTES', 1_048_576, 1_024, 16_777_216),
      maxDevices: integer('SCAN_MAX_DEVICES', 10_000, 1, 100_000),
      retentionDays: integer('SCAN_RETENTION_DAYS', 3, 1, 3_650),
    },
    http: {
      bodyLimit: integer('BODY_LIMIT_BYTES', 65_536, 1_024, 1_048_576),
      requestTimeoutMs: integer('REQUEST_TIMEOUT_MS', 10_000, 100, 300_000),
      headersTimeoutMs: integer('HEADERS_TIMEOUT_MS', 5_000, 100, 60_000),
      idleTimeoutMs: integer('IDLE_TIMEOUT_MS', 10_000, 100, 300_000),
      keepAliveTimeoutMs: integer('KEEP_ALIVE_TIMEOUT_MS', 65_000, 100, 600_000),
      maxConnections: integer('MAX_CONNECTIONS', 10_000, 1, 1_000_000),
      maxConnectionsPerAddress: integer('MAX_CONNECTIONS_PER_ADDRESS', 1_000, 1, 1_000_000),
      maxUnreadBytes: integer('MAX_UNREAD_BYTES', 33_554_432, 65_536, 4_294_967_296),
    },
    shutdown: {
      noticeMs: integer('SHUTDOWN_NOTICE_MS', 2_000, 0, 60_000),
      drainMs: integer('SHUTDOWN_DRAIN_MS', 20_000, 0, 300_000),
    },
  }

  try {
    roleNames(config.database.rolePrefix)
  } catch (error) {
    faults.push(`DATABASE_ROLE_PREFIX: ${(error as Error).message}`)
  }
  for (const [name, secret] of Object.entries({
    JWT_SECRET: config.secrets.jwt,
    JWT_SECRET_PREVIOUS: config.secrets.jwtPrevious,
    PASSWORD_PEPPER: config.secrets.pepper,
    PASSWORD_PEPPER_PREVIOUS: config.secrets.pepperPrevious,
  })) {
    try {
      if (secret !== undefined) requireStrongSecret(name, secret)
    } catch (error) {
      faults.push((error as Error).message)
    }
  }
  for (const proxy of config.trustProxy) {
    const [address = '', bits = '0', ...more] = proxy.split('/')
    if (!isIP(address) || !/^\d{1,3}$/.test(bits) || more.length > 0)
      faults.push('TRUST_PROXY: each entry is an address or a network such as 10.0.0.0/8')
  }
  for (const name of [
    'GOOGLE_ISSUER',
    'GOOGLE_AUTHORIZATION_URL',
    'GOOGLE_TOKEN_URL',
    'GOOGLE_CERTIFICATES_URL',
  ]) {
    const url = value(name)
    if (url !== undefined && isProduction)
      faults.push(`${name} is for tests and trials: production knows only Google's own`)
    else if (url !== undefined && !URL.canParse(url)) faults.push(`${name} must be a URL`)
  }
  if (config.publicUrl !== undefined && !(isOrigin(config.publicUrl) && /^https?:/.test(config.publicUrl)))
    faults.push(
      'PUBLIC_URL must be an origin such as https://netpilot.example.com, without a path or a slash at the end',
    )
  for (const name of ['CORS_ORIGINS', 'GOOGLE_RETURN_TO', 'OIDC_RETURN_TO']) {
    if (!list(name).every(isOrigin))
      faults.push(
        `${name}: each entry is an exact origin such as https://app.example.com, without a path or a wildcard`,
      )
  }
  if (faults.length > 0) throw new ConfigError(faults)
  return { ...config, names }
}

const isOrigin = (origin: string) => URL.canParse(origin) && new URL(origin).origin === origin

/**
 * Checks the settings that an external database requires beyond the defaults. @throws ConfigError with every
 * missing setting
 */
export function requireProductionSettings({ database, secrets }: Config): {
  url: string
  authUrl: string
  adminUrl: string
  jwtSecret: string
  pepper: string
} {
  const { url, authUrl, adminUrl } = database
  const { jwt: jwtSecret, pepper } = secrets
  if (
    url !== undefined &&
    authUrl !== undefined &&
    adminUrl !== undefined &&
    jwtSecret !== undefined &&
    pepper !== undefined
  )
    return { url, authUrl, adminUrl, jwtSecret, pepper }
  const needed = {
    DATABASE_URL: url,
    DATABASE_AUTH_URL: authUrl,
    DATABASE_ADMIN_URL: adminUrl,
    JWT_SECRET: jwtSecret,
    PASSWORD_PEPPER: pepper,
  }
  const missing = Object.entries(needed).filter(([, given]) => given === undefined)
  throw new ConfigError(
    missing.map(([name]) =>
      name.startsWith('DATABASE')
        ? `${name} is missing: with a database of your own, set the connection strings that "npm run setup" prints`
        : `${name} is missing: with a database of your own, choose a secret of at least 32 random bytes and keep it`,
    ),
  )
}
