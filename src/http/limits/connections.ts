/**
 * Limits the resources of connections. A connection has one request in progress at a time. Requests that a
 * client sends ahead wait before routing; responses come in order anyway (RFC 9112, 9.3.2). Unread responses
 * are limited in time and, over all connections, in bytes. Each address may use a limited share of the
 * connections.
 */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import { BlockList, isIPv6, type Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../../config/config.ts'
import { clientNetwork } from '../../network/client-network.ts'

/** A connection with more requests sent ahead than this is closed. No browser, agent or proxy sends any. */
const MAX_AHEAD = 8
/**
 * How often unread responses are checked, and how long one may remain when all together are too large,
 * milliseconds.
 */
const LOOK_MS = 1_000
const PATIENCE_MS = 3_000
/**
 * Requests that were sent ahead get this much of each turn of the event loop, milliseconds, so that other
 * clients come first.
 */
const SLICE_MS = 5
const TURNED_AWAY = new Set([429, 503])
/** Refused connections are logged at most once in this time, milliseconds. */
const LOG_EVERY_MS = 60_000

type Exchange = { request: IncomingMessage; response: ServerResponse }
/**
 * `waiting`: requests that are not served yet. `unread`: the response at the first check since the client
 * last took some of it.
 */
type Connection = { current: Exchange | undefined; waiting: Exchange[]; unread: Unread | undefined }
/** `bytes` are in our memory. `queued` is the part of them that the operating system has not taken yet. */
type Unread = { response: ServerResponse; bytes: number; queued: number; since: number }
type Log = { warn(fields: object, message: string): void }

/** A Node HTTP server with these limits, for Fastify to listen with. */
export function createBoundedServer(handle: RequestListener, { http, trustProxy }: Config, log: Log): Server {
  const connections = new Map<Socket, Connection>()
  const server = createServer(
    // Fastify answers a request without a host like any other that cannot be served
    // (`handleNodeLevelErrors`). Node would answer it in its own form.
    { headersTimeout: http.headersTimeoutMs, connectionsCheckingInterval: 1_000, requireHostHeader: false },
    oneAtATime(handle, connections),
  )
  const looking = setInterval(() => dropUnread(connections, http, log), LOOK_MS).unref()
  server.once('close', () => clearInterval(looking))
  server.requestTimeout = http.requestTimeoutMs
  server.keepAliveTimeout = http.keepAliveTimeoutMs
  server.setTimeout(http.idleTimeoutMs)
  server.maxRequestsPerSocket = 1_000
  server.maxConnections = http.maxConnections
  shareConnections(server, http.maxConnectionsPerAddress, addressesOf(trustProxy), log)
  return server
}

/**
 * After a request has been read, the connection is idle only because the server works, so the idle timeout no
 * longer applies. (An injected request has no such socket.)
 */
export function liftIdleTimeout(app: FastifyInstance): void {
  app.addHook('preValidation', async ({ raw }) => void raw.socket.setTimeout?.(0))
}

/**
 * A request is served only after everything that arrived with it has been read. By then it is known which
 * clients sent requests ahead, and theirs wait for those of other clients.
 */
function oneAtATime(handle: RequestListener, connections: Map<Socket, Connection>): RequestListener {
  const behind: Connection[] = []
  let isScheduled = false

  const wait = (connection: Connection) => {
    behind.push(connection)
    schedule()
  }
  const schedule = () => {
    if (!isScheduled) setImmediate(serveBehind)
    isScheduled = true
  }
  const begin = (connection: Connection) =>
    connection.waiting.length > 1 ? wait(connection) : serve(connection)
  const serve = (connection: Connection) => {
    const exchange = connection.waiting.shift()
    if (!exchange || exchange.request.socket.destroyed) return
    connection.current = exchange
    exchange.response.once('close', () => {
      connection.current = undefined
      if (connection.waiting.length === 0) return
      // A client that gets 429 or 503 is to come back later, so its connection is closed.
      if (TURNED_AWAY.has(exchange.response.statusCode)) exchange.request.socket.destroySoon()
      else wait(connection)
    })
    handle(exchange.request, exchange.response)
  }
  const serveBehind = () => {
    isScheduled = false
    const end = performance.now() + SLICE_MS
    while (behind.length > 0 && performance.now() < end) serve(behind.shift() as Connection)
    if (behind.length > 0) schedule()
  }

  return (request, response) => {
    const { socket } = request
    let connection = connections.get(socket)
    if (!connection) {
      connection = { current: undefined, waiting: [], unread: undefined }
      connections.set(socket, connection)
      socket.once('close', () => connections.delete(socket))
    }
    const ahead = connection.waiting.push({ request, response }) - (connection.current ? 0 : 1)
    if (ahead > MAX_AHEAD) socket.destroy()
    else if (ahead === 0) process.nextTick(begin, connection)
  }
}

/**
 * Drops a connection that takes nothing of its response for `idleTimeoutMs`, whatever else it sends. When all
 * unread responses together exceed `maxUnreadBytes`, the largest are dropped.
 */
function dropUnread(
  connections: Map<Socket, Connection>,
  { idleTimeoutMs, maxUnreadBytes }: Config['http'],
  log: Log,
): void {
  const now = performance.now()
  const waiting: { socket: Socket; unread: Unread }[] = []
  for (const [socket, connection] of connections) {
    const unread = unreadOf(socket, connection, now)
    if (unread && unread === connection.unread) waiting.push({ socket, unread })
    connection.unread = unread
  }
  let total = waiting.reduce((sum, { unread }) => sum + unread.bytes, 0)
  let dropped = 0
  for (const { socket, unread } of waiting.sort((a, b) => b.unread.bytes - a.unread.bytes)) {
    if (now - unread.since < (total > maxUnreadBytes ? PATIENCE_MS : idleTimeoutMs)) continue
    socket.destroy()
    total -= unread.bytes
    dropped += 1
  }
  if (dropped > 0) log.warn({ dropped }, 'closed connections whose clients do not read their answers')
}

/** The finding of an earlier check, if nothing has moved since. */
function unreadOf(socket: Socket, { current, unread }: Connection, now: number): Unread | undefined {
  if (!current || current.response.writableLength === 0) return undefined
  const { response } = current
  const bytes = response.writableLength
  // Node counts a write until all of it is taken. Only the handle knows how much is left (Node's own timeouts
  // read it too).
  const queued =
    (socket as unknown as { _handle: { writeQueueSize: number } | null })._handle?.writeQueueSize ?? 0
  if (unread && unread.response === response && unread.bytes === bytes && unread.queued === queued)
    return unread
  return { response, bytes, queued, since: now }
}

/**
 * Limits the share of each address, except of trusted proxies, which serve many clients. An IPv6 /64 counts
 * as one address.
 */
function shareConnections(server: Server, max: number, proxies: BlockList, log: Log): void {
  const open = new Map<string, number>()
  let loggedAt = Number.NEGATIVE_INFINITY
  const refused = (address: string | undefined) => {
    if (performance.now() - loggedAt < LOG_EVERY_MS) return
    loggedAt = performance.now()
    log.warn(
      { address },
      'refused connections: MAX_CONNECTIONS or MAX_CONNECTIONS_PER_ADDRESS is reached (behind a proxy, set TRUST_PROXY)',
    )
  }
  server.on('drop', (data) => refused(data?.remoteAddress))
  server.on('connection', (socket) => {
    const { remoteAddress = '' } = socket
    if (proxies.check(remoteAddress, isIPv6(remoteAddress) ? 'ipv6' : 'ipv4')) return
    const network = clientNetwork(remoteAddress)
    const count = (open.get(network) ?? 0) + 1
    if (count > max) {
      refused(remoteAddress)
      return void socket.destroy()
    }
    open.set(network, count)
    socket.once('close', () => {
      const left = (open.get(network) ?? 1) - 1
      if (left > 0) open.set(network, left)
      else open.delete(network)
    })
  })
}

/** Addresses and networks in the form of TRUST_PROXY. */
function addressesOf(entries: string[]): BlockList {
  const list = new BlockList()
  for (const entry of entries) {
    const [address = '', bits] = entry.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  return list
}
