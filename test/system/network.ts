/**
 * A home in network namespaces: a router with a bridge, two devices on it, and the world behind it. Needs
 * root, ip and nft.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { macOf } from '../support/documents.ts'

export const PORT = 7007
export const TICK_MS = 20

/** Long enough for a slow machine; nothing waits that long when all is well. */
const DEADLINE_MS = 8_000
/** Without a packet for so many ticks, nothing comes through. */
const SILENCE_MS = 20 * TICK_MS

export const KID = macOf(0x11)
export const MUM = macOf(0x12)
/** The world's end of the uplink. */
export const UPLINK = macOf(0x99)

export const WORLD = ['203.0.113.1', '2001:db8::1'] as const
/** A machine of a home network that the router's uplink is in, with the same MAC. */
export const UPSTREAM = '10.9.9.1'
export const ROUTER = ['192.168.77.1', 'fd77::1'] as const
/** The router's address on the uplink, where a port is forwarded to mum. */
export const FORWARDED = '203.0.113.2'

/**
 * What fw4 does: accept what is established, then what comes from the LAN; masquerade; one forwarded port.
 */
const FIREWALL = `table inet fw4 {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    ct status dnat accept
    iifname "br-lan" accept
  }
  chain dstnat {
    type nat hook prerouting priority dstnat;
    iifname "wan" udp dport ${PORT} dnat ip to 192.168.77.12
  }
  chain srcnat {
    type nat hook postrouting priority srcnat;
    oifname "wan" meta nfproto ipv4 masquerade
  }
}
`

const environment = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` }
const run = (command: string, args: string[]) =>
  execFileSync(command, args, { env: environment, stdio: ['ignore', 'ignore', 'pipe'] })

/** What this machine lacks for the system tests, empty when it lacks nothing. */
export function missing(): string[] {
  const lacks = [
    ['nft (Debian: apt-get install nftables)', 'nft', '--version'],
    ['ip (Debian: apt-get install iproute2)', 'ip', '-V'],
  ].flatMap(([what = '', command = '', argument = '']) => {
    try {
      run(command, [argument])
      return []
    } catch {
      return [what]
    }
  })
  return process.getuid?.() === 0 ? lacks : ['root (sudo npm run test:system)', ...lacks]
}

export type Machine = 'router' | 'kid' | 'mum' | 'world'

/** Somebody who talks. */
export type Talker = {
  /** Waits until something arrives from now on, or something that is `what`; fails when nothing does. */
  hears: (what?: string) => Promise<void>
  /** Waits until nothing arrives any more; fails when it goes on and on. */
  hearsNothing: (what?: string) => Promise<void>
  /** Bytes that arrived in so many ms from now. */
  bytesIn: (ms: number) => Promise<number>
}

export type Network = Awaited<ReturnType<typeof openNetwork>>

/** Builds the network under names of its own. */
export async function openNetwork() {
  const prefix = `netpilot-${randomBytes(4).toString('hex')}`
  const talkers: ChildProcess[] = []
  /** Not synchronous: what arrives meanwhile must not look as if it had arrived afterwards. */
  async function inRouter(command: string[], input = ''): Promise<string> {
    const done = promisify(execFile)('ip', ['netns', 'exec', `${prefix}-router`, ...command], {
      env: environment,
      maxBuffer: 1e8,
    })
    done.child.stdin?.end(input)
    return (await done).stdout
  }
  const nft = (script: string, ...options: string[]) => inRouter(['nft', ...options, '-f', '-'], script)

  const close = () => {
    for (const talker of talkers) talker.kill('SIGKILL')
    for (const machine of ['router', 'kid', 'mum', 'world']) {
      try {
        run('ip', ['netns', 'del', `${prefix}-${machine}`])
      } catch {
        // Not made: the network failed half way.
      }
    }
  }

  const build = [
    ...['router', 'kid', 'mum', 'world'].flatMap((machine) => [
      `netns add @${machine}`,
      `-n @${machine} link set lo up`,
    ]),
    // Snooping would hold back neighbour discovery for seconds.
    '-n @router link add br-lan type bridge mcast_snooping 0',
    ...['kid', 'mum'].flatMap((machine) => [
      `link add lan address ${machine === 'kid' ? KID : MUM} netns @${machine} type veth peer name ${machine} netns @router`,
      `-n @router link set ${machine} master br-lan up`,
      `-n @${machine} address add 192.168.77.${machine === 'kid' ? 11 : 12}/24 dev lan`,
      `-n @${machine} address add fd77::${machine === 'kid' ? 11 : 12}/64 dev lan nodad`,
      `-n @${machine} link set lan up`,
      `-n @${machine} route add default via ${ROUTER[0]}`,
      `-n @${machine} route add default via ${ROUTER[1]}`,
    ]),
    `-n @router address add ${ROUTER[0]}/24 dev br-lan`,
    `-n @router address add ${ROUTER[1]}/64 dev br-lan nodad`,
    '-n @router link set br-lan up',
    `link add uplink address ${UPLINK} netns @world type veth peer name wan netns @router`,
    `-n @router address add ${FORWARDED}/24 dev wan`,
    '-n @router address add 2001:db8::2/64 dev wan nodad',
    '-n @router link set wan up',
    '-n @router address add 10.9.9.2/24 dev wan',
    `-n @world address add ${UPSTREAM}/24 dev uplink`,
    `-n @world address add ${WORLD[0]}/24 dev uplink`,
    `-n @world address add ${WORLD[1]}/64 dev uplink nodad`,
    '-n @world link set uplink up',
    '-n @world route add fd77::/64 via 2001:db8::2',
  ]
  try {
    for (const line of build) run('ip', line.replaceAll('@', `${prefix}-`).split(' '))
    for (const path of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding'])
      await inRouter(['tee', `/proc/sys/net/${path}`], '1')
    await nft(FIREWALL)
  } catch (error) {
    close()
    throw error
  }

  /** Starts a part of talker.ts on a machine. */
  async function talk(machine: Machine, part: string, ...addresses: string[]): Promise<Talker> {
    const command = [
      'netns',
      'exec',
      `${prefix}-${machine}`,
      process.execPath,
      join(import.meta.dirname, 'talker.ts'),
      part,
      machine,
    ]
    const child = spawn('ip', [...command, ...addresses], {
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    talkers.push(child)
    const lines = createInterface(child.stdout)
    await once(lines, 'line')
    let bytes = 0
    const last = new Map<string, number>()
    lines.on('line', (line) => {
      last.set(line, performance.now()).set('', performance.now())
      if (line.startsWith('bytes ')) bytes += Number(line.slice(6))
    })
    const until = async (done: () => boolean, failure: string) => {
      const deadline = performance.now() + DEADLINE_MS
      while (!done()) {
        if (performance.now() > deadline) throw new Error(`${machine} ${part}: ${failure}`)
        await wait(TICK_MS)
      }
    }
    return {
      async hears(what = '') {
        // What was on its way does not count.
        const since = performance.now() + 2 * TICK_MS
        await until(() => (last.get(what) ?? 0) > since, `${what || 'nothing'} does not arrive`)
      },
      async hearsNothing(what = '') {
        const since = performance.now()
        await until(
          () => performance.now() - Math.max(since, last.get(what) ?? 0) > SILENCE_MS,
          `${what || 'something'} still arrives`,
        )
      },
      async bytesIn(ms) {
        const before = bytes
        await wait(ms)
        return bytes - before
      },
    }
  }

  return { nft, talk, close, tables: () => inRouter(['nft', 'list', 'ruleset']) }
}
