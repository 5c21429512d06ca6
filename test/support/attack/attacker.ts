/** The state of an attacker who can run any SQL: the login, the role and the identity. */
import type pg from 'pg'
import type { Somebody } from '../fixtures.ts'
import type { Ground, Login } from './attack-database.ts'

export type AttackRole = 'server' | 'user' | 'agent' | 'auth' | 'admin'
/**
 * No identity on a connection that never had one (its setting is null), no identity on a connection that had
 * one (it is ''), or an identity.
 */
type IdentityName = 'nobody, new' | 'nobody' | 'user' | 'key' | 'agent' | 'administrator'
export type Stance = { login: Login; role: AttackRole; identity: IdentityName }

const FROM_SERVER: IdentityName[] = ['nobody, new', 'nobody', 'user', 'key', 'agent']
/**
 * Every combination that a login can reach. The database refuses an ordinary person at the administrators'
 * login, and the attacks run all the same.
 */
export const STANCES: Stance[] = [
  ...(['user', 'agent'] as const).flatMap((role) =>
    FROM_SERVER.map((identity) => ({ login: 'server' as const, role, identity })),
  ),
  ...(['nobody, new', 'user'] as const).map((identity) => ({
    login: 'server' as const,
    role: 'server' as const,
    identity,
  })),
  ...(['nobody, new', 'nobody', 'user'] as const).map((identity) => ({
    login: 'auth' as const,
    role: 'auth' as const,
    identity,
  })),
  ...(['nobody, new', 'nobody', 'user', 'administrator'] as const).map((identity) => ({
    login: 'admin' as const,
    role: 'admin' as const,
    identity,
  })),
]
const MEANT_FOR: Partial<Record<AttackRole, IdentityName>> = {
  user: 'user',
  agent: 'agent',
  auth: 'user',
  admin: 'administrator',
}
/** The stances in which each role has the identity that it is meant for. */
export const USUAL_STANCES = STANCES.filter(({ role, identity }) => MEANT_FOR[role] === identity)

/**
 * The actor's name in `expected-access.ts`. The auth login may do some things before sign-in that it may no
 * longer do after it.
 */
export const actorOf = ({ role, identity }: Stance): string =>
  role === 'auth' && identity === 'user' ? 'auth, signed in,' : role

/** The person whose identity it is. */
export const personOf = ({ identity }: Stance, { ada, root }: Ground): Somebody | undefined =>
  identity.startsWith('nobody') ? undefined : identity === 'administrator' ? root : ada

/** The statements that begin a transaction, as in `rls/transaction.ts`. */
export function openingOf(
  { login, identity }: Stance,
  { userId, sessionId, keyId, personalKeyId, sha256 }: Somebody,
): pg.QueryConfig {
  if (login === 'admin')
    return { text: 'select ctx.begin_admin_context($1, $2)', values: [userId, sessionId] }
  if (identity === 'agent')
    return { text: 'select ctx.begin_agent_context($1, $2, $3)', values: [userId, keyId, sha256] }
  if (identity === 'key')
    return {
      text: `select ctx.begin_key_context($1, $2, $3, 'devices:read')`,
      values: [userId, personalKeyId, sha256],
    }
  return { text: 'select ctx.begin_context($1, $2)', values: [userId, sessionId] }
}

export type Outcome = {
  /** SQLSTATE of a refusal. */
  code: string | undefined
  /** What the last statement counted (`n`), or the rows that it found or changed. */
  rows: number
  /** All rows of all statements. */
  answer: unknown[]
}
export type Attacker = {
  client: pg.Client
  begin(): Promise<void>
  /**
   * Runs SQL in the transaction and counts what it changed or found. Undoes it when that is more than `kept`
   * rows.
   */
  attempt(sql: string, kept?: number): Promise<Outcome>
  commit(): Promise<void>
  /** Rolls back the transaction, and releases the connection. */
  leave(): Promise<void>
}

export async function becomeAttacker(ground: Ground, stance: Stance): Promise<Attacker> {
  const client = await ground.connect(stance.login)
  const somebody = personOf(stance, ground)
  const assumed =
    stance.login === 'server' && stance.role !== 'server' ? ground.roles[stance.role] : undefined
  /** The next statement keeps or undoes the last one with this, so that each attempt is one round trip. */
  let settle = ''
  const undo = 'rollback to savepoint attempt; release savepoint attempt; '

  if (stance.identity === 'nobody') {
    await client.query('begin')
    await client.query(openingOf(stance, stance.login === 'admin' ? ground.root : ground.ada))
    await client.query('commit')
  }
  return {
    client,
    async begin() {
      await client.query('begin; savepoint opening')
      if (somebody)
        await client.query(openingOf(stance, somebody)).catch((error: pg.DatabaseError) => {
          // The attacker is no administrator and continues without an identity.
          if (error.code !== 'NP404') throw error
          return client.query('rollback to savepoint opening')
        })
      if (assumed) await client.query(`set local role ${assumed}`)
      settle = ''
    },
    async attempt(sql, kept = 0) {
      try {
        const results = [await client.query(`${settle}savepoint attempt; ${sql}`)].flat() as pg.QueryResult[]
        const last = results.at(-1)
        const rows = Number((last?.rows[0] as { n?: string } | undefined)?.n ?? last?.rowCount ?? 0)
        settle = rows > kept ? undo : 'release savepoint attempt; '
        return { code: undefined, rows, answer: results.flatMap((result) => result.rows) }
      } catch (error) {
        settle = undo
        return { code: (error as pg.DatabaseError).code ?? String(error), rows: 0, answer: [] }
      }
    },
    async commit() {
      await client.query(`${settle}commit`)
    },
    leave: () => client.end(),
  }
}
