/**
 * Mails to the owners of accounts: notices of events, and tokens that prove that a mailbox is theirs. They
 * are sent after the transaction, never in it.
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
  /** Tells the owner that something was done now, and from where. */
  notify(email: string, letter: (context: EventContext) => EmailContent, request: FastifyRequest): void
  /** Sends a token. */
  sendToken(
    email: string,
    letter: (mailed: MailedToken) => EmailContent,
    token: { token: string; minutes: number },
  ): void
  /**
   * Whether one more mail may go to an address at the request of a caller who is not signed in. The limit
   * applies with or without an account, so that it floods no mailbox and reveals no account.
   */
  allowSend(tx: Tx, email: string): Promise<boolean>
}

export type AccountMailOptions = { mailer: Pick<Mailer, 'send'>; whereabouts: Whereabouts; keys: SigningKeys }

/** For one address: enough for a person who mistypes, too few to annoy. */
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

/** The lifetime of each kind of token, minutes. That of a reset is short: other people may see its mail. */
export const MINUTES = {
  'verify-email': 1_440,
  'reset-password': 30,
  'change-email': 60,
  invitation: 10_080,
} as const
