/**
 * Outages: a proxy between a server and its database that cuts connections, then refuses them, then serves
 * again.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { TestDatabase } from './database.ts'

export type DatabaseProxy = {
  /** Host and port. */
  address: string
  cut(): Promise<void>
  /** Serves again, at the same address. */
  restore(): Promise<void>
  /**
   * Existing connections stay connected and carry no more data, as when a firewall has dropped their state.
   * New connections work.
   */
  freeze(): void
}

/** @param target host and port */
export async function openProxy(target: string): Promise<DatabaseProxy> {
  const { hostname, port: targetPort } = new URL(`postgres://${target}`)
  const sockets = new Set<Socket>()
  let proxy: Server
  let port = 0

  const restore = async () => {
    proxy = createServer((client) => {
      const upstream = connect(Number(targetPort || 5432), hostname)
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.add(from)
        from.pipe(to)
        from.on('error', () => to.destroy())
        from.on('close', () => to.destroy())
      }
    }).listen(port, '127.0.0.1')
    await once(proxy, 'listening')
    port = (proxy.address() as AddressInfo).port
  }
  const cut = async () => {
    const closed = new Promise((resolve) => proxy.close(resolve))
    for (const socket of sockets) socket.destroy()
    sockets.clear()
    await closed
  }
  const freeze = () => {
    for (const socket of sockets) socket.unpipe().pause()
  }
  await restore()
  return { address: `127.0.0.1:${port}`, cut, restore, freeze }
}

/** @returns the database as seen through proxies, each path to it through a separate one */
export async function openOutage({ pooler, ...database }: TestDatabase) {
  const url = new URL(database.adminUrl)
  const direct = await openProxy(url.host)
  const pooled = pooler === undefined ? undefined : await openProxy(pooler)
  url.host = direct.address
  const both = (act: 'cut' | 'restore' | 'freeze') => async () => {
    await Promise.all([direct[act](), pooled?.[act]()])
  }
  const seen: TestDatabase = { ...database, adminUrl: url.href, ...(pooled && { pooler: pooled.address }) }
  return { database: seen, cut: both('cut'), restore: both('restore'), freeze: both('freeze') }
}
