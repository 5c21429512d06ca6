import type { Removed } from '../../mail/templates.ts'
import type { Tx } from '../../rls/transaction.ts'
import { revokePersonalKeys } from '../api-keys/repository.ts'
import { unlinkIdentities } from '../credentials/identities.ts'
import { endLoginSessions } from '../sessions/repository.ts'

/**
 * Removes every credential that the person who registered an account could use again. These are the password,
 * links to providers, login sessions, personal keys, and tokens that were sent (they become invalid with the
 * password's version). A confirmed second factor stays, because it gives no access alone. A secret that was
 * only offered is removed.
 */
export async function revokeUnprovenAccess(tx: Tx, userId: string): Promise<Removed> {
  const personalKeys = await revokePersonalKeys(tx, userId)
  const [before] = await tx.query<{ hadPassword: boolean }>({
    name: 'find whether there is a password',
    text: `select has_password as "hadPassword" from user_credentials where user_id = $1 for no key update`,
    values: [userId],
  })
  await tx.query({
    name: 'remove password',
    text: `update user_credentials set password_hash = null, password_version = password_version + 1,
        totp_secret = case when totp_confirmed_at is not null then totp_secret end, updated_at = now() where user_id = $1`,
    values: [userId],
  })
  return {
    password: before?.hadPassword ?? false,
    providers: await unlinkIdentities(tx, userId),
    loginSessions: await endLoginSessions(tx, userId, 'revoked'),
    personalKeys,
  }
}
