/**
 * A real SMTP server on this machine, for tests: it stores what it receives. At any step, tests choose
 * whether it answers or stays silent.
 */
import { EventEmitter, once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

/** `content` is the message before dots were doubled; lines end in CRLF. */
type SentMail = {
  from: string
  to: string[]
  content: string
  login: { user: string; password: string } | undefined
}

/** The step at which a reply is due; `content` is the end of the message. */
export type Step = 'connect' | 'EHLO' | 'AUTH' | 'STARTTLS' | 'MAIL' | 'RCPT' | 'DATA' | 'content'

/**
 * A reply; silence forever; a beginning without an end; or the usual reply, but only after a promise
 * resolves.
 */
export type Reply = string | 'silence' | 'trickle' | Promise<void>

export type SmtpServer = {
  port: number
  /** The mails that it accepted. */
  mails: SentMail[]
  /** The content of every mail that it received, accepted or not. */
  contents: string[]
  /** The verb of each command that it received. */
  verbs: string[]
  /** The number of current connections. */
  connections(): number
  /** The most clients that it served at once: connected, and without an answer about their mail yet. */
  mostClients(): number
  /** The next replies at a step, instead of the usual one. */
  reply(step: Step, ...replies: Reply[]): void
  /** Resolves when a client next reaches the step. */
  reached(step: Step): Promise<unknown>
  close(): Promise<void>
}

const TRICKLE_MS = 5

export async function openSmtpServer({ methods = 'PLAIN LOGIN' } = {}): Promise<SmtpServer> {
  const mails: SentMail[] = []
  const contents: string[] = []
  const verbs: string[] = []
  const planned = new Map<Step, Reply[]>()
  const steps = new EventEmitter()
  const sockets = new Set<Socket>()
  const clients = new Set<Socket>()
  let mostClients = 0

  /** @returns whether the answer was positive */
  const answer = async (socket: Socket, step: Step, usual: string): Promise<boolean> => {
    steps.emit(step)
    const reply = planned.get(step)?.shift() ?? usual
    while (reply === 'trickle' && socket.writable) {
      socket.write('250-more\r\n')
      await pause(TRICKLE_MS)
    }
    if (reply === 'silence' || reply === 'trickle') return false
    const text = typeof reply === 'string' ? reply : await reply.then(() => usual)
    socket.write(`${text}\r\n`)
    return /^[23]/.test(text)
  }

  const converse = async (socket: Socket): Promise<void> => {
    const lines = linesOf(socket)
    const say = (step: Step, usual: string) => answer(socket, step, usual)
    const ask = async (prompt: string) => {
      socket.write(`334 ${base64(prompt)}\r\n`)
      return fromBase64((await lines.next()).value ?? '')
    }
    let mail = { from: '', to: [] as string[] }
    let login: SentMail['login']
    await say('connect', '220 mail.example.com ESMTP')
    for await (const line of lines) {
      const [verb = '', ...words] = line.split(' ')
      verbs.push(verb)
      const path = /<(.*)>/.exec(line)?.[1] ?? ''
      if (verb === 'EHLO') await say('EHLO', `250-mail.example.com\r\n250 AUTH ${methods}`)
      else if (verb === 'STARTTLS') await say('STARTTLS', '502 not here')
      else if (verb === 'AUTH') {
        const [, user = '', password = ''] =
          words[0] === 'PLAIN'
            ? fromBase64(words[1] ?? '').split('\0')
            : ['', await ask('Username:'), await ask('Password:')]
        if (await say('AUTH', '235 welcome')) login = { user, password }
      } else if (verb === 'MAIL') {
        if (await say('MAIL', '250 ok')) mail = { from: path, to: [] }
      } else if (verb === 'RCPT') {
        if (await say('RCPT', '250 ok')) mail.to.push(path)
      } else if (verb === 'DATA') {
        if (!(await say('DATA', '354 go on'))) continue
        const content = await contentOf(lines)
        contents.push(content)
        if (await say('content', '250 taken')) mails.push({ ...mail, content, login })
        clients.delete(socket)
      } else socket.write('500 what?\r\n')
    }
  }

  const server = createServer((socket) => {
    sockets.add(socket)
    clients.add(socket)
    mostClients = Math.max(mostClients, clients.size)
    socket.on('close', () => {
      sockets.delete(socket)
      clients.delete(socket)
    })
    // A client that is cut off sends nothing more; that is no failure of the server.
    converse(socket).catch(() => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    mails,
    contents,
    verbs,
    connections: () => sockets.size,
    mostClients: () => mostClients,
    reply: (step, ...replies) => void planned.set(step, [...(planned.get(step) ?? []), ...replies]),
    reached: (step) => once(steps, step),
    async close() {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
  }
}

const base64 = (text: string) => Buffer.from(text).toString('base64')
const fromBase64 = (text: string) => Buffer.from(text, 'base64').toString()

async function* linesOf(socket: Socket): AsyncGenerator<string, undefined> {
  let rest = ''
  for await (const chunk of socket.setEncoding('utf8')) {
    const lines = `${rest}${chunk}`.split('\r\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
}

/**
 * RFC 5321 4.5.2: a dot alone ends the message; the sender added a dot that comes before another character.
 */
async function contentOf(lines: AsyncGenerator<string, undefined>): Promise<string> {
  const content: string[] = []
  for (
    let line = (await lines.next()).value;
    line !== undefined && line !== '.';
    line = (await lines.next()).value
  )
    content.push(line.replace(/^\./, ''))
  return content.join('\r\n')
}
