/** Accounts by Google: static statements of the auth login. */
import type { User } from '../../modules/users/schema.ts'
import type { Tx } from '../../rls/transaction.ts'
import { ACCOUNT, type Account, USER } from '../credentials/repository.ts'
import type { GoogleClaims } from './id-tokens.ts'

export type GoogleAccount = Account & { googleId: string | null }

/**
 * The account of this Google account, the account with its address, or both: they may be two, or one. They
 * stay so until the transaction ends.
 */
export function findAccountsByGoogle(tx: Tx, { sub, email }: GoogleClaims): Promise<GoogleAccount[]> {
  return tx.query<GoogleAccount>({
    name: 'find accounts by google',
    text: `select u.google_id as "googleId", ${ACCOUNT} where u.id in (select ctx.accounts_of($2, $1))
      and (u.google_id = $1 or u.email = $2) order by u.id for no key update of u`,
    values: [sub, email],
  })
}

/** @returns undefined when the address or the Google account has an account by now */
export async function addGoogleUser(
  tx: Tx,
  { sub, email, fullName, avatarUrl }: GoogleClaims,
): Promise<User | undefined> {
  const [user] = await tx.query<Omit<User, 'hasPassword'>>({
    name: 'add google user',
    text: `insert into users as u (google_id, email, email_verified_at, full_name, avatar_url) values ($1, $2, now(), $3, $4)
      on conflict do nothing returning ${USER}`,
    values: [sub, email, fullName, avatarUrl],
  })
  if (!user) return undefined
  await tx.query({
    name: 'add no credentials',
    text: 'insert into user_credentials (user_id) values ($1)',
    values: [user.id],
  })
  return { ...user, hasPassword: false }
}

/**
 * The address counts as verified when it is the one that Google vouches for. @returns false when the account
 * has another Google account
 */
export async function linkGoogle(tx: Tx, userId: string, { sub, email }: GoogleClaims): Promise<boolean> {
  const linked = await tx.query({
    name: 'link google',
    text: `update users set google_id = $2, email_verified_at = coalesce(email_verified_at, case when email = $3 then now() end), updated_at = now()
      where id = $1 and (google_id is null or google_id = $2) returning id`,
    values: [userId, sub, email],
  })
  return linked.length > 0
}
