import type { Parsed } from '../sighting.ts'
import { parseArpScan } from './arp-scan.ts'
import { parseDnsmasqLeases } from './dnsmasq-leases.ts'
import { unreadable } from './entries.ts'
import { parseHostapdClients } from './hostapd-clients.ts'
import { parseIpNeigh } from './ip-neigh.ts'
import { parseIpNeighJson } from './ip-neigh-json.ts'
import { parseLuciDhcpLeases } from './luci-dhcp-leases.ts'
import { parseLuciHostHints } from './luci-host-hints.ts'
import { parseOdhcpdLeases } from './odhcpd-leases.ts'
import { parseProcNetArp } from './proc-net-arp.ts'

/**
 * A parser is pure, runs in linear time, and never throws. Parsers for JSON formats receive parsed JSON
 * values.
 */
type Format =
  | { json: false; parse: (text: string) => Parsed }
  | { json: true; parse: (document: unknown) => Parsed }

/** The formats that routers print, by the names that agents use. */
export const FORMATS = {
  'dnsmasq-leases': { json: false, parse: parseDnsmasqLeases },
  'ip-neigh': { json: false, parse: parseIpNeigh },
  'ip-neigh-json': { json: true, parse: parseIpNeighJson },
  'proc-net-arp': { json: false, parse: parseProcNetArp },
  'arp-scan': { json: false, parse: parseArpScan },
  'luci-host-hints': { json: true, parse: parseLuciHostHints },
  'luci-dhcp-leases': { json: true, parse: parseLuciDhcpLeases },
  'hostapd-clients': { json: true, parse: parseHostapdClients },
  'odhcpd-leases': { json: true, parse: parseOdhcpdLeases },
} as const satisfies Record<string, Format>

export type FormatName = keyof typeof FORMATS
export const FORMAT_NAMES = Object.keys(FORMATS) as FormatName[]

/**
 * Parses a router's output: a text, or for the JSON formats a text or its parsed JSON. Each entry becomes a
 * sighting or is skipped.
 */
export function parseSource(name: FormatName, content: unknown): Parsed {
  const format: Format = FORMATS[name]
  if (format.json) return format.parse(typeof content === 'string' ? parseJson(content) : content)
  return typeof content === 'string' ? format.parse(content) : unreadable()
}

/** @returns undefined, which no format accepts as a document, when the text is not JSON */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
