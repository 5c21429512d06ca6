/**
 * A proxy between a server and PostgreSQL that reads the protocol's messages (PostgreSQL documentation, 55.2)
 * as they pass, and causes a fault at a planned one.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/**
 * What happens to a connection at its message. The proxy cuts it before or after the message passes, ends its
 * backend, or cancels its statement.
 */
export type Harm = 'cut before' | 'cut after' | 'terminate' | 'cancel'
/** `at`: the n-th message of frontends from now, over all connections. */
export type Fault = { at: number; harm: Harm }

export type FaultProxy = {
  address: string
  /** Restarts the count at zero. */
  plan(faults: Fault[]): void
  /**
   * Since the plan was made: how many faults happened, and how often a COMMIT reached the database whose
   * answer never came back.
   */
  met(): { faults: number; lostCommits: number }
  close(): Promise<void>
}

/** @param harmBackend ends a backend or cancels its statement, by its process id */
export async function openFaultProxy(
  target: string,
  harmBackend: (harm: Harm, pid: number) => Promise<unknown>,
): Promise<FaultProxy> {
  const { hostname, port } = new URL(`postgres://${target}`)
  const sockets = new Set<Socket>()
  let planned = new Map<number, Harm>()
  let count = 0
  let faults = 0
  let lostCommits = 0

  const server = createServer((frontend) => {
    const backend = connect(Number(port || 5432), hostname)
    let pid = 0
    // Of the requests in flight on this connection, in order: whether each Sync ends a COMMIT.
    const underWay: boolean[] = []
    let isCommit = false
    const end = () => {
      frontend.destroy()
      backend.destroy()
    }
    for (const socket of [frontend, backend]) {
      sockets.add(socket)
      // Sends each message by itself: waiting to fill a packet would cost 40 ms each time.
      socket.setNoDelay(true)
      socket.on('error', end)
      socket.on('close', () => {
        // PostgreSQL runs a COMMIT when its Execute has passed, even without the Sync after it.
        lostCommits += underWay.filter(Boolean).length + Number(isCommit)
        underWay.length = 0
        isCommit = false
        end()
      })
    }
    void eachMessage(frontend, { hasStartup: true }, async (type, message) => {
      if (type === 'P' && /\0commit\0/i.test(message.toString('latin1'))) isCommit = true
      const harm = type === undefined ? undefined : planned.get(count)
      if (type !== undefined) count += 1
      if (harm) faults += 1
      if (harm === 'cut before') return end()
      if (harm === 'terminate') await harmBackend(harm, pid).catch(() => {})
      if (type === 'S') {
        underWay.push(isCommit)
        isCommit = false
      }
      backend.write(message)
      if (harm === 'cancel') await harmBackend(harm, pid).catch(() => {})
      if (harm === 'cut after') backend.end()
      if (harm === 'cut after') frontend.destroy()
    }).catch(end)
    void eachMessage(backend, { hasStartup: false }, async (type, message) => {
      if (type === 'K') pid = message.readInt32BE(5)
      if (type === 'Z') underWay.shift()
      if (!frontend.destroyed) frontend.write(message)
    }).catch(end)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')

  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    plan(next) {
      planned = new Map(next.map(({ at, harm }) => [at, harm]))
      count = faults = lostCommits = 0
    },
    met: () => ({ faults, lostCommits }),
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/**
 * Messages one after the other; each waits until the handler has finished the previous one. The first message
 * of a frontend has no type.
 */
async function eachMessage(
  socket: Socket,
  { hasStartup }: { hasStartup: boolean },
  handle: (type: string | undefined, message: Buffer) => Promise<void>,
): Promise<void> {
  let rest = Buffer.alloc(0)
  let isStartup = hasStartup
  for await (const chunk of socket) {
    rest = Buffer.concat([rest, chunk as Buffer])
    for (;;) {
      const header = isStartup ? 0 : 1
      if (rest.length < header + 4) break
      const length = header + rest.readInt32BE(header)
      if (rest.length < length) break
      const message = rest.subarray(0, length)
      rest = rest.subarray(length)
      await handle(isStartup ? undefined : String.fromCharCode(message[0] ?? 0), message)
      isStartup = false
    }
  }
}
