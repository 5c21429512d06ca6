/**
 * Sends mail without making a request wait for it: over SMTP, or into files. The log names the kind of mail
 * that was sent or failed, but neither its content nor its recipient. Waiting mails are in memory only: they
 * are lost when the process dies, and people ask again.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import type { NodemailerError, SendMailOptions } from 'nodemailer'
import type { SmtpServer } from '../config/mail.ts'
import { isAddress, type Mailbox } from '../network/email-address.ts'
import type { EmailContent } from './email-content.ts'
import { deliverToOutbox } from './outbox.ts'
import { deliverBySmtp } from './smtp.ts'

/** `to`: one bare address. */
export type Mail = EmailContent & { to: string }

export type Mailer = {
  /** Returns at once, and never throws: the log reports the result. */
  send(mail: Mail): void
  /**
   * Accepts no more mails, and waits for those in progress until the deadline; it drops what is not sent by
   * then.
   */
  close(): Promise<void>
}

export type MailerOptions = {
  /** Absent: the mailer writes files. */
  smtp?: SmtpServer | undefined
  /** The directory of those files. */
  outbox: string
  from: Mailbox
  log: Pick<FastifyBaseLogger, 'info' | 'warn' | 'error'>
  /** The maximum number of mails in progress; the mailer refuses more. */
  queue: number
  /** How long the server may be silent, milliseconds. */
  timeoutMs: number
  /**
   * The pause after each attempt with a temporary failure, milliseconds; after the last pause comes one more
   * attempt.
   */
  pausesMs?: readonly number[]
  /** How long `close` waits, milliseconds. */
  closeMs: number
}

/** Delivers one mail, or fails. @returns the destination, if the log is to name it */
export type Deliver = (message: SendMailOptions, signal: AbortSignal) => Promise<{ file?: string }>

const CONNECTIONS = 4
const PAUSES_MS = [2_000, 15_000, 60_000]
/** The network or the server may recover. EABORT: the whole delivery took too long. */
const TRANSIENT_CODES = ['ECONNECTION', 'ESOCKET', 'ETIMEDOUT', 'EDNS', 'EABORT']

export function createMailer(options: MailerOptions): Mailer {
  const { smtp, outbox, from, log, queue, timeoutMs, pausesMs = PAUSES_MS, closeMs } = options
  const deliver = smtp ? deliverBySmtp(smtp, timeoutMs) : deliverToOutbox(outbox)
  const inTurn = createLimiter(CONNECTIONS)
  const underWay = new Set<Promise<void>>()
  const deadline = new AbortController()
  let closing = false

  const attempt = async (
    kind: string,
    message: SendMailOptions,
    pauses: readonly number[],
  ): Promise<void> => {
    try {
      const { file } = await inTurn(() => deliver(message, deadline.signal))
      log.info({ mail: kind, file }, file ? 'a mail was written to a file' : 'a mail was sent')
    } catch (error) {
      const [next, ...background] = pauses
      if (next === undefined || deadline.signal.aborted || !isTransient(error as NodemailerError))
        return log.error({ mail: kind, ...reasonOf(error as NodemailerError) }, 'a mail could not be sent')
      log.warn(
        { mail: kind, ...reasonOf(error as NodemailerError), againInMs: next },
        'a mail could not be sent yet',
      )
      await pause(next, undefined, { signal: deadline.signal }).catch(() => {})
      await attempt(kind, message, background)
    }
  }

  const refusalOf = (to: string): string | undefined => {
    if (closing) return 'the server is closing'
    if (underWay.size >= queue) return 'too many are under way'
    return isAddress(to) ? undefined : 'no mail can go to such an address'
  }

  return {
    send({ kind, to, subject, text, html }) {
      const refusal = refusalOf(to)
      if (refusal !== undefined) return log.error({ mail: kind }, `a mail was refused: ${refusal}`)
      const sending = attempt(kind, compose({ from, to, subject, text, html }), pausesMs).finally(() =>
        underWay.delete(sending),
      )
      underWay.add(sending)
    },
    async close() {
      closing = true
      const timer = setTimeout(() => deadline.abort(), closeMs)
      await Promise.all(underWay)
      clearTimeout(timer)
    },
  }
}

/** Composed once for all attempts, so that a mail program recognises a mail that arrives twice. */
const compose = ({
  from,
  to,
  subject,
  text,
  html,
}: { from: Mailbox } & Omit<Mail, 'kind'>): SendMailOptions => ({
  from,
  // An object, because nodemailer would parse a text, which could turn out to be a list.
  to: { name: '', address: to },
  subject,
  // Plain ASCII stays unencoded, so that the reader of a file can copy a link: an encoding would break it at
  // 76 characters.
  text: /^[\n -~]*$/.test(text)
    ? { raw: `Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\n\n${text}` }
    : text,
  html,
  date: new Date(),
  messageId: `<${randomUUID()}@${from.address.replace(/^.*@/, '')}>`,
  // RFC 3834: no "out of office" program answers.
  headers: { 'Auto-Submitted': 'auto-generated' },
  disableFileAccess: true,
  disableUrlAccess: true,
})

/** RFC 5321 4.2.1: a reply of 4yz may change, one of 5yz will not. */
const isTransient = ({ responseCode, code = '' }: NodemailerError) =>
  responseCode === undefined ? TRANSIENT_CODES.includes(code) : responseCode >= 400 && responseCode < 500

/** Everything that contains neither addresses nor the server's words. */
const reasonOf = ({ code, originalCode, responseCode, command }: NodemailerError) => ({
  code: originalCode ?? code,
  responseCode,
  command,
})

/** Limits how many run at once, first come, first served. */
function createLimiter(places: number) {
  const waiting: (() => void)[] = []
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (places > 0) places -= 1
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else places += 1
    }
  }
}
