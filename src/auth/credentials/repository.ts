/** Signing in: static statements of the auth database role, which no other role can run. */
import { randomUUID } from 'node:crypto'
import type { User } from '../../modules/users/schema.ts'
import type { Tx } from '../../rls/transaction.ts'
import { findUserIdByEmail, takeEmail } from './identities.ts'

/** `passwordVersion`: how often the password was changed. */
export type Account = User & {
  passwordHash: string | null
  passwordVersion: number
  isActive: boolean
  hasSecondFactor: boolean
}

/** The columns of a `User`, from `users u`, without `hasPassword`. */
export const USER = `u.id, u.email, u.full_name as "fullName", u.role, u.email_verified_at is not null as "emailVerified", u.created_at as "createdAt"`

/** The columns of an `Account`, and their tables. */
const ACCOUNT = `${USER}, u.is_active as "isActive", c.password_version as "passwordVersion", c.password_hash as "passwordHash",
  c.has_password as "hasPassword", c.totp_confirmed_at is not null as "hasSecondFactor"
  from users u join user_credentials c on c.user_id = u.id`

/** @returns undefined when the address is taken */
export async function addUser(
  tx: Tx,
  email: string,
  fullName: string | null,
  passwordHash: string,
): Promise<User | undefined> {
  const id = randomUUID()
  if (!(await takeEmail(tx, id, email))) return undefined
  const [user] = await tx.query<Omit<User, 'hasPassword'>>({
    name: 'add user',
    text: `insert into users as u (id, email, full_name) values ($1, $2, $3) returning ${USER}`,
    values: [id, email, fullName],
  })
  await addCredentials(tx, id, passwordHash)
  return user && { ...user, hasPassword: true }
}

/** Every account has this row, even without a password, because sign-ins lock it. */
export async function addCredentials(
  tx: Tx,
  userId: string,
  passwordHash: string | null = null,
): Promise<void> {
  await tx.query({
    name: 'add credentials',
    text: 'insert into user_credentials (user_id, password_hash) values ($1, $2)',
    values: [userId, passwordHash],
  })
}

export async function findAccountByEmail(tx: Tx, email: string): Promise<Account | undefined> {
  // Both look-ups always run, so that the response time does not reveal whether the address is known.
  return findAccount(tx, (await findUserIdByEmail(tx, email)) ?? NOBODY)
}

const NOBODY = '00000000-0000-0000-0000-000000000000'

/** Finds an account, active or not. */
export async function findAccount(tx: Tx, userId: string): Promise<Account | undefined> {
  const [account] = await tx.query<Account>({
    name: 'find account by id',
    text: `select ${ACCOUNT} where u.id = $1`,
    values: [userId],
  })
  return account
}

/**
 * Locks the password until the transaction ends.
 * @returns whether the password is still the one that was found with the account
 */
export async function lockPassword(
  tx: Tx,
  { id, passwordVersion }: Pick<Account, 'id' | 'passwordVersion'>,
): Promise<boolean> {
  const held = await tx.query({
    name: 'hold password',
    text: 'select 1 from user_credentials where user_id = $1 and password_version = $2 for no key update',
    values: [id, passwordVersion],
  })
  return held.length > 0
}

/** Replaces the account's hash of an older scheme, unless the password was changed meanwhile. */
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

/** Stores a new password. Earlier tokens become invalid, because the account's password version changes. */
export async function setPassword(tx: Tx, userId: string, passwordHash: string): Promise<void> {
  await tx.query({
    name: 'set password',
    text: `update user_credentials set password_hash = $2, password_version = password_version + 1, updated_at = now() where user_id = $1`,
    values: [userId, passwordHash],
  })
}

/** The account behind a login session or a token; undefined when it is not active. */
export async function findActiveUser(tx: Tx, userId: string): Promise<Account | undefined> {
  const [account] = await tx.query<Account>({
    name: 'find active user',
    text: `select ${ACCOUNT} where u.id = $1 and u.is_active`,
    values: [userId],
  })
  return account
}

/** `email`: where the owner is informed of guesses. */
export type Credentials = { passwordHash: string | null; email: string }

/** The credentials that the owner of an account can use as a proof. */
export async function findCredentials(tx: Tx, userId: string): Promise<Credentials | undefined> {
  const [proofs] = await tx.query<Credentials>({
    name: 'find proofs',
    text: `select c.password_hash as "passwordHash", u.email from users u join user_credentials c on c.user_id = u.id where u.id = $1`,
    values: [userId],
  })
  return proofs
}

/**
 * Makes the account with this address an administrator's, and creates it where there is none. The audit log
 * records the system as the actor.
 */
export async function makeAdministrator(tx: Tx, email: string): Promise<{ id: string; isNew: boolean }> {
  const newId = randomUUID()
  const isNew = await takeEmail(tx, newId, email)
  const id = isNew ? newId : await findUserIdByEmail(tx, email)
  if (id === undefined) throw new Error('the account went away in the same moment')
  await tx.query(
    isNew
      ? {
          name: 'add administrator',
          text: `insert into users (id, email, role) values ($1, $2, 'admin')`,
          values: [id, email],
        }
      : {
          name: 'make administrator',
          text: `update users set role = 'admin', updated_at = now() where id = $1`,
          values: [id],
        },
  )
  if (isNew) await addCredentials(tx, id)
  await recordSystemAct(tx, id, 'createAdmin')
  return { id, isNew }
}

/** The account stays as an ordinary user's. */
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
