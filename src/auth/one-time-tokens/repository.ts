/**
 * Single-use tokens. Each is bound to the password and the address that the account had at issue, so it
 * becomes invalid when either changes.
 */
import type { Tx } from '../../rls/transaction.ts'
import { makeSingleUseToken, readSingleUseToken } from './single-use-token.ts'

export type TokenPurpose =
  | 'verify-email'
  | 'reset-password'
  | 'change-email'
  | 'invitation'
  | 'exchange'
  | 'second-factor'

export type TokenOptions = {
  purpose: TokenPurpose
  minutes: number
  /** For `change-email`: the new address. */
  newEmail?: string
}

/** @returns the token, which is stored nowhere else */
export async function addToken(
  tx: Tx,
  userId: string,
  { purpose, minutes, newEmail }: TokenOptions,
): Promise<string> {
  const { token, sha256 } = makeSingleUseToken(userId)
  await tx.query({
    name: 'add token',
    text: `insert into user_tokens (user_id, purpose, token_sha256, email, password_version, expires_at)
      select u.id, $2, $3, coalesce($4, u.email), c.password_version, now() + make_interval(mins => $5::int)
        from users u join user_credentials c on c.user_id = u.id where u.id = $1 returning 1`,
    values: [userId, purpose, sha256, newEmail ?? null, minutes],
  })
  return token
}

/** The account that a token was issued for. `email` is the address that it was sent to. */
export type Token = { userId: string; email: string }

const LIVE = `t.user_id = $1 and t.token_sha256 = $2 and t.purpose = $3 and t.used_at is null and t.expires_at > now()
  and u.id = t.user_id and c.user_id = t.user_id and c.password_version = t.password_version and (t.purpose = 'change-email' or u.email = t.email)`

/**
 * Uses a token up. When several requests send it at once, only one succeeds.
 * @returns undefined when the token is not valid, or no longer valid, for the purpose
 */
export async function useToken(tx: Tx, text: string, purpose: TokenPurpose): Promise<Token | undefined> {
  const claim = readSingleUseToken(text)
  if (!claim) return undefined
  const [token] = await tx.query<Token>({
    name: 'use token',
    text: `update user_tokens t set used_at = now() from users u, user_credentials c where ${LIVE} returning t.user_id as "userId", t.email`,
    values: [claim.userId, claim.sha256, purpose],
  })
  return token
}

/** Finds a token without using it up, for a challenge that a person may answer wrong. */
export async function findToken(tx: Tx, text: string, purpose: TokenPurpose): Promise<Token | undefined> {
  const claim = readSingleUseToken(text)
  if (!claim) return undefined
  const [token] = await tx.query<Token>({
    name: 'find token',
    text: `select t.user_id as "userId", t.email from user_tokens t, users u, user_credentials c where ${LIVE}`,
    values: [claim.userId, claim.sha256, purpose],
  })
  return token
}
