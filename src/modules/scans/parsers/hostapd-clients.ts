import { normaliseEntry } from '../normalise.ts'
import type { Parsed } from '../sighting.ts'
import { isRecord, readEntries, unreadable } from './entries.ts'

/**
 * Parses the output of `ubus call hostapd.<interface> get_clients`: `{ freq, clients: { "<mac>": { auth,
 * assoc, authorized, … } } }`. Several outputs may come as an array or as an object by interface. Format:
 * `hostapd_bss_get_clients` in OpenWrt's ubus.c for hostapd.
 */
export function parseHostapdClients(document: unknown): Parsed {
  if (typeof document !== 'object' || document === null) return unreadable()
  const cells: unknown[] = 'clients' in document ? [document] : Object.values(document)
  return readEntries(cells.flatMap(stationsOf), ([mac, station]) => {
    if (!isRecord(station)) return 'malformed'
    const sighting = normaliseEntry({ mac })
    return typeof sighting !== 'string' && (station.assoc === false || station.authorized === false)
      ? 'unauthorized'
      : sighting
  })
}

/** A cell without a list of stations counts as one malformed entry. */
const stationsOf = (cell: unknown): [mac: string, station: unknown][] =>
  isRecord(cell) && isRecord(cell.clients) ? Object.entries(cell.clients) : [['', undefined]]
