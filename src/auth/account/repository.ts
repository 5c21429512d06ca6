/** An account as its owner manages it: through the auth login, in a session that has proven who they are. */
import type { Static } from 'typebox'
import { IS_LIVE } from '../../modules/users/live-session.ts'
import type { Tx } from '../../rls/transaction.ts'
import { endLoginSessions } from '../sessions/repository.ts'
import type { AccountStatus } from './schema.ts'

export async function findAccountStatus(
  tx: Tx,
  userId: string,
): Promise<Static<typeof AccountStatus> | undefined> {
  const [status] = await tx.query<Static<typeof AccountStatus>>({
    name: 'find account status',
    text: `select u.is_active as "isActive", u.role, u.email_verified_at is not null as "emailVerified",
        coalesce(c.has_password, false) as "hasPassword", u.google_id is not null as "hasGoogle",
        c.totp_confirmed_at is not null as "hasSecondFactor", u.created_at as "createdAt",
        (select count(*)::int from user_login_sessions s where s.user_id = u.id and ${IS_LIVE})
          as "loginSessions"
      from users u left join user_credentials c on c.user_id = u.id where u.id = $1`,
    values: [userId],
  })
  return status
}

/** Every session and key ends with it; nothing is deleted. */
export async function deactivateAccount(tx: Tx, userId: string): Promise<void> {
  await tx.query({
    name: 'deactivate account',
    text: 'update users set is_active = false, updated_at = now() where id = $1',
    values: [userId],
  })
  await endLoginSessions(tx, userId, 'deactivated')
}

/** @returns whether the account is active now: one that an administrator suspended stays as it is */
export async function reactivateAccount(tx: Tx, userId: string): Promise<boolean> {
  const active = await tx.query({
    name: 'reactivate account',
    text: 'update users set is_active = true, updated_at = now() where id = $1 and suspended_at is null returning id',
    values: [userId],
  })
  return active.length > 0
}

/** With everything it owns, in this transaction; its log stays, without personal data. */
export async function deleteAccount(tx: Tx, userId: string): Promise<void> {
  await tx.query({ name: 'erase acts', text: 'select ctx.erase_acts($1)', values: [userId] })
  await tx.query({ name: 'delete account', text: 'delete from users where id = $1', values: [userId] })
}

/** Login sessions and keys of an account, without what opens anything. */
export async function exportCredentials(tx: Tx, userId: string): Promise<Record<string, unknown[]>> {
  const [found] = await tx.query<{ rows: Record<string, unknown[]> }>({
    name: 'export credentials',
    text: `select json_build_object(
        'user_login_sessions', (select coalesce(json_agg(to_jsonb(s) - 'id' - 'counter' - 'user_id'), '[]') from user_login_sessions s where s.user_id = $1),
        'user_api_keys', (select coalesce(json_agg(to_jsonb(k) - 'secret_sha256' - 'key_id' - 'user_id'), '[]') from user_api_keys k where k.user_id = $1)
      ) as rows`,
    values: [userId],
  })
  return found?.rows ?? {}
}
