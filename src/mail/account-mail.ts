/**
 * Mails to the owners of accounts: what happened to them, and tokens that prove that a mailbox is theirs.
 * Sent after the transaction, never in it.
 */
import type { FastifyRequest } from 'fastify'
import type { SigningKeys } from '../crypto/keyring.ts'
import type { RatePolicy } from '../http/limits/rate-limit.ts'
import { visitorOf } from '../http/request-origin.ts'
import { countOne, keyOfCounted } from '../modules/rate-counters/repository.ts'
import type { Tx } from '../rls/transaction.ts'
import type { Letter } from './email-content.ts'
import type { Mailer } from './mailer.ts'
import type { MailedToken, Occasion, Whereabouts } from './templates.ts'

export type OwnerMail = {
  /** Tells that something was done now, and from where. */
  tell(email: string, letter: (occasion: Occasion) => Letter, request: FastifyRequest): void
  /** Brings a token. */
  bring(
    email: string,
    letter: (mailed: MailedToken) => Letter,
    token: { token: string; minutes: number },
  ): void
  /**
   * Whether one more mail may go to an address because somebody who is not signed in asked for it: whether or
   * not it has an account, so that
   * nobody is flooded, and nothing told.
   */
  mayBring(tx: Tx, email: string): Promise<boolean>
}

export type OwnerMailOptions = { mailer: Pick<Mailer, 'send'>; whereabouts: Whereabouts; keys: SigningKeys }

/** Of one address: enough for whoever mistypes, too few to annoy. */
const ASKED_FOR: RatePolicy = { name: 'mail', quota: 5, window: 3_600 }

export function openOwnerMail({ mailer, whereabouts, keys }: OwnerMailOptions): OwnerMail {
  return {
    tell: (to, letter, request) =>
      mailer.send({ to, ...letter({ at: new Date(), ip: visitorOf(request).address, ...whereabouts }) }),
    bring: (to, letter, token) => mailer.send({ to, ...letter({ ...token, ...whereabouts }) }),
    mayBring: async (tx, email) =>
      (await countOne(tx, ASKED_FOR, keyOfCounted(keys, email))).count <= ASKED_FOR.quota,
  }
}

/** How long each kind of token is good, minutes. A reset is short: its mail may lie open somewhere. */
export const MINUTES = {
  'verify-email': 1_440,
  'reset-password': 30,
  'change-email': 60,
  invitation: 10_080,
} as const
