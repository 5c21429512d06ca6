import type { Removed } from '../../mail/templates.ts'
import type { Tx } from '../../rls/transaction.ts'
import { revokePersonalKeys } from '../api-keys/repository.ts'
import { endLoginSessions } from '../sessions/repository.ts'

/**
 * Takes from an account all that whoever registered it could come back by: password, login sessions, tokens
 * that were sent (they die with the password's version), personal keys. A second factor stays, because it
 * opens nothing by itself; a secret that was only offered goes.
 */
export async function revokeUnprovenAccess(tx: Tx, userId: string): Promise<Removed> {
  const [before] = await tx.query<{ hadPassword: boolean }>({
    name: 'remove password',
    text: `with advanced as (update users set password_version = password_version + 1 where id = $1)
      update user_credentials c set password_hash = null, totp_secret = case when c.totp_confirmed_at is not null then c.totp_secret end, updated_at = now()
        from (select password_hash is not null as "hadPassword" from user_credentials where user_id = $1) before
       where c.user_id = $1 returning before."hadPassword"`,
    values: [userId],
  })
  const loginSessions = await endLoginSessions(tx, userId, 'revoked')
  return {
    password: before?.hadPassword ?? false,
    loginSessions,
    personalKeys: await revokePersonalKeys(tx, userId),
  }
}
