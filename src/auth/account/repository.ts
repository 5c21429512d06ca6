/**
 * An account as its owner manages it, through the auth database role, after the owner has proven their
 * identity.
 */
import type { Static } from 'typebox'
import { IS_LIVE } from '../../modules/users/live-session.ts'
import type { Tx } from '../../rls/transaction.ts'
import { lockCredentials } from '../credentials/identities.ts'
import { endLoginSessions } from '../sessions/repository.ts'
import type { AccountStatus } from './schema.ts'

export async function findAccountStatus(
  tx: Tx,
  userId: string,
): Promise<Static<typeof AccountStatus> | undefined> {
  const [status] = await tx.query<Omit<Static<typeof AccountStatus>, 'hasGoogle'>>({
    name: 'find account status',
    text: `select u.is_active as "isActive", u.role, u.email_verified_at is not null as "emailVerified",
        c.has_password as "hasPassword", c.totp_confirmed_at is not null as "hasSecondFactor", u.created_at as "createdAt",
        array(select p.provider from user_providers p where p.user_id = $1 order by p.provider) as providers,
        (select count(*)::int from user_login_sessions s where s.user_id = $1 and ${IS_LIVE})
          as "loginSessions"
      from users u join user_credentials c on c.user_id = u.id where u.id = $1`,
    values: [userId],
  })
  return status && { ...status, hasGoogle: status.providers.includes('google') }
}

/** Every login session and key ends. No row is deleted. */
export async function deactivateAccount(tx: Tx, userId: string): Promise<void> {
  // A simultaneous sign-in has already created its login session, or it waits for this lock.
  await lockCredentials(tx, userId)
  await tx.query({
    name: 'deactivate account',
    text: 'update users set is_active = false, updated_at = now() where id = $1',
    values: [userId],
  })
  await endLoginSessions(tx, userId, 'deactivated')
}

/** @returns whether the account is active now; an account that an administrator suspended stays suspended */
export async function reactivateAccount(tx: Tx, userId: string): Promise<boolean> {
  const active = await tx.query({
    name: 'reactivate account',
    text: 'update users set is_active = true, updated_at = now() where id = $1 and suspended_at is null returning id',
    values: [userId],
  })
  return active.length > 0
}

/**
 * Deletes the account with everything that it owns and its look-up entries, in this transaction. Its audit
 * log stays, without personal data.
 */
export async function deleteAccount(tx: Tx, userId: string): Promise<void> {
  await tx.query({ name: 'delete account', text: 'select ctx.delete_account($1)', values: [userId] })
}

/** Login sessions, keys and linked providers of an account, without any secret. */
export async function exportCredentials(tx: Tx, userId: string): Promise<Record<string, unknown[]>> {
  const [found] = await tx.query<{ rows: Record<string, unknown[]> }>({
    name: 'export credentials',
    text: `select json_build_object(
        'user_providers', (select coalesce(json_agg(to_jsonb(p) - 'user_id'), '[]') from user_providers p where p.user_id = $1),
        'user_login_sessions', (select coalesce(json_agg(to_jsonb(s) - 'id' - 'counter' - 'user_id'), '[]') from user_login_sessions s where s.user_id = $1),
        'user_api_keys', (select coalesce(json_agg(to_jsonb(k) - 'secret_sha256' - 'key_id' - 'user_id'), '[]') from user_api_keys k where k.user_id = $1)
      ) as rows`,
    values: [userId],
  })
  return found?.rows ?? {}
}
