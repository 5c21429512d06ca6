/** The address of an account: static statements of the auth login. */
import type { Tx } from '../../rls/transaction.ts'
import { findUserIdByEmail, lockCredentials, takeEmail } from '../credentials/identities.ts'

/** The address that the account has now is its owner's. */
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
 * Tokens that were sent to the old address die with it. @returns false when another account has the address
 * by now
 */
export async function changeEmail(
  tx: Tx,
  userId: string,
  { from, to }: { from: string; to: string },
): Promise<boolean> {
  // Whoever is found by the old address meanwhile waits, and looks again.
  await lockCredentials(tx, userId)
  if (!(await takeEmail(tx, userId, to, from))) return false
  const changed = await tx.query({
    name: 'change e-mail',
    text: 'update users set email = $3, email_verified_at = now(), updated_at = now() where id = $1 and email = $2 returning id',
    values: [userId, from, to],
  })
  return changed.length > 0
}
