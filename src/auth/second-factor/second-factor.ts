/**
 * The second factor: codes of an authenticator app, and recovery codes in case the app is lost. Each code
 * works once. Each attempt is a guess that is counted before it is checked.
 */
import type { FastifyRequest } from 'fastify'
import { type MasterSecrets, pepperKeys } from '../../crypto/keyring.ts'
import { createSecretSeal } from '../../crypto/seal.ts'
import { problem } from '../../http/problem.ts'
import type { Tx } from '../../rls/transaction.ts'
import { recordAuditEvent } from '../audit/record-event.ts'
import type { Lockout } from '../credentials/lockout.ts'
import { findAccountEmail } from '../credentials/repository.ts'
import { addressUnconfirmed } from '../credentials/schema.ts'
import { createRecoveryCodes } from './recovery-codes.ts'
import {
  confirmFactor,
  type Factor,
  findFactor,
  offerSecret,
  replaceRecoveryCodes,
  resealSecret,
  useRecoveryCode,
  useStep,
} from './repository.ts'
import { describeTotp, makeTotpSecret, matchTotp } from './totp.ts'

/** The kind of code that was correct. */
export type ProvenBy = 'totp' | 'recovery-code'

/** `provenBy` is undefined when the code was wrong. `isLast`: this attempt started the lockout. */
type Attempt = { provenBy: ProvenBy | undefined; isLast: boolean }

export type SecondFactor = {
  /**
   * Creates a secret for an authenticator app. It has no effect until it is confirmed.
   * @throws Problem `conflict` when one is confirmed, `email-unverified` when the address is not
   */
  offer(tx: Tx, userId: string): Promise<{ secret: string; uri: string }>
  /**
   * Checks a code and uses it up. The transaction must commit even when the code is wrong, because it
   * contains the count and the audit event of the failure. Simultaneous attempts for one account are checked
   * one after the other. `confirming`: against the secret just offered.
   * @throws Problem `locked-out`, and `conflict` when there is no factor to prove or to confirm; confirming,
   * also `email-unverified`
   */
  prove(
    tx: Tx,
    userId: string,
    code: string,
    request: FastifyRequest,
    options?: { confirming?: boolean },
  ): Promise<Attempt>
  /** Confirms the offered secret. @returns ten recovery codes, to be shown once */
  confirm(tx: Tx, userId: string): Promise<string[]>
  /** @returns ten new recovery codes, which replace all others, to be shown once */
  renewRecoveryCodes(tx: Tx, userId: string): Promise<string[]>
}

/** `pepper`: seals the secrets and hashes the recovery codes. */
export type SecondFactorOptions = { lockout: Lockout; pepper: MasterSecrets }

export function createSecondFactor({ lockout, pepper }: SecondFactorOptions): SecondFactor {
  const seal = createSecretSeal(pepperKeys(pepper, 'sealed totp'))
  const recoveryCodes = createRecoveryCodes(pepperKeys(pepper, 'recovery codes'))

  async function use(tx: Tx, userId: string, typed: string, factor: Factor): Promise<ProvenBy | undefined> {
    const digests = recoveryCodes.digests(userId, typed)
    if (digests) return (await useRecoveryCode(tx, userId, digests)) ? 'recovery-code' : undefined
    // Apps show six digits as three and three.
    const secret = seal.unseal(userId, factor.sealedSecret)
    const step = matchTotp(secret, typed.replace(/\s/g, ''), factor.now)
    if (step === undefined || !(await useStep(tx, userId, factor, step))) return undefined
    if (seal.isOutdated(factor.sealedSecret))
      await resealSecret(tx, userId, factor.sealedSecret, seal.seal(userId, secret))
    return 'totp'
  }

  /**
   * A factor survives a password reset by mail. Without this check, an attacker could leave a factor in an
   * account that the owner of the address later recovers.
   */
  async function demandConfirmedAddress(tx: Tx, userId: string): Promise<void> {
    if (!(await findAccountEmail(tx, userId))?.isVerified) throw addressUnconfirmed()
  }

  async function renewRecoveryCodes(tx: Tx, userId: string): Promise<string[]> {
    const { codes, digests } = recoveryCodes.make(userId)
    await replaceRecoveryCodes(tx, userId, digests)
    return codes
  }

  return {
    async offer(tx, userId) {
      await demandConfirmedAddress(tx, userId)
      const secret = makeTotpSecret()
      const account = await offerSecret(tx, userId, seal.seal(userId, secret))
      if (!account) throw problem('conflict', { detail: 'The second factor is on: switch it off first' })
      return describeTotp(secret, account.email)
    },
    async prove(tx, userId, code, request, { confirming = false } = {}) {
      if (confirming) await demandConfirmedAddress(tx, userId)
      const guess = { at: 'second-factor', userId } as const
      // Locks the row of the account's guesses until the transaction ends. Simultaneous guesses wait here.
      const { isLast } = await lockout.count(tx, guess)
      const factor = await findFactor(tx, userId)
      if (!factor || factor.isConfirmed === confirming)
        throw problem('conflict', {
          detail: factor?.isConfirmed ? 'The second factor is on already' : 'The second factor is off',
        })
      const provenBy = await use(tx, userId, code, factor)
      if (provenBy) await lockout.clear(tx, guess)
      else await recordAuditEvent(tx, userId, request, 'failure', isLast ? { lockedOut: true } : null)
      return { provenBy, isLast }
    },
    async confirm(tx, userId) {
      await confirmFactor(tx, userId)
      return renewRecoveryCodes(tx, userId)
    },
    renewRecoveryCodes,
  }
}
