/** The address of an account: static statements of the auth login. */
import type pg from 'pg'
import type { Tx } from '../../rls/transaction.ts'

/** The address that the account has now is its owner's. */
export async function confirmEmail(tx: Tx, userId: string): Promise<void> {
  await tx.query({
    name: 'confirm e-mail',
    text: 'update users set email_verified_at = coalesce(email_verified_at, now()), updated_at = now() where id = $1',
    values: [userId],
  })
}

export const isTaken = async (tx: Tx, email: string): Promise<boolean> =>
  (
    await tx.query({
      name: 'is address taken',
      text: 'select from ctx.accounts_of($1, null)',
      values: [email],
    })
  ).length > 0

/**
 * Tokens that were sent to the old address die with it. @returns false when another account has the address
 * by now
 */
export async function changeEmail(tx: Tx, userId: string, email: string): Promise<boolean> {
  const changed = await tx
    .query({
      name: 'change e-mail',
      text: `update users u set email = $2, email_verified_at = now(), updated_at = now()
        where id = $1 and not exists (select from ctx.accounts_of($2, null) o (id) where o.id <> u.id) returning id`,
      values: [userId, email],
    })
    .catch((error: pg.DatabaseError) => {
      // Taken in the same moment: the transaction is over either way.
      if (error.code === '23505') return []
      throw error
    })
  return changed.length > 0
}
