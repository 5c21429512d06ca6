/**
 * Writes the policy as an nft script for a router with nftables 0.9.8 or later (OpenWrt's fw4 has 1.0.2) and
 * kernel 5.4 or later. The script needs nothing beyond OpenWrt's `kmod-nft-core`. `nft -f` applies it in one
 * transaction: it replaces NetPilot's own table and leaves the router's tables unchanged.
 *
 * - Hook: forward, just before fw4's own (`filter`), which accepts established connections and passes them to
 *   the flow table. Traffic that the router itself sends, receives and serves (DHCP, DNS) does not pass this
 *   hook. Neither does traffic inside one bridge.
 * - Matching: a packet from the home is matched by its sender's MAC (`sent_n`). A returning packet has the
 *   MAC of the uplink, so it is matched by the connection mark that the device's own packets set
 *   (`returned_n`). A block thus ends both directions, also of established connections, from the device's
 *   next packet on. A packet is "from the home" by the direction of its connection or by a private source
 *   address. So replies from a forwarded port count too, and an uplink that is accidentally on a block list
 *   cuts off no other device.
 * - Time: the outcomes of a device are in maps in the order of time. Each map entry except the last has a
 *   native timeout. The first map that still contains the device decides. So a pause ends and a window starts
 *   without a request and independently of the router's clock. The last known outcome remains until the next
 *   script, except that a block never outlasts its `until`.
 * - Rates: packets above the rate are dropped (policing), with one budget per device and direction for all
 *   its MACs and addresses. Policing needs no tc, no ifb device and no interface name; TCP settles at the
 *   rate. The bucket is one second plus one packet of 64 kB, because receive offload passes packets of that
 *   size to the hook.
 * - MACs without an entry get the default. A hash of the MAC distinguishes them. Links without MACs (PPP,
 *   WireGuard) pass.
 *
 * Flow offloading must be off on the router, because it carries established connections past every hook.
 */
import type { Outcome, PolicyDocument, PolicyEntry } from './document.ts'

/** One device in the script. Its last phase has no end. */
type NftDevice = { macs: string[]; mark: number; phases: Phase[] }
type Phase = { verdict: string; seconds: number | null }

// A mark is 0x4e and the last three octets of the first MAC, so that the output of `conntrack -L` is
// readable. Unlisted devices have 0x4f and a hash. A device keeps its mark, so the marks on its connections
// remain valid under a new script. Only connections of restricted devices are marked: other users of marks
// (mwan3, pbr) keep the rest.
const LISTED = 0x4e000000
const UNLISTED = 0x4f000000
const NUMBERS = 0x1000000
const UNLISTED_RANGE = `${hex(UNLISTED)}-${hex(UNLISTED + NUMBERS - 1)}`

const HOME_V4 = '10.0.0.0/8, 100.64.0.0/10, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16'
const HOME_V6 = 'fc00::/7, fe80::/10'

/** kbit/s. The kernel refuses a rate of zero, and rates whose product with a second in ns exceeds 64 bits. */
const RATES = { least: 1, most: 100_000_000 }

/** One year in seconds. nft refuses a script with a timeout of more than eight digits. */
const LONGEST_TIMEOUT = 31_536_000

const PASS = 'accept'

/**
 * The script that enforces a document from a moment on. The same document and moment give the same bytes,
 * whatever the order of devices. The script contains only MACs, numbers and the revision.
 * @param at start of the timeouts, in whole seconds rounded up: the moment when the agent gets the script
 */
export function toNftScript(document: PolicyDocument, at: Date): string {
  const unlisted = verdictOf(document.default)
  const devices = devicesOf(document, at, unlisted === PASS)
  const marked = devices.filter(({ phases }) => phases.some(({ verdict }) => verdict !== PASS))
  const layers = [...Array(Math.max(0, ...devices.map(({ phases }) => phases.length))).keys()]
  const rates = ratesOf([unlisted, ...devices.flatMap(({ phases }) => phases.map(({ verdict }) => verdict))])
  const isOpen = unlisted === PASS

  return [
    `# NetPilot policy ${document.revision} of router ${document.routerId} at ${at.toISOString()}`,
    'add table inet netpilot',
    'delete table inet netpilot',
    'table inet netpilot {',
    ...mapOf(
      'marks',
      'ether_addr : mark',
      byMac(marked, ({ mark }) => ` : ${hex(mark)}`),
    ),
    ...layers.flatMap((layer) => [
      ...mapOf(
        `sent_${layer}`,
        'ether_addr : verdict',
        byMac(devices, ({ phases }) => outcomeAt(phases, layer)),
      ),
      ...mapOf(
        `returned_${layer}`,
        'mark : verdict',
        marked.flatMap(({ mark, phases }) => keyed(hex(mark), outcomeAt(phases, layer))),
      ),
    ]),
    ...rates.flatMap(policed),
    '  chain returned {',
    ...layers.map((layer) => `    ct mark vmap @returned_${layer}`),
    ...(isOpen ? [] : [`    ct mark ${UNLISTED_RANGE} ${unlisted}`]),
    '  }',
    '  chain sent {',
    // The device was unlisted before and is allowed now, so its connections lose the mark.
    ...(isOpen ? [] : [`    ct direction original ct mark ${UNLISTED_RANGE} ct mark set 0`]),
    '    ct mark set ether saddr map @marks',
    ...layers.map((layer) => `    ether saddr vmap @sent_${layer}`),
    ...(isOpen
      ? []
      : [
          `    ct direction original ct mark set jhash ether saddr mod ${NUMBERS} seed 1 offset ${hex(UNLISTED)}`,
        ]),
    '    goto returned',
    '  }',
    '  chain forward {',
    '    type filter hook forward priority filter - 10; policy accept;',
    // Traffic from the internet to a forwarded port is not matched by its sender. The replies of the device
    // are.
    '    ct direction original ct status and dnat == 0 goto sent',
    `    ip saddr { ${HOME_V4} } goto sent`,
    `    ip6 saddr { ${HOME_V6} } goto sent`,
    '    goto returned',
    '  }',
    '}',
    '',
  ].join('\n')
}

/**
 * The devices that the script must name, sorted. A MAC that occurs twice is listed once, because nft would
 * refuse the whole script.
 */
function devicesOf(document: PolicyDocument, at: Date, isOpen: boolean): NftDevice[] {
  const seen = new Set<string>()
  const taken = new Set<number>()
  return document.devices
    .map((entry) => ({ entry, all: [...entry.macs].sort() }))
    .sort((a, b) => (a.all.join() < b.all.join() ? -1 : 1))
    .flatMap(({ entry, all }) => {
      const macs = all.filter((mac) => !seen.has(mac) && seen.add(mac))
      const [first] = macs
      // An entry with only an address names no device until a scan finds its MAC.
      if (!first) return []
      return [{ macs, mark: markOf(first, taken), phases: phasesOf(entry, document.generatedAt, at, isOpen) }]
    })
    .filter(({ phases }) => phases.length > 0)
}

function markOf(mac: string, taken: Set<number>): number {
  let number = Number.parseInt(mac.replaceAll(':', '').slice(-6), 16)
  while (taken.has(number)) number = (number + 1) % NUMBERS
  taken.add(number)
  return LISTED + number
}

/**
 * The outcomes of a device from `at` on, in order. When unlisted MACs pass, a final phase that passes is
 * omitted.
 */
function phasesOf(entry: PolicyEntry, since: Date, at: Date, isOpen: boolean): Phase[] {
  const end =
    entry.decision === 'block' && entry.until
      ? [{ at: entry.until, decision: 'allow' as const, rate: null }]
      : []
  const outcomes = [{ ...entry, at: since }, ...(entry.upcoming.length > 0 ? entry.upcoming : end)]
  const phases = outcomes
    .map((outcome, index) => {
      const next = outcomes[index + 1]
      const seconds = next
        ? Math.min(Math.ceil((next.at.getTime() - at.getTime()) / 1000), LONGEST_TIMEOUT)
        : null
      return { verdict: verdictOf(outcome), seconds }
    })
    .filter(({ seconds }) => seconds === null || seconds > 0)
  if (isOpen && phases.at(-1)?.verdict === PASS) phases.pop()
  return phases
}

function verdictOf({ decision, rate }: Outcome): string {
  if (decision === 'block') return 'drop'
  return rate === null ? PASS : `goto rate_${Math.min(Math.max(rate, RATES.least), RATES.most)}`
}

const ratesOf = (verdicts: string[]) =>
  [...new Set(verdicts.flatMap((verdict) => /^goto rate_(\d+)$/.exec(verdict)?.[1] ?? []))]
    .map(Number)
    .sort((a, b) => a - b)

/** A rate limit for each connection mark and direction. 125 bytes/s are one kbit/s. */
const policed = (rate: number) => [
  `  set rate_${rate} {`,
  '    type mark . ct_dir',
  '    size 65536',
  '    flags dynamic,timeout',
  '    timeout 1m',
  '  }',
  `  chain rate_${rate} {`,
  `    update @rate_${rate} { ct mark . ct direction limit rate over ${rate * 125} bytes/second burst 64 kbytes } drop`,
  '  }',
]

function outcomeAt(phases: Phase[], layer: number): string | undefined {
  const phase = phases[layer]
  return phase && `${phase.seconds === null ? '' : ` timeout ${phase.seconds}s`} : ${phase.verdict}`
}

const byMac = (devices: NftDevice[], what: (device: NftDevice) => string | undefined) =>
  devices.flatMap((device) => device.macs.flatMap((mac) => keyed(mac, what(device)))).sort()

const keyed = (key: string, outcome: string | undefined) =>
  outcome === undefined ? [] : [`${key}${outcome}`]

const mapOf = (name: string, type: string, elements: string[]) => [
  `  map ${name} {`,
  `    type ${type}`,
  ...(type.endsWith('verdict') ? ['    flags timeout'] : []),
  ...(elements.length > 0
    ? ['    elements = {', ...elements.map((element) => `      ${element},`), '    }']
    : []),
  '  }',
]

function hex(number: number): string {
  return `0x${number.toString(16).padStart(8, '0')}`
}
