/** Signing in: static statements of the auth login, which nobody else's role can run. */
import type { User } from '../../modules/users/schema.ts'
import type { Tx } from '../../rls/transaction.ts'

/**
 * `passwordVersion`: how often the password was changed.
 */
export type Account = User & {
  passwordHash: string | null
  passwordVersion: number
  isActive: boolean
  hasSecondFactor: boolean
}

/** The columns of a `User`, of `users u`, but for `hasPassword`. */
export const USER = `u.id, u.email, u.full_name as "fullName", u.role, u.email_verified_at is not null as "emailVerified", u.created_at as "createdAt"`

/** The columns of an `Account`, and where they come from. */
export const ACCOUNT = `${USER}, u.is_active as "isActive", u.password_version as "passwordVersion", c.password_hash as "passwordHash",
  coalesce(c.has_password, false) as "hasPassword", c.totp_confirmed_at is not null as "hasSecondFactor"
  from users u left join user_credentials c on c.user_id = u.id`

/** @returns undefined when the address is taken */
export async function addUser(
  tx: Tx,
  email: string,
  fullName: string | null,
  passwordHash: string,
): Promise<User | undefined> {
  const [user] = await tx.query<Omit<User, 'hasPassword'>>({
    name: 'add user',
    text: `insert into users as u (email, full_name) values ($1, $2) on conflict (email) do nothing returning ${USER}`,
    values: [email, fullName],
  })
  if (!user) return undefined
  await tx.query({
    name: 'add credentials',
    text: 'insert into user_credentials (user_id, password_hash) values ($1, $2)',
    values: [user.id, passwordHash],
  })
  return { ...user, hasPassword: true }
}

export async function findAccountByEmail(tx: Tx, email: string): Promise<Account | undefined> {
  const [account] = await tx.query<Account>({
    name: 'find account by e-mail',
    text: `select ${ACCOUNT} where u.id in (select ctx.accounts_of($1, null))`,
    values: [email],
  })
  return account
}

/** Whoever Google calls by that `sub`, active or not. */
export async function findAccountByGoogleId(tx: Tx, googleId: string): Promise<Account | undefined> {
  const [account] = await tx.query<Account>({
    name: 'find account by Google id',
    text: `select ${ACCOUNT} where u.id in (select ctx.accounts_of(null, $1))`,
    values: [googleId],
  })
  return account
}

/**
 * Whether the password is still the one that was found with the account; until the transaction ends, it and
 * the account stay so.
 */
export async function lockPassword(
  tx: Tx,
  { id, passwordVersion }: Pick<Account, 'id' | 'passwordVersion'>,
): Promise<boolean> {
  const held = await tx.query({
    name: 'hold password',
    text: 'select from users where id = $1 and password_version = $2 for no key update',
    values: [id, passwordVersion],
  })
  return held.length > 0
}

/**
 * Replaces the hash that was found with the account, which is of an older scheme, unless the password was
 * changed meanwhile.
 */
export async function upgradePasswordHash(
  tx: Tx,
  { id, passwordHash }: Pick<Account, 'id' | 'passwordHash'>,
  to: string,
): Promise<void> {
  await tx.query({
    name: 'upgrade password hash',
    text: 'update user_credentials set password_hash = $3, updated_at = now() where user_id = $1 and password_hash = $2',
    values: [id, passwordHash, to],
  })
}

/**
 * Stores a password that was chosen. Tokens that were sent before die with the account's password version.
 */
export async function setPassword(tx: Tx, userId: string, passwordHash: string): Promise<void> {
  await tx.query({
    name: 'change password version',
    text: 'update users set password_version = password_version + 1, updated_at = now() where id = $1',
    values: [userId],
  })
  await tx.query({
    name: 'set password hash',
    text: `insert into user_credentials (user_id, password_hash) values ($1, $2)
      on conflict (user_id) do update set password_hash = excluded.password_hash, updated_at = now()`,
    values: [userId, passwordHash],
  })
}

/** The account behind a session or a token; undefined when it is not active. */
export async function findActiveUser(tx: Tx, userId: string): Promise<Account | undefined> {
  const [account] = await tx.query<Account>({
    name: 'find active user',
    text: `select ${ACCOUNT} where u.id = $1 and u.is_active`,
    values: [userId],
  })
  return account
}

/**
 * `email`: where the owner is told of guesses.
 */
export type Credentials = { passwordHash: string | null; googleId: string | null; email: string }

/** What the owner of an account can prove themselves with. */
export async function findCredentials(tx: Tx, userId: string): Promise<Credentials | undefined> {
  const [proofs] = await tx.query<Credentials>({
    name: 'find proofs',
    text: `select c.password_hash as "passwordHash", u.google_id as "googleId", u.email
      from users u left join user_credentials c on c.user_id = u.id where u.id = $1`,
    values: [userId],
  })
  return proofs
}

/**
 * The account with this address becomes an administrator's, and is made first where there is none. It is in
 * the log as the system's act.
 */
export async function makeAdministrator(tx: Tx, email: string): Promise<{ id: string; isNew: boolean }> {
  const [account] = await tx.query<{ id: string; isNew: boolean }>({
    name: 'make administrator',
    // A row that was inserted just now was never updated: it has no xmax.
    text: `insert into users as u (email, role) values ($1, 'admin')
      on conflict (email) do update set role = 'admin', updated_at = now() returning id, xmax = 0 as "isNew"`,
    values: [email],
  })
  if (!account) throw new Error('the account was neither found nor made')
  await recordSystemAct(tx, account.id, 'createAdmin')
  return account
}

/** The account stays, as anybody's. */
export async function removeAdministrator(tx: Tx, userId: string): Promise<void> {
  await tx.query({
    name: 'remove administrator',
    text: `update users set role = 'user', updated_at = now() where id = $1 and role = 'admin'`,
    values: [userId],
  })
  await recordSystemAct(tx, userId, 'removeAdmin')
}

const recordSystemAct = (tx: Tx, userId: string, act: 'createAdmin' | 'removeAdmin') =>
  tx.query({
    name: 'record system act',
    text: `select ctx.record_act_of($1, 'system', $2, 'success', null, null)`,
    values: [userId, act],
  })
export type AccountEmail = { email: string; isVerified: boolean; fullName: string | null }
export async function findAccountEmail(tx: Tx, userId: string): Promise<AccountEmail | undefined> {
  const [mailbox] = await tx.query<AccountEmail>({
    name: 'find mailbox',
    text: 'select email, email_verified_at is not null as "isVerified", full_name as "fullName" from users where id = $1',
    values: [userId],
  })
  return mailbox
}

/** @returns whether there was a link */
export async function unlinkGoogle(tx: Tx, userId: string): Promise<boolean> {
  const unlinked = await tx.query({
    name: 'unlink google',
    text: 'update users set google_id = null, updated_at = now() where id = $1 and google_id is not null returning id',
    values: [userId],
  })
  return unlinked.length > 0
}
