import { randomUUID } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import fc from 'fast-check'
import pino from 'pino'
import { describe, expect, it, onTestFinished } from 'vitest'
import { makeSingleUseToken } from '../../src/auth/one-time-tokens/single-use-token.ts'
import type { SmtpServer as SmtpSettings } from '../../src/config/mail.ts'
import { loggerOptions } from '../../src/http/logging.ts'
import { createMailer, type Mail, type MailerOptions } from '../../src/mail/mailer.ts'
import { resetPassword } from '../../src/mail/templates.ts'
import { isAddress } from '../../src/network/email-address.ts'
import { readMail, tokenIn } from '../support/mail.ts'
import { openSmtpServer, type Reply, type SmtpServer, type Step } from '../support/smtp.ts'

const APP = 'https://app.example.com/netpilot'
const LOGIN = { user: 'mailer@example.com', pass: `smtp ${randomUUID()}` }

const newToken = () => makeSingleUseToken(randomUUID()).token
const newMail = (fields: Partial<Mail> = {}): Mail => ({
  to: `${randomUUID()}@example.com`,
  ...resetPassword({ token: newToken(), minutes: 30, appUrl: APP }),
  ...fields,
})

async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'netpilot-mail-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  return directory
}

async function smtpServer(options?: Parameters<typeof openSmtpServer>[0]): Promise<SmtpServer> {
  const server = await openSmtpServer(options)
  onTestFinished(server.close)
  return server
}

const at = ({ port }: { port: number }, fields: Partial<SmtpSettings> = {}): SmtpSettings => ({
  host: '127.0.0.1',
  port,
  secure: false,
  requireTLS: false,
  ignoreTLS: true,
  auth: LOGIN,
  ...fields,
})

/** A mailer, closed when the test is over, and everything it logs. */
function mailer(options: Partial<MailerOptions> = {}) {
  const lines: string[] = []
  const log = pino(loggerOptions('trace'), { write: (line: string) => void lines.push(line) })
  const from = { name: 'NetPilot', address: 'no-reply@example.com' }
  const defaults = {
    outbox: '/nowhere',
    from,
    log,
    queue: 100,
    timeoutMs: 5_000,
    pausesMs: [1, 1],
    closeMs: 5_000,
  }
  const opened = createMailer({ ...defaults, ...options })
  onTestFinished(() => opened.close())
  return {
    ...opened,
    lines,
    /** What was logged, without what every line has. */
    logged: () => lines.map((line) => JSON.parse(line)).map(({ time, pid, hostname, ...line }) => line),
  }
}

/** The port of a server that is gone. */
async function closedPort(): Promise<{ port: number }> {
  const server = await openSmtpServer()
  await server.close()
  return server
}

const YET = 'a mail could not be sent yet'
const NOT = 'a mail could not be sent'

describe('a mail over SMTP', () => {
  it('arrives whole, in both forms, and says from whom it is and that no one wrote it', async () => {
    const server = await smtpServer()
    const { send, close, logged } = mailer({ smtp: at(server) })
    const text = '.begins with a dot\n..and two\n\n.\nend\n'
    const mail = newMail({ text, html: '<p>Grüße</p>' })
    send(mail)
    await close()
    const [sent] = server.mails
    expect(server.mails).toHaveLength(1)
    expect(sent).toMatchObject({
      from: 'no-reply@example.com',
      to: [mail.to],
      login: { user: LOGIN.user, password: LOGIN.pass },
    })
    expect(sent?.content.replaceAll('\r\n', '')).not.toContain('\n')
    const { headers, ...read } = readMail(sent?.content ?? '')
    expect(read).toEqual({ subject: mail.subject, text, html: '<p>Grüße</p>' })
    expect(Object.fromEntries(headers)).toEqual({
      from: ['NetPilot <no-reply@example.com>'],
      to: [mail.to],
      subject: [mail.subject],
      'auto-submitted': ['auto-generated'],
      'message-id': [expect.stringMatching(/^<[0-9a-f-]{36}@example\.com>$/)],
      date: [expect.stringMatching(/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000$/)],
      'mime-version': ['1.0'],
      'content-type': [expect.stringMatching(/^multipart\/alternative;/)],
    })
    expect(logged()).toEqual([{ level: 'info', mail: 'reset-password', msg: 'a mail was sent' }])
  })

  it.each(['PLAIN', 'LOGIN'])('logs in with %s', async (methods) => {
    const server = await smtpServer({ methods })
    const { send, close } = mailer({ smtp: at(server) })
    send(newMail())
    await close()
    expect(server.mails.map(({ login }) => login)).toEqual([{ user: LOGIN.user, password: LOGIN.pass }])
  })

  it('needs no login where none is configured', async () => {
    const server = await smtpServer()
    const { auth: _none, ...smtp } = at(server)
    const { send, close } = mailer({ smtp })
    send(newMail())
    await close()
    expect(server.mails.map(({ login }) => login)).toEqual([undefined])
  })

  it('makes nobody wait', async () => {
    const server = await smtpServer()
    const { send } = mailer({ smtp: at(server) })
    const accepted = server.reached('content')
    expect(send(newMail())).toBeUndefined()
    expect(server.mostClients()).toBe(0)
    await accepted
  })

  it.each<[Step, string, string]>([
    ['connect', '421 too busy', 'EPROTOCOL'],
    ['AUTH', '454 try later', 'EAUTH'],
    ['MAIL', '451 try later', 'EENVELOPE'],
    ['RCPT', '450 greylisted', 'EENVELOPE'],
    ['content', '452 no space', 'EMESSAGE'],
  ])('is tried again when %s is answered with %s, and then arrives', async (step, reply, code) => {
    const server = await smtpServer()
    server.reply(step, reply, reply)
    const { send, close, logged } = mailer({ smtp: at(server) })
    send(newMail())
    await close()
    expect(server.mails).toHaveLength(1)
    const failure = {
      level: 'warn',
      mail: 'reset-password',
      msg: YET,
      code,
      responseCode: Number(reply.slice(0, 3)),
    }
    expect(logged()).toEqual([
      expect.objectContaining(failure),
      expect.objectContaining(failure),
      { level: 'info', mail: 'reset-password', msg: 'a mail was sent' },
    ])
  })

  it('that is sent again, its first answer perhaps lost, can be known for the same', async () => {
    const server = await smtpServer()
    server.reply('content', '451 lost')
    const { send, close } = mailer({ smtp: at(server) })
    send(newMail())
    send(newMail())
    await close()
    const identity = server.contents.map((content) => readMail(content).headers.get('message-id')?.[0])
    expect(identity).toHaveLength(3)
    expect(new Set(identity).size).toBe(2)
  })

  it.each<[Step, Reply]>([
    ['connect', '554 go away'],
    ['AUTH', '535 wrong password'],
    ['MAIL', '550 not you'],
    ['RCPT', '550 no such mailbox'],
    ['DATA', '503 not now'],
    ['content', '554 spam'],
  ])('is given up at once when %s is answered with %s', async (step, reply) => {
    const server = await smtpServer()
    server.reply(step, reply)
    const { send, close, logged } = mailer({ smtp: at(server) })
    send(newMail())
    await close()
    expect(server.mails).toEqual([])
    expect(logged()).toEqual([
      expect.objectContaining({
        level: 'error',
        mail: 'reset-password',
        msg: NOT,
        responseCode: Number(String(reply).slice(0, 3)),
      }),
    ])
  })

  it('is given up after a few attempts when nobody listens', async () => {
    const { send, close, logged } = mailer({ smtp: at(await closedPort()), pausesMs: [1, 2, 3] })
    send(newMail())
    await close()
    const failure = { mail: 'reset-password', code: 'ECONNREFUSED', command: 'CONN' }
    expect(logged()).toEqual([
      { level: 'warn', ...failure, againInMs: 1, msg: YET },
      { level: 'warn', ...failure, againInMs: 2, msg: YET },
      { level: 'warn', ...failure, againInMs: 3, msg: YET },
      { level: 'error', ...failure, msg: NOT },
    ])
  })

  it.each<[Step, Reply, string]>([
    ['connect', 'silence', 'ETIMEDOUT'],
    ['EHLO', 'silence', 'ETIMEDOUT'],
    ['AUTH', 'silence', 'ETIMEDOUT'],
    ['RCPT', 'silence', 'ETIMEDOUT'],
    ['content', 'silence', 'ETIMEDOUT'],
    ['RCPT', 'trickle', 'EABORT'],
  ])('does not wait for ever when %s is answered with %s', async (step, reply, code) => {
    const server = await smtpServer()
    server.reply(step, reply)
    // On a busy machine the next attempt may take too long as well.
    const { send, close, logged } = mailer({ smtp: at(server), timeoutMs: 100, pausesMs: Array(50).fill(1) })
    send(newMail())
    await close()
    expect(server.mails.length).toBeGreaterThan(0)
    expect(logged()).toContainEqual(expect.objectContaining({ level: 'warn', code }))
    expect(logged().at(-1)).toMatchObject({ msg: 'a mail was sent' })
  })

  it('neither leaves nor logs in without TLS where TLS is required', async () => {
    const server = await smtpServer()
    const { send, close, logged } = mailer({ smtp: at(server, { requireTLS: true, ignoreTLS: false }) })
    send(newMail())
    await close()
    expect(server.verbs).toEqual(['EHLO', 'STARTTLS'])
    expect(logged()).toEqual([
      {
        level: 'error',
        mail: 'reset-password',
        code: 'ETLS',
        responseCode: 502,
        command: 'STARTTLS',
        msg: NOT,
      },
    ])
  })
})

describe('the queue of mails', () => {
  it('is bounded: what comes on top is refused, and room is made by what is done', async () => {
    const server = await smtpServer()
    server.reply('connect', ...Array<Reply>(3).fill('421 too busy'))
    const { send, close, logged } = mailer({ smtp: at(server), queue: 3 })
    const [first, second, third, fourth] = Array.from({ length: 4 }, () => newMail())
    for (const mail of [first, second, third, fourth]) if (mail) send(mail)
    expect(logged()).toEqual([
      { level: 'error', mail: 'reset-password', msg: 'a mail was refused: too many are under way' },
    ])
    await close()
    expect(server.mails.flatMap(({ to }) => to).sort()).toEqual([first?.to, second?.to, third?.to].sort())
  })

  it('has room again for each mail that is sent', async () => {
    const server = await smtpServer()
    const { send, close } = mailer({ smtp: at(server), queue: 1 })
    for (let sent = 0; sent < 3; sent += 1) {
      send(newMail())
      while (server.mails.length === sent || server.connections() > 0) await turnOfTheLoop()
    }
    await close()
    expect(server.mails).toHaveLength(3)
  })

  it('opens four connections at once, not one for each mail', async () => {
    const server = await smtpServer()
    const taken = Promise.withResolvers<void>()
    server.reply('content', ...Array<Reply>(4).fill(taken.promise))
    const { send, close } = mailer({ smtp: at(server) })
    for (let count = 0; count < 40; count += 1) send(newMail())
    while (server.contents.length < 4) await turnOfTheLoop()
    taken.resolve()
    await close()
    expect(server.mails).toHaveLength(40)
    expect(server.mostClients()).toBe(4)
  })

  it('is finished before the mailer is closed', async () => {
    const server = await smtpServer()
    const taken = Promise.withResolvers<void>()
    server.reply('content', taken.promise)
    const { send, close } = mailer({ smtp: at(server) })
    const asked = server.reached('content')
    send(newMail())
    await asked
    let closed = false
    const closing = close().then(() => {
      closed = true
    })
    await turnOfTheLoop()
    expect(closed).toBe(false)
    taken.resolve()
    await closing
    expect(server.mails).toHaveLength(1)
  })

  it('is given up at the deadline: nothing keeps the process', async () => {
    const server = await smtpServer()
    server.reply('content', ...Array<Reply>(20).fill('silence'))
    const { send, close, logged } = mailer({ smtp: at(server), closeMs: 20, timeoutMs: 100_000 })
    for (let count = 0; count < 20; count += 1) send(newMail())
    await close()
    expect(logged().map(({ msg, code }) => [msg, code])).toEqual(Array(20).fill([NOT, 'EABORT']))
    while (server.connections() > 0) await turnOfTheLoop()
    expect(server.mails).toEqual([])
  })

  it('does not hold a closing server for a pause between attempts', async () => {
    const server = await smtpServer()
    server.reply('RCPT', ...Array<Reply>(20).fill('450 greylisted'))
    const { send, close, logged } = mailer({ smtp: at(server), closeMs: 20, pausesMs: [1_000_000] })
    for (let count = 0; count < 20; count += 1) send(newMail())
    while (logged().length < 20) await turnOfTheLoop()
    await close()
    expect(logged().map(({ msg }) => msg)).toEqual([...Array(20).fill(YET), ...Array(20).fill(NOT)])
    expect(server.verbs.filter((verb) => verb === 'RCPT')).toHaveLength(20)
  })

  it('takes nothing once it is closing', async () => {
    const server = await smtpServer()
    const { send, close, logged } = mailer({ smtp: at(server) })
    const closing = close()
    send(newMail())
    await closing
    expect(logged()).toEqual([
      { level: 'error', mail: 'reset-password', msg: 'a mail was refused: the server is closing' },
    ])
    expect(server.mostClients()).toBe(0)
  })
})

describe('the outbox', () => {
  it('gets a file for each mail, for nobody else to read, whose name the log has', async () => {
    const outbox = join(await newDirectory(), 'data', 'outbox')
    const { send, close, logged } = mailer({ outbox })
    const mails = [newMail(), newMail()]
    for (const mail of mails) send(mail)
    await close()
    const names = await readdir(outbox)
    expect(names).toEqual(Array(2).fill(expect.stringMatching(/^\d{8}T\d{9}Z-[0-9a-f]{12}\.eml$/)))
    expect((await stat(outbox)).mode & 0o777).toBe(0o700)
    for (const name of names) expect((await stat(join(outbox, name))).mode & 0o777).toBe(0o600)
    expect(
      logged()
        .map(({ file }) => basename(file))
        .sort(),
    ).toEqual(names.sort())
    expect(logged()[0]).toEqual({
      level: 'info',
      mail: 'reset-password',
      file: expect.any(String),
      msg: 'a mail was written to a file',
    })

    const read = (await Promise.all(names.map((name) => readFile(join(outbox, name), 'utf8')))).map(readMail)
    expect(read.map(({ headers }) => headers.get('to')?.[0]).sort()).toEqual(mails.map(({ to }) => to).sort())
    expect(read.map(({ text }) => text).sort()).toEqual(mails.map(({ text }) => text).sort())
    expect(read.map(({ html }) => html).sort()).toEqual(mails.map(({ html }) => html).sort())
  })

  it('holds links whole, so that they can be copied from the file as it is', async () => {
    const outbox = await newDirectory()
    const { send, close } = mailer({ outbox })
    const token = newToken()
    send(newMail(resetPassword({ token, minutes: 30, appUrl: APP })))
    await close()
    const [name = ''] = await readdir(outbox)
    const raw = await readFile(join(outbox, name), 'utf8')
    expect(raw.split('\n')).toContain(`${APP}/reset-password#token=${token}`)
    expect(tokenIn(readMail(raw))).toBe(token)
  })

  it('holds any script', async () => {
    const outbox = await newDirectory()
    const { send, close } = mailer({ outbox })
    const text = 'жена@пример.рф 家\n'
    send(newMail({ text, html: `<p>${text}</p>`, subject: 'Grüße, 家' }))
    await close()
    const [name = ''] = await readdir(outbox)
    const raw = await readFile(join(outbox, name), 'utf8')
    // RFC 5321 2.3.1: not every server takes eight bits.
    expect(raw).toMatch(/^[\t\n -~]*$/)
    const { headers, ...read } = readMail(raw)
    expect(read).toEqual({ subject: 'Grüße, 家', text, html: `<p>${text}</p>` })
  })

  it('is closed to others even where it was open', async () => {
    const outbox = join(await newDirectory(), 'outbox')
    await mkdir(outbox)
    await chmod(outbox, 0o755)
    const { send, close } = mailer({ outbox })
    send(newMail())
    await close()
    expect((await stat(outbox)).mode & 0o777).toBe(0o700)
    expect(await readdir(outbox)).toHaveLength(1)
  })

  it('that cannot be written to is said in the log, and nothing else happens', async () => {
    const file = join(await newDirectory(), 'a file')
    await writeFile(file, '')
    const { send, close, logged } = mailer({ outbox: join(file, 'outbox') })
    send(newMail())
    await close()
    expect(logged()).toEqual([
      { level: 'error', mail: 'reset-password', code: expect.stringMatching(/^E(NOTDIR|EXIST)$/), msg: NOT },
    ])
  })
})

describe('the headers of a mail', () => {
  it.each([
    'a@example.com\r\nBcc: b@example.com',
    'a@example.com\nb@example.com',
    'a@example.com\r',
    'a@example.com, b@example.com',
    'a@example.com;b@example.com',
    '<a@example.com>',
    'a@example.com> SIZE=1 <b@example.com',
    'Ada <a@example.com>',
    'a,b@example.com',
    'group:a@example.com',
    'a b@example.com',
    'a@b@example.com',
    '"a"@example.com',
    'a\0@example.com',
    'a\u2028@example.com',
    `${'a'.repeat(243)}@example.com`,
    '@example.com',
    'a@',
    '',
  ])('are never written for %j', async (to) => {
    const server = await smtpServer()
    const { send, close, logged } = mailer({ smtp: at(server) })
    send(newMail({ to }))
    await close()
    expect(logged()).toEqual([
      {
        level: 'error',
        mail: 'reset-password',
        msg: 'a mail was refused: no mail can go to such an address',
      },
    ])
    expect(server.mostClients()).toBe(0)
  })

  it('are the same ones, and the mail goes to one person, whatever an address or a subject is made of', async () => {
    const server = await smtpServer()
    const { send, close, logged } = mailer({ smtp: at(server), queue: 1_000 })
    const piece = fc.constantFrom(
      'a',
      'b.c',
      '@',
      '@example.com',
      '\r\n',
      '\n',
      '\r',
      'Bcc: x@example.com',
      ', ',
      '<',
      '>',
      '"',
      '\\',
      ':',
      ' ',
      '\0',
      'é',
    )
    const hostile = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(''))
    const tried = fc.sample(
      fc.record({
        to: fc.oneof(hostile, fc.constant('a@example.com')),
        subject: hostile.map((text) => `Re: ${text}`),
      }),
      { numRuns: 200, seed: 7 },
    )
    for (const fields of tried) send(newMail(fields))
    await close()
    const expected = [
      'auto-submitted',
      'content-type',
      'date',
      'from',
      'message-id',
      'mime-version',
      'subject',
      'to',
    ]
    const accepted = tried.filter(({ to }) => isAddress(to))
    expect(accepted.length).toBeGreaterThan(50)
    expect(accepted.length).toBeLessThan(200)
    expect(logged().filter(({ level }) => level === 'info')).toHaveLength(accepted.length)
    expect(server.mails.flatMap(({ to }) => to).sort()).toEqual(accepted.map(({ to }) => to).sort())
    for (const { content } of server.mails)
      expect([...readMail(content).headers.keys()].sort()).toEqual(expected)
  })
})

describe('the log of mails', () => {
  it('has no address, token, subject or content in it, nor the words or the password of a server, T39', async () => {
    const server = await smtpServer()
    const token = newToken()
    const mail = newMail(resetPassword({ token, minutes: 30, appUrl: APP }))
    const echo = `${mail.to} ${token} ${mail.subject} ${LOGIN.user}`
    server.reply(
      'RCPT',
      `550 5.1.1 <${mail.to}>: ${echo}`,
      `450 <${mail.to}>: ${echo}`,
      `451 ${echo}`,
      `452 ${echo}`,
    )
    const file = join(await newDirectory(), 'a file')
    await writeFile(file, '')
    const mailers = [
      mailer({ smtp: at(server) }),
      mailer({ smtp: at(server) }),
      mailer({ smtp: at(await closedPort()) }),
      mailer({ smtp: at(server, { secure: true }) }),
      mailer({ smtp: at(server), queue: 0 }),
      mailer({ outbox: join(await newDirectory(), 'outbox') }),
      mailer({ outbox: join(file, 'outbox') }),
    ]
    for (const { send, close } of mailers) {
      send(mail)
      send({ ...mail, to: `${mail.to}\n` })
      await close()
      send(mail)
    }
    const log = mailers.flatMap(({ lines }) => lines)
    expect(log).toHaveLength(27)
    const [user = ''] = mail.to.split('@')
    const { pass } = LOGIN
    const planted = {
      ...{ user, pass, token, part: token.slice(10, 30), subject: mail.subject },
      domain: 'example.com',
      word: 'asked for',
      status: '5.1.1',
    }
    expect(Object.entries(planted).filter(([, secret]) => log.join('').includes(secret))).toEqual([])
    expect(new Set(log.flatMap((line) => Object.keys(JSON.parse(line))))).toEqual(
      new Set([
        'level',
        'time',
        'pid',
        'hostname',
        'mail',
        'file',
        'code',
        'responseCode',
        'command',
        'againInMs',
        'msg',
      ]),
    )
  })
})
