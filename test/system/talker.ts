/**
 * What machines of the test network run, each in its namespace: `node talker.ts <part> [name] [addresses]`.
 * Every line on stdout is something that arrived.
 */
import { createSocket, type Socket } from 'node:dgram'
import { connect, createServer, isIPv6 } from 'node:net'
import { setInterval as every } from 'node:timers'
import { PORT, TICK_MS } from './network.ts'

const [part, name = '', ...addresses] = process.argv.slice(2)
const say = (what: string | number) => process.stdout.write(`${what}\n`)
const ready = () => say('ready')
const block = Buffer.alloc(16_384)

/** One socket for each family, which lives as long as the talker: a flow. */
function socketTo(address: string): Socket {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  socket.on('message', () => say(address))
  // A refused datagram is one that did not arrive.
  socket.on('error', () => {})
  return socket
}

const parts: Record<string, () => void> = {
  /**
   * Echoes datagrams and says who sent them; goes on to send to whoever says `stream`; reads or writes TCP,
   * whichever it is told.
   */
  server() {
    const socket = createSocket('udp6', (message, { port, address }) => {
      const word = message.toString()
      if (word === 'stream') every(() => socket.send('tick', port, address), TICK_MS)
      else socket.send(word, port, address)
      say(word)
    })
    const tcp = createServer((peer) => {
      peer.on('error', () => {})
      peer.once('data', (first) => {
        if (first.toString().startsWith('u'))
          return void peer.on('data', (data) => say(`bytes ${data.length}`))
        const write = () => {
          while (peer.write(block));
        }
        peer.on('drain', write)
        write()
      })
    })
    socket.bind(PORT, () => tcp.listen(PORT, ready))
  },

  /** Sends its name again and again, and says which address answered. */
  beat() {
    for (const address of addresses) {
      const socket = socketTo(address)
      every(() => socket.send(name, PORT, address), TICK_MS)
    }
    ready()
  },

  /** Asks once to be sent to, and never sends again. */
  listen() {
    for (const address of addresses) socketTo(address).send('stream', PORT, address)
    ready()
  },

  download() {
    const peer = connect(PORT, addresses[0], () => peer.write('d'))
    peer.on('data', (data) => say(`bytes ${data.length}`))
    ready()
  },

  upload() {
    const peer = connect(PORT, addresses[0], () => peer.write('u', () => write()))
    const write = () => {
      while (peer.write(block));
    }
    peer.on('drain', write)
    ready()
  },
}

parts[part ?? '']?.()
