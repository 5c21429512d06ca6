/**
 * A client that costs little compared with what it measures. It sends the same request again and again, one
 * at a time, on a connection that it keeps for as long as the server does. Of each answer it reads the status
 * and the length.
 */
import { once } from 'node:events'
import { connect } from 'node:net'

export type Connection = {
  /** @returns the status of the answer @throws Error when the connection ends before it */
  send(): Promise<number>
  close(): void
}

/** @param url to request with GET, on http */
export async function openConnection(url: URL, accessToken: string): Promise<Connection> {
  const request = `GET ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\nauthorization: Bearer ${accessToken}\r\n\r\n`
  let answer: PromiseWithResolvers<string> | undefined

  const open = async () => {
    const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true })
    await once(socket, 'connect')
    let received = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      const end = received.indexOf('\r\n\r\n')
      if (end === -1) return
      const head = received.toString('latin1', 0, end)
      const [, length] = /\r\ncontent-length: (\d+)/i.exec(head) ?? []
      if (length === undefined)
        return void socket.destroy(new Error(`an answer does not say how long it is:\n${head}`))
      if (received.length < end + '\r\n\r\n'.length + Number(length)) return
      received = Buffer.alloc(0)
      answer?.resolve(head)
    })
    socket.on('error', (error) => answer?.reject(error))
    socket.on('close', () => answer?.reject(new Error('the connection was closed')))
    return socket
  }

  let socket = await open()
  return {
    send: async () => {
      if (socket.destroyed) socket = await open()
      answer = Promise.withResolvers()
      socket.write(request)
      const head = await answer.promise
      // A server ends a connection after a number of requests (`maxRequestsPerSocket`), and says so with the
      // last answer.
      if (/\r\nconnection: close/i.test(head)) socket.destroy()
      return Number(head.slice('HTTP/1.1 '.length, 'HTTP/1.1 200'.length))
    },
    close: () => socket.destroy(),
  }
}
