/**
 * A person's login sessions. Their own list shows a public id, because the real id gives access to
 * transactions.
 */
import { problem } from '../../http/problem.ts'
import type { ClientInfo } from '../../http/request-origin.ts'
import { findPage, TOTAL } from '../../modules/paging/page.ts'
import { clientNameOf } from '../../modules/users/client-name.ts'
import { IS_LIVE } from '../../modules/users/live-session.ts'
import type { Tx } from '../../rls/transaction.ts'

export type ListedSession = {
  id: string
  client: string | null
  device: string | null
  address: string | null
  createdAt: Date
  lastUsedAt: Date
  current: boolean
}

const LIVE = `user_id = $1 and ${IS_LIVE}`

/** @returns the live login sessions, most recently used first */
export async function listLoginSessions(
  tx: Tx,
  { userId, sessionId }: { userId: string; sessionId: string },
  page: { limit: number; offset: number },
) {
  const live = await findPage<Omit<ListedSession, 'client'>>(page, ({ limit, offset }) =>
    tx.query({
      name: 'list login sessions',
      text: `select public_id as id, device, host(address) as address, created_at as "createdAt", last_used_at as "lastUsedAt", id = $2 as current, ${TOTAL}
        from user_login_sessions where ${LIVE} order by last_used_at desc, public_id limit $3 offset $4`,
      values: [userId, sessionId, limit, offset],
    }),
  )
  const items = live.items.map((session) => ({ ...session, client: clientNameOf(session.device) }))
  return { ...live, items }
}

/** For how many minutes a proof of the owner counts as recent. */
const PROOF_MINUTES = 15

/**
 * Records that the person of the login session has proven their identity.
 * @returns the time until which the proof is recent
 */
export async function renewProof(tx: Tx, userId: string, sessionId: string): Promise<Date> {
  const [renewed] = await tx.query<{ provenUntil: Date }>({
    name: 'renew proof',
    text: `update user_login_sessions set proven_at = now() where user_id = $1 and id = $2
      returning proven_at + make_interval(mins => $3::int) as "provenUntil"`,
    values: [userId, sessionId, PROOF_MINUTES],
  })
  if (!renewed) throw problem('unauthenticated')
  return renewed.provenUntil
}

/** @throws Problem `proof-required` when the last proof in the login session is not recent */
export async function requireRecentProof(tx: Tx, userId: string, sessionId: string): Promise<void> {
  const recent = await tx.query({
    name: 'find recent proof',
    text: `select 1 from user_login_sessions where user_id = $1 and id = $2 and proven_at > now() - make_interval(mins => $3::int)`,
    values: [userId, sessionId, PROOF_MINUTES],
  })
  if (recent.length === 0) throw proofRequired()
}

export const proofRequired = () =>
  problem('proof-required', {
    detail:
      'POST /api/auth/reauthenticate takes a password, a Google ID token, or a code of the second factor',
  })

/** @returns whether the person had such a live login session */
export async function endLoginSessionByPublicId(tx: Tx, userId: string, publicId: string): Promise<boolean> {
  const ended = await tx.query({
    name: 'end login session by public id',
    text: `update user_login_sessions set ended_at = now(), end_reason = 'revoked' where ${LIVE} and public_id = $2 returning public_id`,
    values: [userId, publicId],
  })
  return ended.length > 0
}

/** Ends every live login session, or all except `keep`. @returns how many ended */
export async function endLoginSessions(
  tx: Tx,
  userId: string,
  reason: 'revoked' | 'password-changed' | 'deactivated',
  keep: string | null = null,
): Promise<number> {
  const ended = await tx.query({
    name: 'end login sessions',
    text: `update user_login_sessions set ended_at = now(), end_reason = $2 where ${LIVE} and ($3::uuid is null or id <> $3) returning public_id`,
    values: [userId, reason, keep],
  })
  return ended.length
}

export type LoginSession = { id: string; counter: number }
export type SessionLifetime = { idleDays: number; maxDays: number }

/**
 * This is more than a person has devices. It limits the login sessions of a script that signs in on every
 * run.
 */
export const MAX_LOGIN_SESSIONS = 50

/** Adds a login session. When the limit is exceeded, the least recently used ones end. */
export async function addLoginSession(
  tx: Tx,
  userId: string,
  { device, address }: ClientInfo,
  { idleDays, maxDays }: SessionLifetime,
): Promise<LoginSession> {
  const [session] = await tx.query<LoginSession>({
    name: 'add login session',
    text: `insert into user_login_sessions (user_id, device, address, idle_expires_at, expires_at)
      values ($1, $2, $3, now() + make_interval(days => least($4::int, $5::int)), now() + make_interval(days => $5::int)) returning id, counter`,
    values: [userId, device, address, idleDays, maxDays],
  })
  await tx.query({
    name: 'end surplus login sessions',
    text: `update user_login_sessions set ended_at = now(), end_reason = 'too-many' where user_id = $1 and id in (
        select id from user_login_sessions where user_id = $1 and ${IS_LIVE}
        order by last_used_at desc, id = $2 desc offset $3)`,
    values: [userId, session?.id, MAX_LOGIN_SESSIONS],
  })
  return session as LoginSession
}

/**
 * Increments a refresh token's counter if the token is the newest one of a live login session of an active
 * account. When several requests send the same token at once, only one gets the row.
 */
export async function rotateLoginSession(
  tx: Tx,
  userId: string,
  sessionId: string,
  counter: number,
  idleDays: number,
): Promise<LoginSession | undefined> {
  const [session] = await tx.query<LoginSession>({
    name: 'rotate login session',
    text: `update user_login_sessions set counter = counter + 1, rotated_at = now(), last_used_at = now(),
        idle_expires_at = least(now() + make_interval(days => $4::int), expires_at)
      where user_id = $1 and id = $2 and counter = $3 and ${IS_LIVE}
      returning id, counter`,
    values: [userId, sessionId, counter, idleDays],
  })
  return session
}

export type SessionState = LoginSession & { secondsSinceRotation: number }

/** Finds a live login session with any counter. */
export async function findLiveSession(
  tx: Tx,
  userId: string,
  sessionId: string,
): Promise<SessionState | undefined> {
  const [session] = await tx.query<SessionState>({
    name: 'find live session',
    text: `select id, counter, extract(epoch from now() - rotated_at)::float8 as "secondsSinceRotation" from user_login_sessions
      where user_id = $1 and id = $2 and ${IS_LIVE}`,
    values: [userId, sessionId],
  })
  return session
}

/**
 * Ends a login session. Its access tokens become invalid too, because every request looks the login session
 * up.
 */
export async function endLoginSession(
  tx: Tx,
  userId: string,
  sessionId: string,
  reason: 'logout' | 'reuse',
): Promise<void> {
  await tx.query({
    name: 'end login session',
    text: 'update user_login_sessions set ended_at = now(), end_reason = $3 where user_id = $1 and id = $2 and ended_at is null',
    values: [userId, sessionId, reason],
  })
}
