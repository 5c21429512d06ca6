/**
 * Accounts as an administrator sees them. The statements are static and run under the admin login, whose
 * policies check the sealed role.
 */
import { randomUUID } from 'node:crypto'
import type { Static } from 'typebox'
import type { Tx } from '../../rls/transaction.ts'
import { findPage, TOTAL } from '../paging/page.ts'
import { clientNameOf } from '../users/client-name.ts'
import { IS_LIVE } from '../users/live-session.ts'
import type {
  Account as AccountSchema,
  AdminSession,
  ChangeAccount,
  ListAccounts,
  ListSessions,
  Stats,
} from './schema.ts'

type ListedAccount = Static<typeof AccountSchema>

const ACCOUNT = `u.id, u.email, u.full_name as "fullName", u.role, u.is_active as "isActive", u.email_verified_at is not null as "emailVerified",
  c.has_password as "hasPassword", coalesce('google' = any(p.providers), false) as "hasGoogle", coalesce(p.providers, '{}') as providers,
  c.totp_confirmed_at is not null as "hasSecondFactor", u.created_at as "createdAt", s.last_used_at as "lastUsedAt", coalesce(r.routers, 0) as routers`
const FROM = `from users u join user_credentials c on c.user_id = u.id
  left join (select user_id, array_agg(provider order by provider) as providers from user_providers group by user_id) p on p.user_id = u.id
  left join (select user_id, max(last_used_at) as last_used_at from user_login_sessions group by user_id) s on s.user_id = u.id
  left join (select user_id, count(*)::int as routers from user_routers group by user_id) r on r.user_id = u.id`
const MATCHES = `($1::text is null or strpos(u.email, lower($1)) > 0 or strpos(lower(u.full_name), lower($1)) > 0)
  and ($2::text is null or u.role = $2) and ($3::boolean is null or u.is_active = $3)`

/** One SQL text for each order, because a column cannot be a parameter. */
const ACCOUNT_ORDER = {
  email: 'u.email',
  '-email': 'u.email desc',
  createdAt: 'u.created_at',
  '-createdAt': 'u.created_at desc',
  lastUsedAt: '"lastUsedAt" nulls first',
  '-lastUsedAt': '"lastUsedAt" desc nulls last',
} as const
const SESSION_ORDER = {
  lastUsedAt: 'last_used_at',
  '-lastUsedAt': 'last_used_at desc',
  createdAt: 'created_at',
  '-createdAt': 'created_at desc',
} as const

export function listAccounts(tx: Tx, { search, role, active, sort = 'email', ...page }: ListAccounts) {
  return findPage<ListedAccount>(page, ({ limit, offset }) =>
    tx.query({
      name: `list accounts by ${sort}`,
      text: `select ${ACCOUNT}, ${TOTAL} ${FROM} where ${MATCHES} order by ${ACCOUNT_ORDER[sort]}, u.id limit $4 offset $5`,
      values: [search ?? null, role ?? null, active ?? null, limit, offset],
    }),
  )
}

export async function findAccount(tx: Tx, id: string): Promise<ListedAccount | undefined> {
  const [account] = await tx.query<ListedAccount>({
    name: 'find account',
    text: `select ${ACCOUNT} ${FROM} where u.id = $1`,
    values: [id],
  })
  return account
}

/** @returns undefined when the address is taken */
export async function addAccount(
  tx: Tx,
  {
    email,
    fullName = null,
    role = 'user',
  }: { email: string; fullName?: string | null; role?: ListedAccount['role'] },
): Promise<{ id: string } | undefined> {
  const id = randomUUID()
  const [answer] = await tx.query<{ taken: boolean }>({
    name: 'take invited e-mail',
    text: 'select ctx.take_invited_email($1, $2) as taken',
    values: [id, email],
  })
  if (!answer?.taken) return undefined
  await tx.query({
    name: 'add account',
    text: 'insert into users (id, email, full_name, role) values ($1, $2, $3, $4)',
    values: [id, email, fullName, role],
  })
  await tx.query({
    name: 'add credentials of account',
    text: 'insert into user_credentials (user_id) values ($1)',
    values: [id],
  })
  return { id }
}

const SUSPENDED_AT = { unchanged: 'suspended_at', ended: 'null', begun: 'now()' } as const

/** Deactivation also ends all login sessions of the account. */
export async function changeAccount(
  tx: Tx,
  id: string,
  { role, isActive }: Static<typeof ChangeAccount>,
): Promise<boolean> {
  const suspended = isActive === undefined ? 'unchanged' : isActive ? 'ended' : 'begun'
  const changed = await tx.query({
    name: `change account, suspension ${suspended}`,
    text: `update users set role = coalesce($2, role), is_active = coalesce($3::boolean, is_active),
        suspended_at = ${SUSPENDED_AT[suspended]}, updated_at = now() where id = $1 returning id`,
    values: [id, role ?? null, isActive ?? null],
  })
  if (isActive === false) await endSessionsOf(tx, id, 'deactivated')
  return changed.length > 0
}

/** Deletes the account with everything it owns and its look-up rows. Its audit log stays, without personal data. */
export async function removeAccount(tx: Tx, id: string): Promise<boolean> {
  const [answer] = await tx.query<{ removed: boolean }>({
    name: 'remove account',
    text: 'select ctx.delete_account($1) as removed',
    values: [id],
  })
  return answer?.removed ?? false
}

/** @returns how many login sessions were ended */
export async function endSessionsOf(
  tx: Tx,
  userId: string,
  reason: 'revoked' | 'deactivated',
): Promise<number> {
  const ended = await tx.query({
    name: 'end sessions of',
    text: 'update user_login_sessions set ended_at = now(), end_reason = $2 where user_id = $1 and ended_at is null returning public_id',
    values: [userId, reason],
  })
  return ended.length
}

export async function listSessions(tx: Tx, { userId, sort = '-lastUsedAt', ...page }: ListSessions) {
  const live = await findPage<Omit<Static<typeof AdminSession>, 'client'>>(page, ({ limit, offset }) =>
    tx.query({
      name: `list sessions by ${sort}`,
      text: `select public_id as id, user_id as "userId", device, host(address) as address, created_at as "createdAt",
          last_used_at as "lastUsedAt", least(idle_expires_at, expires_at) as "expiresAt", ${TOTAL}
        from user_login_sessions where ${IS_LIVE} and ($1::uuid is null or user_id = $1)
        order by ${SESSION_ORDER[sort]}, public_id limit $2 offset $3`,
      values: [userId ?? null, limit, offset],
    }),
  )
  const items = live.items.map((session) => ({ ...session, client: clientNameOf(session.device) }))
  return { ...live, items }
}

export async function endSessionOf(tx: Tx, userId: string, publicId: string): Promise<boolean> {
  const ended = await tx.query({
    name: 'end session of',
    text: `update user_login_sessions set ended_at = now(), end_reason = 'revoked' where user_id = $1 and public_id = $2 and ${IS_LIVE} returning public_id`,
    values: [userId, publicId],
  })
  return ended.length > 0
}

/** Every operation that issues tokens, by its operationId. */
const SIGN_INS = ['register', 'login', 'signInWithGoogle', 'exchangeCode', 'answerChallenge', 'reactivate']

export async function readStats(tx: Tx, onlineMinutes: number): Promise<Static<typeof Stats>> {
  const [stats] = await tx.query<Static<typeof Stats>>({
    name: 'read stats',
    text: `select
        (select count(*)::int from users) as users,
        (select count(*)::int from users where is_active) as "activeUsers",
        (select count(distinct user_id)::int from user_login_sessions where last_used_at > now() - interval '1 day') as "usersSeen",
        (select count(*)::int from user_audit_log where at > now() - interval '1 day' and act = any($1) and outcome = 'success') as logins,
        (select count(*)::int from user_audit_log where at > now() - interval '1 day' and act = any($1) and outcome = 'failure') as "failedLogins",
        (select count(*)::int from user_login_sessions where ${IS_LIVE}) as sessions,
        (select count(*)::int from user_routers) as routers,
        (select count(*)::int from user_routers where last_seen > now() - make_interval(mins => $2::int)) as "routersOnline",
        (select count(*)::int from user_devices where merged_into is null) as devices`,
    values: [SIGN_INS, onlineMinutes],
  })
  return stats as Static<typeof Stats>
}
