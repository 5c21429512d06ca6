/** The configuration of mail: over SMTP, or into files. An incomplete configuration is an error. */
import { type Mailbox, readMailbox } from '../network/email-address.ts'

/**
 * Options of nodemailer. `secure`: TLS from the first byte. `requireTLS`: no mail and no password before
 * STARTTLS.
 */
export type SmtpServer = {
  host: string
  port: number
  secure: boolean
  requireTLS: boolean
  ignoreTLS: boolean
  auth?: { user: string; pass: string }
}

export type MailSettings = {
  /** Absent: mails are written as files. */
  smtp?: SmtpServer
  from: Mailbox
  /**
   * The base URL of the frontend for links, without a trailing slash. Absent: mails contain only the token.
   */
  appUrl?: string
}

/** The settings as read from the environment. */
export type GivenMailSettings = {
  smtpUrl: string | undefined
  from: string | undefined
  appUrl: string | undefined
}

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/i
/** The sender when no mail is sent and mails are written to files. */
const NOBODY: Mailbox = { name: 'NetPilot', address: 'netpilot@localhost' }

export function mailSettings(
  { smtpUrl, from, appUrl }: GivenMailSettings,
  isProduction: boolean,
  faults: string[],
): MailSettings {
  const smtp = smtpUrl === undefined ? undefined : readSmtpUrl(smtpUrl)
  const sender = from === undefined ? NOBODY : readMailbox(from)
  const app = appUrl === undefined ? undefined : readAppUrl(appUrl, isProduction)
  if (smtpUrl !== undefined && !smtp)
    faults.push(
      'SMTP_URL must be smtp://user:password@host:port or smtps://…, special characters percent-encoded; ?requireTLS=false is all that may follow',
    )
  if (smtpUrl !== undefined && from === undefined)
    faults.push('MAIL_FROM is missing: with SMTP_URL, the address that mails come from')
  if (!sender)
    faults.push(
      'MAIL_FROM must be one address, such as no-reply@example.com or NetPilot <no-reply@example.com>',
    )
  if (appUrl !== undefined && !app)
    faults.push(
      'APP_URL must be the https:// address of the frontend (in production http:// on localhost only), with nothing after the path',
    )
  return { from: sender ?? NOBODY, ...(smtp && { smtp }), ...(app && { appUrl: app }) }
}

/**
 * TLS is required, except on localhost, where no certificate would be valid, or with `?requireTLS=false`.
 * STARTTLS is then used if the server offers it. Other parameters of nodemailer are refused, because some of
 * them log what is sent.
 */
function readSmtpUrl(text: string): SmtpServer | undefined {
  const url = URL.parse(text)
  if (
    !url ||
    !/^smtps?:$/.test(url.protocol) ||
    !/^\/?$/.test(url.pathname) ||
    url.hash ||
    !['', '?requireTLS=false'].includes(url.search)
  )
    return undefined
  const host = decode(url.hostname.replace(/^\[(.+)\]$/, '$1'))
  const [user, pass] = [decode(url.username), decode(url.password)]
  if (!host || user === undefined || pass === undefined || (user === '') !== (pass === '')) return undefined
  // RFC 8314: 465 is TLS from the first byte, whatever the scheme says.
  const secure = url.protocol === 'smtps:' || url.port === '465'
  const isLocal = LOOPBACK.test(url.hostname)
  return {
    host,
    port: Number(url.port) || (secure ? 465 : 587),
    secure,
    requireTLS: !secure && !isLocal && url.search === '',
    ignoreTLS: !secure && isLocal,
    ...(user && { auth: { user, pass } }),
  }
}

function readAppUrl(text: string, isProduction: boolean): string | undefined {
  const url = URL.parse(text)
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || /[?#]/.test(text))
    return undefined
  if (isProduction && url.protocol === 'http:' && !LOOPBACK.test(url.hostname)) return undefined
  return url.href.replace(/\/+$/, '')
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
