/** Delivery to an SMTP server. */
import { createTransport } from 'nodemailer'
import type { SmtpServer } from '../config/mail.ts'
import type { Deliver } from './mailer.ts'

/**
 * `timeoutMs` limits each wait for the server. Three times as much limits the whole delivery, even if the
 * server answers slowly.
 */
export function deliverBySmtp(server: SmtpServer, timeoutMs: number): Deliver {
  const transport = createTransport({
    ...server,
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    dnsTimeout: timeoutMs,
    socketCloseTimeout: 1_000,
  })
  return async (message, signal) => {
    await transport.sendMail({
      ...message,
      signal: AbortSignal.any([signal, AbortSignal.timeout(3 * timeoutMs)]),
    })
    return {}
  }
}
