/**
 * The look-ups that every sign-in begins with: the account that an address or a provider's identity belongs
 * to.
 */
import type { Tx } from '../../rls/transaction.ts'

/** A person's account at a provider. `subject` is permanent; an address is not. */
export type ProviderIdentity = { provider: string; subject: string }

export async function findUserIdByEmail(tx: Tx, email: string): Promise<string | undefined> {
  const [found] = await tx.query<{ userId: string | null }>({
    name: 'find user by e-mail',
    text: 'select ctx.user_of_email($1) as "userId"',
    values: [email],
  })
  return found?.userId ?? undefined
}

export async function findUserIdByIdentity(
  tx: Tx,
  { provider, subject }: ProviderIdentity,
): Promise<string | undefined> {
  const [found] = await tx.query<{ userId: string | null }>({
    name: 'find user by identity',
    text: 'select ctx.user_of_identity($1, $2) as "userId"',
    values: [provider, subject],
  })
  return found?.userId ?? undefined
}

/**
 * Assigns an address to an account, in place of an earlier one.
 * @returns false when another account has it
 */
export async function takeEmail(
  tx: Tx,
  userId: string,
  email: string,
  insteadOf: string | null = null,
): Promise<boolean> {
  const [answer] = await tx.query<{ taken: boolean }>({
    name: 'take e-mail',
    text: 'select ctx.take_email($1, $2, $3) as taken',
    values: [userId, email, insteadOf],
  })
  return answer?.taken ?? false
}

/**
 * Adds a provider's account to the look-up table only (`linkIdentity` links).
 * @returns false when another account has it
 */
export async function takeIdentity(
  tx: Tx,
  userId: string,
  { provider, subject }: ProviderIdentity,
): Promise<boolean> {
  const [answer] = await tx.query<{ taken: boolean }>({
    name: 'take identity',
    text: 'select ctx.take_identity($1, $2, $3) as taken',
    values: [userId, provider, subject],
  })
  return answer?.taken ?? false
}

/** Removes a provider's account from the look-up table. */
export async function dropIdentity(
  tx: Tx,
  userId: string,
  { provider, subject }: ProviderIdentity,
): Promise<void> {
  await tx.query({
    name: 'drop identity',
    text: 'select ctx.drop_identity($1, $2, $3)',
    values: [userId, provider, subject],
  })
}

/**
 * Locks the account until the transaction ends, so that simultaneous sign-ins and links run one after the
 * other.
 */
export async function lockCredentials(tx: Tx, userId: string): Promise<void> {
  await tx.query({
    name: 'lock credentials',
    text: 'select 1 from user_credentials where user_id = $1 for no key update',
    values: [userId],
  })
}

/** @returns the provider's subject of the person; undefined when none of its accounts is linked */
export async function findSubject(tx: Tx, userId: string, provider: string): Promise<string | undefined> {
  const [linked] = await tx.query<{ subject: string }>({
    name: 'find subject',
    text: 'select subject from user_providers where user_id = $1 and provider = $2',
    values: [userId, provider],
  })
  return linked?.subject
}

/** @returns false when the person has another account at the provider, or another person has this one */
export async function linkIdentity(tx: Tx, userId: string, identity: ProviderIdentity): Promise<boolean> {
  await lockCredentials(tx, userId)
  const linked = await findSubject(tx, userId, identity.provider)
  if (linked !== undefined) return linked === identity.subject
  if (!(await takeIdentity(tx, userId, identity))) return false
  await tx.query({
    name: 'add provider',
    text: 'insert into user_providers (user_id, provider, subject) values ($1, $2, $3)',
    values: [userId, identity.provider, identity.subject],
  })
  return true
}

/** Unlinks one provider, or all. @returns the provider accounts that were linked */
export async function unlinkIdentities(
  tx: Tx,
  userId: string,
  provider: string | null = null,
): Promise<string[]> {
  const unlinked = await tx.query<ProviderIdentity>({
    name: 'remove providers',
    text: `delete from user_providers where user_id = $1 and ($2::text is null or provider = $2) returning provider, subject`,
    values: [userId, provider],
  })
  for (const identity of unlinked) await dropIdentity(tx, userId, identity)
  return unlinked.map(({ provider }) => provider)
}
