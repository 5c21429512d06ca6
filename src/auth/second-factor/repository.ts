/** The second factor: static statements of the auth database role, which no other role can run. */
import type { Tx } from '../../rls/transaction.ts'

/** `now`: the time of the database, which every server uses to check codes. */
export type Factor = { sealedSecret: Buffer; isConfirmed: boolean; now: Date }
export type FactorStatus = { confirmedAt: Date | null; recoveryCodesLeft: number }

/**
 * Stores an unconfirmed secret and replaces any earlier unconfirmed one.
 * @returns the account's address; undefined when a secret is confirmed
 */
export async function offerSecret(
  tx: Tx,
  userId: string,
  sealedSecret: Buffer,
): Promise<{ email: string } | undefined> {
  const [account] = await tx.query<{ email: string }>({
    name: 'offer second factor',
    text: `update user_credentials c set totp_secret = $2, updated_at = now() from users u
      where c.user_id = $1 and u.id = c.user_id and c.totp_confirmed_at is null returning u.email`,
    values: [userId, sealedSecret],
  })
  return account
}

/** @returns the factor, confirmed or not; undefined when there is none */
export async function findFactor(tx: Tx, userId: string): Promise<Factor | undefined> {
  const [factor] = await tx.query<Factor>({
    name: 'find second factor',
    text: `select totp_secret as "sealedSecret", totp_confirmed_at is not null as "isConfirmed", now() as now
      from user_credentials where user_id = $1 and totp_secret is not null`,
    values: [userId],
  })
  return factor
}

/**
 * Accepts a step that is later than every accepted step. When several requests send the same code, only one
 * succeeds. No request succeeds when the secret that matched the code has been replaced.
 */
export async function useStep(
  tx: Tx,
  userId: string,
  { sealedSecret }: Factor,
  step: number,
): Promise<boolean> {
  const used = await tx.query({
    name: 'use totp step',
    text: `update user_credentials set totp_last_step = $3
      where user_id = $1 and totp_secret = $2 and (totp_last_step is null or totp_last_step < $3) returning 1`,
    values: [userId, sealedSecret, step],
  })
  return used.length > 0
}

/** Stores the same secret, sealed again. It does nothing when the secret was replaced meanwhile. */
export async function resealSecret(tx: Tx, userId: string, from: Buffer, to: Buffer): Promise<void> {
  await tx.query({
    name: 'reseal second factor',
    text: 'update user_credentials set totp_secret = $3, updated_at = now() where user_id = $1 and totp_secret = $2',
    values: [userId, from, to],
  })
}

/**
 * When several requests send the same recovery code, only one succeeds. `digests`: one under each key that
 * may have been used to store it.
 */
export async function useRecoveryCode(tx: Tx, userId: string, digests: Buffer[]): Promise<boolean> {
  const used = await tx.query({
    name: 'use recovery code',
    text: 'update user_recovery_codes set used_at = now() where user_id = $1 and code_sha256 = any($2) and used_at is null returning 1',
    values: [userId, digests],
  })
  return used.length > 0
}

export async function confirmFactor(tx: Tx, userId: string): Promise<void> {
  await tx.query({
    name: 'confirm second factor',
    text: 'update user_credentials set totp_confirmed_at = now(), updated_at = now() where user_id = $1 and totp_secret is not null',
    values: [userId],
  })
}

export async function replaceRecoveryCodes(tx: Tx, userId: string, digests: Buffer[]): Promise<void> {
  await tx.query({
    name: 'remove recovery codes',
    text: 'delete from user_recovery_codes where user_id = $1',
    values: [userId],
  })
  await tx.query({
    name: 'add recovery codes',
    text: 'insert into user_recovery_codes (user_id, code_sha256) select $1, unnest($2::bytea[]) returning 1',
    values: [userId, digests],
  })
}

/** Removes the factor, its recovery codes, and the challenges that require it. */
export async function removeFactor(tx: Tx, userId: string): Promise<void> {
  await tx.query({
    name: 'remove second factor',
    text: `with codes as (delete from user_recovery_codes where user_id = $1),
        challenges as (delete from user_tokens where user_id = $1 and purpose = 'second-factor')
      update user_credentials set totp_secret = null, totp_confirmed_at = null, totp_last_step = null, updated_at = now() where user_id = $1`,
    values: [userId],
  })
}

export async function findFactorStatus(tx: Tx, userId: string): Promise<FactorStatus> {
  const [status] = await tx.query<FactorStatus>({
    name: 'find status of second factor',
    text: `select c.totp_confirmed_at as "confirmedAt",
        (select count(*)::int from user_recovery_codes r where r.user_id = c.user_id and r.used_at is null) as "recoveryCodesLeft"
      from user_credentials c where c.user_id = $1`,
    values: [userId],
  })
  return status ?? { confirmedAt: null, recoveryCodesLeft: 0 }
}
