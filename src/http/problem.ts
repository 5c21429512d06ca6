/**
 * Defines every failure of a request (RFC 9457) and renders it. The driver's error text never reaches a
 * client.
 */
import { type Server, STATUS_CODES } from 'node:http'
import type { ErrorObject } from 'ajv'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { DatabaseError } from 'pg'
import Type from 'typebox'
import { FIELD_CODES, type FieldError, fieldErrorsOf } from './field-errors.ts'

export type { FieldError } from './field-errors.ts'

/** The key is the contract for clients; status and title help readers. */
export const PROBLEMS = {
  'invalid-request': { status: 400, title: 'The request is not valid' },
  unauthenticated: { status: 401, title: 'No valid credentials were presented' },
  'invalid-credentials': { status: 401, title: 'The e-mail address or the password is wrong' },
  'challenge-ended': { status: 401, title: 'The challenge is not, or no longer, good' },
  'invalid-token': { status: 400, title: 'The token is not, or no longer, good' },
  'wrong-password': {
    status: 403,
    title: 'The password is wrong, or the Google account is not the one that is linked',
  },
  'wrong-code': { status: 403, title: 'The code is wrong, or was used before' },
  'email-unverified': { status: 403, title: 'The e-mail address was not confirmed yet' },
  'second-factor-required': { status: 401, title: 'The second factor is needed as well' },
  'second-factor-required-setup': {
    status: 403,
    title: 'This account must have a second factor: set one up first',
  },
  'not-found': { status: 404, title: 'No such resource' },
  'method-not-allowed': { status: 405, title: 'The resource does not have this method' },
  conflict: { status: 409, title: 'The request conflicts with existing data' },
  'email-taken': { status: 409, title: 'An account with this e-mail address exists' },
  'key-limit': { status: 409, title: 'There are as many live keys as there may be' },
  'scan-conflict': { status: 409, title: 'A scan with this id and another body was recorded' },
  'on-other-list': { status: 409, title: 'The device is on the other list of this router' },
  protected: { status: 409, title: 'The router itself and its infrastructure cannot be blocked' },
  'own-device': { status: 409, title: 'The device is marked as your own: blocking it takes force' },
  ambiguous: { status: 409, title: 'More than one resource matches' },
  'proof-required': { status: 403, title: 'Prove again that you are the owner of the account' },
  'cross-site': { status: 403, title: 'The request does not come from an allowed page' },
  'insufficient-scope': { status: 403, title: 'The key lacks the scope that this needs' },
  'router-inactive': { status: 403, title: 'The owner of the router has deactivated it' },
  'rate-limited': { status: 429, title: 'Too many requests' },
  'locked-out': { status: 429, title: 'Too many failed attempts' },
  'precondition-failed': { status: 412, title: 'The resource was changed since: get it again' },
  'too-large': { status: 413, title: 'The request is too large' },
  'unsupported-media-type': { status: 415, title: 'The content type is not supported here' },
  internal: { status: 500, title: 'The server failed' },
  unavailable: { status: 503, title: 'A dependency is unavailable or busy; try again' },
} as const

export type ProblemCode = keyof typeof PROBLEMS

type ProblemOptions = {
  /** Replaces the status of the code: 401 for a client that is not signed in, where others get 403. */
  status?: 401
  /** For the reader of this response. It never contains secrets or another user's data. */
  detail?: string
  errors?: FieldError[]
  /** The id of the conflicting entry (`on-other-list`). */
  entryId?: string
  /** The challenge for the second factor (`second-factor-required`). */
  challenge?: string
  /** The allowed methods (`method-not-allowed`). */
  allow?: string
  /** Seconds, sent as Retry-After. Always present for 429 and 503, optional for others. */
  retryAfter?: number
  /** The failure gets no log line besides that of the request, because there will be very many. */
  isExpected?: boolean
  cause?: unknown
}

export class Problem extends Error {
  override name = 'Problem'
  readonly code: ProblemCode
  readonly options: ProblemOptions

  constructor(code: ProblemCode, options: ProblemOptions = {}) {
    super(PROBLEMS[code].title, { cause: options.cause })
    this.code = code
    this.options = options
  }
}

export const problem = (code: ProblemCode, options?: ProblemOptions): Problem => new Problem(code, options)

/**
 * Whether the server refused the request on purpose. Every other error is a failure of the server or its
 * dependencies.
 */
export const isRefusal = (error: unknown): boolean =>
  error instanceof Problem && PROBLEMS[error.code].status < 500

/**
 * 404 for a resource that a field named, used when a request names more than one resource. The answer is the
 * same for another user's resource and a missing one.
 */
export const notFound = (path: string, message = 'names nothing that exists for you'): Problem =>
  problem('not-found', { errors: [{ path, code: 'not-found', message }] })

/**
 * @throws Problem `not-found` when nothing was found. Thrown inside a transaction, it rolls everything back,
 * also the audit event
 */
export function orNotFound<T>(found: T | undefined | false): T {
  if (found === undefined || found === false) throw problem('not-found')
  return found
}

/**
 * The one field of a request that can have named a missing resource, as a JSON pointer: an id in the query or
 * the body, else the end of the path. Undefined when several fields are possible.
 * @param relation of a violated foreign key: router, device or group
 */
function namingField({ params, query, body }: FastifyRequest, relation?: string): string | undefined {
  const idsOf = (part: string, fields: unknown) =>
    Object.keys(fields ?? {}).flatMap((name) =>
      name.endsWith('Id') ? [{ name, path: `/${part}/${name}` }] : [],
    )
  const given = [...idsOf('querystring', query), ...(Array.isArray(body) ? [] : idsOf('body', body))]
  const related = given.find(({ name }) => name === `${relation}Id`)
  if (related) return related.path
  const last = Object.keys((params as object) ?? {}).at(-1)
  const paths = [...given.map(({ path }) => path), ...(last === undefined ? [] : [`/params/${last}`])]
  return relation === undefined && paths.length > 1 ? undefined : paths.at(-1)
}

/** The schema of every error body, as in the documentation. */
export const ProblemDocument = Type.Object(
  {
    type: Type.String({ description: 'A URN made of the code' }),
    title: Type.String({ description: 'What the code means' }),
    status: Type.Integer({ description: 'The status of the answer' }),
    detail: Type.Optional(Type.String({ description: 'What is wrong this time' })),
    entryId: Type.Optional(
      Type.String({ format: 'uuid', description: 'The id of the entry on the other list (`on-other-list`)' }),
    ),
    challenge: Type.Optional(
      Type.String({
        description: 'The challenge to answer within five minutes (`second-factor-required`)',
        examples: ['npt_0F3K…'],
      }),
    ),
    code: Type.String({
      enum: Object.keys(PROBLEMS),
      description: 'The stable name of the problem, for programs',
    }),
    requestId: Type.String({
      description: 'The id of the request, as in `X-Request-Id`',
      examples: ['3d2f6f0e-5a52-4c55-9d3f-0a4f6f9b7a11'],
    }),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          path: Type.String({
            description: 'A JSON pointer to the field. It begins with the part of the request.',
            examples: ['/body/email'],
          }),
          message: Type.String({
            description: 'What is wrong, in words that follow the name of the field',
            examples: ['is missing'],
          }),
          code: Type.String({
            enum: [...FIELD_CODES],
            description: 'The stable name of the fault, such as the rule that a password breaks',
          }),
        }),
        { description: 'The fields that are at fault, one entry for each' },
      ),
    ),
  },
  { $id: 'Problem', description: 'RFC 9457 problem document' },
)

const DEFAULT_RETRY_AFTER = 1
const MAX_FIELD_ERRORS = 20

/**
 * Maps SQLSTATE to a code, for the statements of a request. Errors while a transaction begins are 401 or 503
 * and do not come here.
 */
const BY_SQLSTATE: Record<string, ProblemCode> = {
  '22021': 'invalid-request', // a NUL or an invalid character
  '22P02': 'invalid-request',
  '22P05': 'invalid-request', // U+0000 within JSON
  '22007': 'invalid-request', // an invalid time
  '22008': 'invalid-request',
  '22001': 'invalid-request',
  '22003': 'invalid-request',
  '23505': 'conflict',
  '25006': 'unavailable', // a standby, or a database that was set read-only
  '25P03': 'unavailable', // idle_in_transaction_session_timeout
  '40001': 'unavailable',
  '40P01': 'unavailable',
  '55P03': 'unavailable', // lock_timeout
  '57014': 'unavailable', // statement_timeout
  '57P01': 'unavailable',
  '57P02': 'unavailable',
  '57P03': 'unavailable',
  '57P05': 'unavailable', // idle_session_timeout
  '53100': 'unavailable', // the disk is full
  '53200': 'unavailable', // out of memory
  '53300': 'unavailable',
  '53400': 'unavailable', // a configured limit, such as temp_file_limit
  '58030': 'unavailable', // the disk fails
  NP401: 'unauthenticated',
}

/** Converts any thrown value to a Problem. An unexpected error gives 500. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  const { code, validation, validationContext, statusCode, message } = error as FastifyError
  if (validation) {
    const errors = fieldErrorsOf(validation as ErrorObject[], validationContext ?? 'body').slice(
      0,
      MAX_FIELD_ERRORS,
    )
    return problem('invalid-request', { errors })
  }
  if (typeof code === 'string' && Object.hasOwn(BY_SQLSTATE, code))
    return problem(BY_SQLSTATE[code] as ProblemCode, { cause: error })
  // The parent row does not exist for this identity. The client must not learn whether it belongs to another
  // user or does not exist.
  if (code === '23503') return problem('not-found', { cause: error })
  if (typeof code === 'string' && /^08/.test(code)) return problem('unavailable', { cause: error })
  // A connection reset by the database would already be a Problem, so here the client disconnected during its
  // request.
  if (code === 'ECONNRESET') return problem('invalid-request', { detail: 'The request was incomplete' })
  // Fastify's own errors have a status and a message that repeats nothing of the request.
  if (typeof code === 'string' && code.startsWith('FST_') && statusCode !== undefined && statusCode < 500) {
    if (statusCode === 413) return problem('too-large')
    if (statusCode === 415) return problem('unsupported-media-type')
    if (statusCode === 404) return problem('not-found')
    return problem('invalid-request', { detail: message })
  }
  return problem('internal', { cause: error })
}

/** Names the field whose resource is missing. Empty without a route, or when no detail may be revealed. */
function missingFields({ options }: Problem, request: FastifyRequest): FieldError[] | undefined {
  if (options.errors) return options.errors.length > 0 ? options.errors : undefined
  if (request.is404 || request.routeOptions.schema?.operationId === undefined) return undefined
  const [, relation] =
    /_(router|device|group)_fk$/.exec(
      (options.cause as { constraint?: string } | undefined)?.constraint ?? '',
    ) ?? []
  const path = namingField(request, relation)
  return path === undefined ? undefined : notFound(path).options.errors
}

/** RFC 6750, 3.1: only a client that sent a token is told why it was refused. */
function challengeOf(code: ProblemCode, { headers }: FastifyRequest): string {
  const isShown = headers['x-api-key'] !== undefined || /^Bearer /i.test(headers.authorization ?? '')
  return `Bearer realm="netpilot"${code === 'unauthenticated' && isShown ? ', error="invalid_token"' : ''}`
}

const answered = new WeakMap<FastifyRequest, ProblemCode>()
/** The problem code of a request, for its log line. */
export const problemCodeOf = (request: FastifyRequest): ProblemCode | undefined => answered.get(request)

/** Only this function turns an error into a response. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const failure = toProblem(error)
  answered.set(request, failure.code)
  const { title } = PROBLEMS[failure.code]
  const { status = PROBLEMS[failure.code].status } = failure.options
  const { detail, entryId, challenge, allow, retryAfter } = failure.options
  const errors = failure.code === 'not-found' ? missingFields(failure, request) : failure.options.errors
  if (status === 500) request.log.error({ err: failure.cause ?? failure, code: failure.code }, title)
  if (status === 503 && !failure.options.isExpected) logUnavailable(request, failure)
  if (status === 401) reply.header('www-authenticate', challengeOf(failure.code, request))
  if (allow !== undefined) reply.header('allow', allow)
  const isTemporary = status === 429 || status === 503
  if (isTemporary || retryAfter !== undefined) reply.header('retry-after', retryAfter ?? DEFAULT_RETRY_AFTER)
  return reply
    .code(status)
    .header('cache-control', 'no-store')
    .type('application/problem+json')
    .serializer(JSON.stringify)
    .send({
      type: `urn:netpilot:problem:${failure.code}`,
      title,
      status,
      detail,
      code: failure.code,
      requestId: request.id,
      entryId,
      challenge,
      errors,
    })
}

const LOG_UNAVAILABLE_EVERY_MS = 60_000
/** Per server: how many failures of each kind were not logged one by one. */
const unlogged = new WeakMap<Server, Map<string, number>>()

/**
 * An outage fails hundreds of requests alike. The first is logged, and those of the next minute are only
 * counted. The stack would show only the driver.
 */
function logUnavailable({ server: app, log }: FastifyRequest, failure: Problem): void {
  const { name, message, code, severity, constraint } = (failure.cause ?? failure) as DatabaseError
  const kind = code ?? message
  const counts = unlogged.get(app.server) ?? new Map<string, number>()
  unlogged.set(app.server, counts)
  const count = counts.get(kind)
  counts.set(kind, count === undefined ? 0 : count + 1)
  if (count !== undefined) return
  log.warn({ err: { name, message, code, severity, constraint }, code: failure.code }, failure.message)
  const tell = () => {
    const more = counts.get(kind)
    counts.delete(kind)
    if (more)
      app.log.warn(
        { code: failure.code, kind, count: more },
        'the same failure occurred again in the last minute',
      )
  }
  setTimeout(tell, LOG_UNAVAILABLE_EVERY_MS).unref()
}

export function handleErrors(app: FastifyInstance): void {
  app.setErrorHandler(sendProblem)
  app.setNotFoundHandler((request, reply) => sendProblem(problem('not-found'), request, reply))
}

/** Failures below the level of routes: the code of each status. */
const BARE = { 400: 'invalid-request', 408: 'invalid-request', 431: 'too-large', 503: 'unavailable' } as const

/** The headers that `secure-headers.ts` adds to every other response. */
export const BARE_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none';frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const

/**
 * Answers what never became a request (unparsable, too slow, too large a header, before the server serves) on
 * the bare socket.
 */
export function rawSocketProblem(status: keyof typeof BARE, requestId: string): string {
  const title = STATUS_CODES[status]
  const code: ProblemCode = BARE[status]
  const body = JSON.stringify({ type: `urn:netpilot:problem:${code}`, title, status, code, requestId })
  const headers = {
    'Content-Type': 'application/problem+json',
    'Content-Length': Buffer.byteLength(body),
    'X-Request-Id': requestId,
    ...(status === 503 && { 'Retry-After': DEFAULT_RETRY_AFTER }),
    ...BARE_HEADERS,
    Connection: 'close',
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} ${title}\r\n${lines.join('')}\r\n${body}`
}
