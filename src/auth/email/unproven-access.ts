import type { Removed } from '../../mail/templates.ts'
import type { Tx } from '../../rls/transaction.ts'
import { revokePersonalKeys } from '../api-keys/repository.ts'
import { unlinkIdentities } from '../credentials/identities.ts'
import { endLoginSessions } from '../sessions/repository.ts'

/**
 * Takes from an account all that whoever registered it could come back by: password, links to providers,
 * login sessions, tokens that were sent (they die with the password's version), personal keys. A second
 * factor stays, because it opens nothing by itself; a secret that was only offered goes.
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
