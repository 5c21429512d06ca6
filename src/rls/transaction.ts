/**
 * The only way to read or change rows. It takes a connection from the pool, begins a transaction, assumes an
 * identity, runs the callback and commits. It reuses the connection only when its state is certain. BEGIN,
 * identity, role and the callback's first query travel in one flight.
 */
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import { streamOf } from '../database/client.ts'
import { DrizzleQueryError, drizzle } from '../database/drizzle.ts'
import type { RoleName } from '../database/role-names.ts'
import { type ProblemCode, problem } from '../http/problem.ts'
import { type AuditNote, auditStatements } from './audit.ts'
import { createGuardedClient, type StaticQuery } from './guarded-client.ts'
import type { Identity } from './identity.ts'

/**
 * The query builder of the running transaction. A nested `transaction` would commit the outer one, so the
 * type leaves it out.
 */
export type Tx = Omit<NodePgDatabase, 'transaction' | '$client'> & {
  /** The owner that each statement names (`mine`); undefined only while a person signs in. */
  readonly userId: string | undefined
  /**
   * Runs a static statement. It has a name on the connection, so PostgreSQL parses and plans it once. The
   * text holds parameters, never values.
   */
  query<Row>(query: StaticQuery): Promise<Row[]>
  /**
   * Adds to the audit event of this request. The transaction records the event unless the callback throws.
   */
  audit(note: AuditNote): void
  /** The database's answer about the identity; waiting for it costs a round trip. */
  agentGrant(): Promise<AgentGrant>
}
/** An agent's router and the scopes of its key. */
export type AgentGrant = { routerId: string; scopes: string[] }

export type TransactionOptions = {
  /** Makes the transaction READ ONLY, for every route that only reads. */ readOnly?: boolean
}
export type WithTransaction = <T>(
  identity: Identity | null,
  work: (tx: Tx) => Promise<T>,
  options?: TransactionOptions,
) => Promise<T>

export type Pools = {
  /** People and agents. */ server: pg.Pool /** Signing in and credentials. */
  auth: pg.Pool
  admin: pg.Pool
}
export type TransactionPools = Pools & { roles: Record<RoleName, string>; namedStatements: boolean }

/**
 * The pool refuses more waiting requests per connection than this at once, because it could not serve them in
 * time. At twice the capacity, 4 answered as many as 16 did, at a quarter of their median
 * (`bench/overload.ts`). Sign-in requests wait for bcrypt rather than here.
 */
const WAITERS_PER_CONNECTION = { user: 4, key: 4, agent: 4, auth: 16, admin: 16 }
/** Lets a small pool accept a burst, too. */
const MIN_WAITERS = 16

/**
 * BEGIN waits for no lock. Without an answer within this time, milliseconds, the connection is dead, and the
 * pool drops its other idle connections too. This does not apply behind a pooler, where BEGIN waits for one
 * of the pooler's connections.
 */
const BEGIN_TIMEOUT_MS = 3_000

const COMMIT = { text: 'commit' }
const SET_LOCAL = (role: string) => ({ text: `set local role ${pg.escapeIdentifier(role)}` })

export function createTransactions({
  server,
  auth,
  admin,
  roles,
  namedStatements,
}: TransactionPools): WithTransaction {
  const pools = { user: server, key: server, agent: server, auth, admin }
  const assume = { user: SET_LOCAL(roles.user), agent: SET_LOCAL(roles.agent) }
  const named = (name: string) => (namedStatements ? { name } : {})

  /**
   * The statements after BEGIN: the proof of the identity, then the role to assume. Signing in has a separate
   * login and assumes no role.
   */
  const opening = (identity: Identity): pg.QueryConfig[] => {
    const factor =
      'factorRequiredOf' in identity && identity.factorRequiredOf
        ? [
            {
              ...named('require_second_factor'),
              text: 'select ctx.require_second_factor($1)',
              values: [identity.factorRequiredOf],
            },
          ]
        : []
    if (identity.kind === 'agent') {
      const { userId, keyId, sha256 } = identity
      const text = 'select router_id as "routerId", scopes from ctx.begin_agent_context($1, $2, $3)'
      return [{ ...named('begin_agent_context'), text, values: [userId, keyId, sha256] }, assume.agent]
    }
    if (identity.userId === undefined) return []
    if (identity.kind === 'key') {
      const { userId, keyId, sha256, scope } = identity
      return [
        {
          ...named('begin_key_context'),
          text: 'select ctx.begin_key_context($1, $2, $3, $4)',
          values: [userId, keyId, sha256, scope],
        },
        assume.user,
      ]
    }
    const { userId, sessionId } = identity
    if (identity.kind === 'admin')
      return [
        {
          ...named('begin_admin_context'),
          text: 'select ctx.begin_admin_context($1, $2)',
          values: [userId, sessionId],
        },
        ...factor,
      ]
    const context = {
      ...named('begin_context'),
      text: 'select ctx.begin_context($1, $2)',
      values: [userId, sessionId],
    }
    return identity.kind === 'user' ? [context, ...factor, assume.user] : [context, ...factor]
  }

  return async (identity, work, { readOnly = false } = {}) => {
    if (!identity) throw problem('unauthenticated')
    const client = await borrow(pools[identity.kind], WAITERS_PER_CONNECTION[identity.kind])
    let brokenBy: Error | undefined
    const markBroken = (error: Error) => {
      brokenBy ??= error
    }
    client.on('error', markBroken)
    cork(client)
    const begin = {
      text: readOnly ? 'begin read only' : 'begin',
      ...(namedStatements && { query_timeout: BEGIN_TIMEOUT_MS }),
    }
    const begun = [begin, ...opening(identity)].map((query) => client.query(query))
    // The code below checks each failure; until then, Node must not count it as an unhandled rejection.
    for (const statement of begun) statement.catch(() => {})
    // Records the cause before the connection ends because of it: the pool reads the cause.
    begun[0]?.catch(markBroken)
    const guarded = createGuardedClient(client, {
      prefix: identity.kind === 'key' ? 'user' : identity.kind,
      namedStatements,
      markBroken,
    })
    const agentGrant = async () => (await begun[1])?.rows[0] as AgentGrant
    const note: AuditNote = {}
    const audit = (said: AuditNote) => void Object.assign(note, said)
    const tx: Tx = Object.assign(drizzle({ client: guarded.client }), {
      userId: identity.userId,
      query: guarded.query,
      audit,
      agentGrant,
    })
    try {
      const working = startWork(work, tx)
      await openingOutcome(begun, markBroken)
      const result = await working
      guarded.close()
      const last = [...(readOnly ? [] : auditStatements(identity, note)), COMMIT].map((query) =>
        client.query(query),
      )
      const command = (await Promise.all(last)).at(-1)?.command
      // COMMIT of an aborted transaction answers ROLLBACK without an error. The callback then ignored an
      // error, and the database stored nothing.
      if (command !== 'COMMIT') throw new Error(`commit answered ${command}: a failed statement was ignored`)
      return result
    } catch (error) {
      guarded.abandon()
      await client.query('rollback').catch(markBroken)
      throw brokenBy && !(unwrap(error) instanceof pg.DatabaseError)
        ? problem('unavailable', { cause: brokenBy })
        : unwrap(error)
    } finally {
      // The status is reliable only now: after an answered COMMIT or ROLLBACK, with nothing else in flight.
      if (client.getTransactionStatus() !== 'I') markBroken(new Error('the transaction did not end'))
      client.off('error', markBroken)
      if (brokenBy) streamOf(client).destroy()
      client.release(brokenBy)
    }
  }
}

async function borrow(pool: pg.Pool, waitersPerConnection: number): Promise<pg.PoolClient> {
  if (pool.waitingCount >= Math.max(MIN_WAITERS, pool.options.max * waitersPerConnection))
    throw problem('unavailable', { detail: 'The server is busy', isExpected: true })
  return pool.connect().catch((cause: Error) => {
    throw problem('unavailable', { cause })
  })
}

/**
 * The callback starts while BEGIN and identity are in flight. A failure before its first await is a rejection
 * like any other.
 */
function startWork<T>(work: (tx: Tx) => Promise<T>, tx: Tx): Promise<T> {
  const working = (async () => work(tx))()
  working.catch(() => {})
  return working
}

/** The errors that the functions of the identity raise. */
const REFUSALS: Record<string, ProblemCode> = {
  NP401: 'unauthenticated',
  NP404: 'not-found',
  NPSCP: 'insufficient-scope',
  NP2FA: 'second-factor-required-setup',
}

/**
 * The earliest failure of BEGIN and identity causes every later one. It is a refused identity, or else 503.
 */
async function openingOutcome(begun: Promise<unknown>[], markBroken: (error: Error) => void): Promise<void> {
  const failed = (await Promise.allSettled(begun)).find((statement) => statement.status === 'rejected')
  if (!failed) return
  const refusal = REFUSALS[failed.reason.code]
  // Other callers learn only that an administrative resource does not exist.
  if (refusal) throw problem(refusal, { errors: [] })
  markBroken(failed.reason)
  throw problem('unavailable', { cause: failed.reason })
}

/** `DrizzleQueryError` prints the statement with all its parameters. */
const unwrap = (error: unknown) => (error instanceof DrizzleQueryError ? (error.cause ?? error) : error)

/** Sends the first flight as one write: fewer packets, and 13 % less time in PostgreSQL. */
function cork(client: pg.PoolClient): void {
  const stream = streamOf(client)
  stream.cork()
  process.nextTick(() => stream.uncork())
}
