/**
 * The only way to a row. A session borrows a connection, opens a transaction, assumes an identity, does the
 * work, commits, and gives the connection back only when it can vouch for it. BEGIN, identity, role and the
 * first query of the work travel in one flight.
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
 * The query builder of the open session. A nested `transaction` would commit the outer one, so it is not
 * there.
 */
export type Tx = Omit<NodePgDatabase, 'transaction' | '$client'> & {
  /** The owner whom each statement names (`mine`); undefined only while somebody is signing in. */
  readonly userId: string | undefined
  /**
   * Runs a static statement, named on the connection so that it is parsed and planned once. The text holds
   * parameters, never values.
   */
  query<Row>(query: StaticQuery): Promise<Row[]>
  /** What the audit log is to say of this act, which the session records unless the work throws. */
  audit(note: AuditNote): void
  /** What the database answered about the identity; waiting for it costs a round trip. */
  agentGrant(): Promise<AgentGrant>
}
/** An agent's router and the scopes of its key. */
export type AgentGrant = { routerId: string; scopes: string[] }

export type TransactionOptions = {
  /** The transaction is READ ONLY: for every route that only reads. */ readOnly?: boolean
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
 * More borrowers than this many for each connection are turned away at once: waiting would not serve them in
 * time. At twice the capacity, 4 answered as many as 16 did, at a quarter of their median
 * (`bench/overload.ts`). Signing in queues for bcrypt rather than here.
 */
const WAITERS_PER_CONNECTION = { user: 4, key: 4, agent: 4, auth: 16, admin: 16 }
/** So that a small pool takes a burst, too. */
const MIN_WAITERS = 16

/**
 * BEGIN waits for nothing: without an answer to it in so long, milliseconds, the connection is dead, and
 * those beside it are not trusted. Not so behind a pooler, where it waits for one of the pooler's
 * connections.
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
   * What follows BEGIN: the proof of the identity, then the role it works as. Signing in has a login of its
   * own and assumes none.
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
    // Each failure is looked at below; until then it must not count as unhandled.
    for (const statement of begun) statement.catch(() => {})
    // Noted before the end of the connection that follows from it: the pool looks at the cause.
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
      // COMMIT of an aborted transaction answers ROLLBACK and no error: somebody swallowed one, and nothing
      // was stored.
      if (command !== 'COMMIT') throw new Error(`commit answered ${command}: a failed statement was ignored`)
      return result
    } catch (error) {
      guarded.abandon()
      await client.query('rollback').catch(markBroken)
      throw brokenBy && !(unwrap(error) instanceof pg.DatabaseError)
        ? problem('unavailable', { cause: brokenBy })
        : unwrap(error)
    } finally {
      // Trustworthy only now: after a COMMIT or ROLLBACK that was answered, with nothing else in flight.
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
 * The work begins while its opening is under way; a failure before its first await is a rejection like any
 * other.
 */
function startWork<T>(work: (tx: Tx) => Promise<T>, tx: Tx): Promise<T> {
  const working = (async () => work(tx))()
  working.catch(() => {})
  return working
}

/** What the functions that begin a context raise. */
const REFUSALS: Record<string, ProblemCode> = {
  NP401: 'unauthenticated',
  NP404: 'not-found',
  NPSCP: 'insufficient-scope',
  NP2FA: 'second-factor-required-setup',
}

/**
 * The earliest failure of the opening is the reason for every later one: an identity that is refused, or else
 * 503.
 */
async function openingOutcome(begun: Promise<unknown>[], markBroken: (error: Error) => void): Promise<void> {
  const failed = (await Promise.allSettled(begun)).find((statement) => statement.status === 'rejected')
  if (!failed) return
  const refusal = REFUSALS[failed.reason.code]
  // Of administration others learn nothing but that it is not there.
  if (refusal) throw problem(refusal, { errors: [] })
  markBroken(failed.reason)
  throw problem('unavailable', { cause: failed.reason })
}

/**
 * `DrizzleQueryError` prints the statement with all its parameters.
 */
const unwrap = (error: unknown) => (error instanceof DrizzleQueryError ? (error.cause ?? error) : error)

/** The first flight leaves as one write: fewer packets, and 13 % less time in PostgreSQL. */
function cork(client: pg.PoolClient): void {
  const stream = streamOf(client)
  stream.cork()
  process.nextTick(() => stream.uncork())
}
