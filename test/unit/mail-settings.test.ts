import { describe, expect, it } from 'vitest'
import { ConfigError, readConfig } from '../../src/config/config.ts'
import { isAddress, readMailbox } from '../../src/network/email-address.ts'

describe('the configuration of mail', () => {
  const config = (env: Record<string, string>) => readConfig(env).mail
  const MAIL_FROM = 'NetPilot <no-reply@example.com>'

  it('writes files where nothing is set, with tokens instead of links', () => {
    expect(config({})).toEqual({
      from: { name: 'NetPilot', address: 'netpilot@localhost' },
      queue: 1_000,
      timeoutMs: 10_000,
    })
  })

  it.each([
    [
      'smtp://mail.example.com',
      { host: 'mail.example.com', port: 587, secure: false, requireTLS: true, ignoreTLS: false },
    ],
    [
      'smtps://mail.example.com/',
      { host: 'mail.example.com', port: 465, secure: true, requireTLS: false, ignoreTLS: false },
    ],
    [
      'smtp://mail.example.com:465',
      { host: 'mail.example.com', port: 465, secure: true, requireTLS: false, ignoreTLS: false },
    ],
    [
      'smtp://mail.example.com:25?requireTLS=false',
      { host: 'mail.example.com', port: 25, secure: false, requireTLS: false, ignoreTLS: false },
    ],
    [
      'smtp://localhost:1025',
      { host: 'localhost', port: 1_025, secure: false, requireTLS: false, ignoreTLS: true },
    ],
    ['smtp://[::1]:25', { host: '::1', port: 25, secure: false, requireTLS: false, ignoreTLS: true }],
    [
      'smtp://localhost.example.com:25',
      { host: 'localhost.example.com', port: 25, secure: false, requireTLS: true, ignoreTLS: false },
    ],
    [
      'smtp://ada%40example.com:p%2Fw%3A%20@127.0.0.1',
      {
        host: '127.0.0.1',
        port: 587,
        secure: false,
        requireTLS: false,
        ignoreTLS: true,
        auth: { user: 'ada@example.com', pass: 'p/w: ' },
      },
    ],
  ])('reads %s', (SMTP_URL, smtp) => {
    expect(config({ SMTP_URL, MAIL_FROM })).toMatchObject({
      smtp,
      from: { name: 'NetPilot', address: 'no-reply@example.com' },
    })
    expect(config({ SMTP_URL, MAIL_FROM }).smtp).toEqual(smtp)
  })

  it.each([
    ['https://app.example.com', 'https://app.example.com'],
    ['https://example.com/netpilot/', 'https://example.com/netpilot'],
    ['http://localhost:5173', 'http://localhost:5173'],
    ['http://127.0.0.1:5173/', 'http://127.0.0.1:5173'],
  ])('has links lead to %s, in production too', (APP_URL, appUrl) => {
    expect(config({ APP_URL, NODE_ENV: 'production' }).appUrl).toBe(appUrl)
  })

  it('has links lead to any http:// address in trials', () => {
    expect(config({ APP_URL: 'http://192.0.2.1:5173' }).appUrl).toBe('http://192.0.2.1:5173')
  })

  it.each<[string, Record<string, string>, string]>([
    ['a server without a sender', { SMTP_URL: 'smtp://localhost' }, 'MAIL_FROM'],
    ['a sender that is two', { MAIL_FROM: 'a@example.com,b@example.com' }, 'MAIL_FROM'],
    ['a server by http', { SMTP_URL: 'http://secret@mail.example.com', MAIL_FROM }, 'SMTP_URL'],
    ['a server without a name', { SMTP_URL: 'smtp://:25', MAIL_FROM }, 'SMTP_URL'],
    ['a user without a password', { SMTP_URL: 'smtp://secret@mail.example.com', MAIL_FROM }, 'SMTP_URL'],
    ['a password without a user', { SMTP_URL: 'smtp://:secret@mail.example.com', MAIL_FROM }, 'SMTP_URL'],
    [
      'a password that is no percent-encoding',
      { SMTP_URL: 'smtp://a:secret%zz@mail.example.com', MAIL_FROM },
      'SMTP_URL',
    ],
    [
      'a parameter that would log mails',
      { SMTP_URL: 'smtp://mail.example.com?logger=secret', MAIL_FROM },
      'SMTP_URL',
    ],
    ['a path', { SMTP_URL: 'smtp://mail.example.com/secret', MAIL_FROM }, 'SMTP_URL'],
    ['an app that is no URL', { APP_URL: 'app.example.com/secret' }, 'APP_URL'],
    ['an app by another scheme', { APP_URL: 'javascript:secret' }, 'APP_URL'],
    ['an app with a password', { APP_URL: 'https://a:secret@app.example.com' }, 'APP_URL'],
    ['an app with a query', { APP_URL: 'https://app.example.com/?secret' }, 'APP_URL'],
    ['an app with a fragment', { APP_URL: 'https://app.example.com/#secret' }, 'APP_URL'],
    [
      'an app without TLS in production',
      { APP_URL: 'http://secret.example.com', NODE_ENV: 'production' },
      'APP_URL',
    ],
  ])('refuses %s, and repeats no value', (_what, env, name) => {
    const refused = () => readConfig(env)
    expect(refused).toThrow(ConfigError)
    expect(refused).toThrow(new RegExp(`:\\n {2}- ${name} [^\\n]+\\nSee`))
    expect(refused).not.toThrow('secret')
  })
})

describe('a mailbox', () => {
  it.each([
    'ada@example.com',
    "o'hara+net.pilot@sub.example.co.uk",
    'жена@пример.рф',
    'root@localhost',
    `${'a'.repeat(242)}@example.com`,
  ])('may have the address %j', (address) => expect(isAddress(address)).toBe(true))

  it.each([
    ['no-reply@example.com', { name: '', address: 'no-reply@example.com' }],
    ['Net Pilot  <no-reply@example.com>', { name: 'Net Pilot', address: 'no-reply@example.com' }],
    ['"Pilot, Net" <no-reply@example.com>', { name: 'Pilot, Net', address: 'no-reply@example.com' }],
    ['<no-reply@example.com>', { name: '', address: 'no-reply@example.com' }],
    ['a@example.com, b@example.com', undefined],
    ['Net Pilot\r\nBcc: x@example.com <no-reply@example.com>', undefined],
    ['"Net\nPilot" <no-reply@example.com>', undefined],
    ['NetPilot', undefined],
    ['NetPilot <no-reply@example.com> x', undefined],
  ])('%j is one, or none', (text, mailbox) => expect(readMailbox(text)).toEqual(mailbox))
})
