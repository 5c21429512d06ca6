/**
 * Mails to the owners of accounts: what happened to them, and tokens that prove that a mailbox is theirs.
 * Sent after the transaction, never in it.
 */
import type { FastifyRequest } from 'fastify'
import type { SigningKeys } from '../crypto/keyring.ts'
import type { RatePolicy } from '../http/limits/rate-limit.ts'
import { requestOrigin } from '../http/request-origin.ts'
import { incrementCounter, rateLimitKey } from '../modules/rate-counters/repository.ts'
import type { Tx } from '../rls/transaction.ts'
import type { EmailContent } from './email-content.ts'
import type { Mailer } from './mailer.ts'
import type { EventContext, MailedToken, Whereabouts } from './templates.ts'

export type AccountMail = {
  /** Tells that something was done now, and from where. */
  notify(email: string, letter: (context: EventContext) => EmailContent, request: FastifyRequest): void
  /** Brings a token. */
  sendToken(
    email: string,
    letter: (mailed: MailedToken) => EmailContent,
    token: { token: string; minutes: number },
  ): void
  /**
   * Whether one more mail may go to an address because somebody who is not signed in asked for it: whether or
   * not it has an account, so that nobody is flooded, and nothing told.
   */
  allowSend(tx: Tx, email: string): Promise<boolean>
}

export type AccountMailOptions = { mailer: Pick<Mailer, 'send'>; whereabouts: Whereabouts; keys: SigningKeys }

/** Of one address: enough for whoever mistypes, too few to annoy. */
const ASKED_FOR: RatePolicy = { name: 'mail', quota: 5, window: 3_600 }

export function createAccountMail({ mailer, whereabouts, keys }: AccountMailOptions): AccountMail {
  return {
    notify: (to, letter, request) =>
      mailer.send({ to, ...letter({ at: new Date(), ip: requestOrigin(request).address, ...whereabouts }) }),
    sendToken: (to, letter, token) => mailer.send({ to, ...letter({ ...token, ...whereabouts }) }),
    allowSend: async (tx, email) =>
      (await incrementCounter(tx, ASKED_FOR, rateLimitKey(keys, email))).count <= ASKED_FOR.quota,
  }
}

/** How long each kind of token is good, minutes. A reset is short: its mail may lie open somewhere. */
export const MINUTES = {
  'verify-email': 1_440,
  'reset-password': 30,
  'change-email': 60,
  invitation: 10_080,
} as const
