/** The address of an account: static statements of the auth database role. */
import type { Tx } from '../../rls/transaction.ts'
import { findUserIdByEmail, lockCredentials, takeEmail } from '../credentials/identities.ts'

/** Records that the account's current address belongs to its owner. */
export async function confirmEmail(tx: Tx, userId: string): Promise<void> {
  await tx.query({
    name: 'confirm e-mail',
    text: 'update users set email_verified_at = now(), updated_at = now() where id = $1 and email_verified_at is null',
    values: [userId],
  })
}

export const isTaken = async (tx: Tx, email: string): Promise<boolean> =>
  (await findUserIdByEmail(tx, email)) !== undefined

/**
 * Changes the address. Tokens that were sent to the old address become invalid.
 * @returns false when another account has the address by now
 */
export async function changeEmail(
  tx: Tx,
  userId: string,
  { from, to }: { from: string; to: string },
): Promise<boolean> {
  // A request that found the account by its old address waits here and then searches again.
  await lockCredentials(tx, userId)
  if (!(await takeEmail(tx, userId, to, from))) return false
  const changed = await tx.query({
    name: 'change e-mail',
    text: 'update users set email = $3, email_verified_at = now(), updated_at = now() where id = $1 and email = $2 returning id',
    values: [userId, from, to],
  })
  return changed.length > 0
}
