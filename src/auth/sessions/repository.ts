/**
 * A person's login sessions, for their own list: named by a public id, since the real one opens transactions.
 */
import { problem } from '../../http/problem.ts'
import { clientNameOf } from '../../modules/users/client-name.ts'
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

const LIVE = 'user_id = $1 and ended_at is null and idle_expires_at > now() and expires_at > now()'

/** The live ones, the last used first. */
export async function listLoginSessions(tx: Tx, userId: string, currentId: string): Promise<ListedSession[]> {
  const live = await tx.query<Omit<ListedSession, 'client'>>({
    name: 'list login sessions',
    text: `select public_id as id, device, host(address) as address, created_at as "createdAt", last_used_at as "lastUsedAt", id = $2 as current
      from user_login_sessions where ${LIVE} order by last_used_at desc, public_id`,
    values: [userId, currentId],
  })
  return live.map((session) => ({ ...session, client: clientNameOf(session.device) }))
}

/** How long a proof of the owner is recent. */
const PROOF_MINUTES = 15

/** The person of the session has proven who they are. @returns until when that is recent */
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

/** @throws Problem `proof-required` when the last proof of the session's person is not recent */
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

/** @returns whether there was such a live session of theirs */
export async function endLoginSessionByPublicId(tx: Tx, userId: string, publicId: string): Promise<boolean> {
  const ended = await tx.query({
    name: 'end login session by public id',
    text: `update user_login_sessions set ended_at = now(), end_reason = 'revoked' where ${LIVE} and public_id = $2 returning public_id`,
    values: [userId, publicId],
  })
  return ended.length > 0
}

/** Ends every live session, or all but `keep`. @returns how many */
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
