import { ownerOf } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import { pageAfter } from '../paging/cursor.ts'
import { findRouterOf } from './repository.ts'
import type { DeviceEvent } from './schema.ts'
import { deviceAt, lineOf } from './survivor.ts'

/** The end of a page: microseconds since 1970, kind of event, id. */
export type SightingPosition = { micros: string; kind: string; id: string }
export const POSITION =
  /^(?<micros>-?\d{1,17})\.(?<kind>[a-z-]{1,20})\.(?<id>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})$/

/**
 * The stored history of a device and of the devices merged into it, newest first.
 * @returns undefined when there is no such device
 */
export async function listHistory(tx: Tx, id: string, limit: number, after: SightingPosition | undefined) {
  if (!(await findRouterOf(tx, id))) return undefined
  const found = await tx.query<DeviceEvent & { micros: string }>({
    name: 'list history of a device',
    text: `with recursive ${lineOf(deviceAt('$2'))}, events (at, kind, id, detail) as (
        select d.first_seen, 'first-seen', d.id, d.hostname from user_devices d join line l on l.id = d.id where d.user_id = $1
        union all select i.first_seen, 'address', i.id, coalesce(i.mac::text, host(i.ips[1]))
          from user_device_interfaces i join line l on l.id = i.device_id where i.user_id = $1
        union all select e.at, e.kind, m.id, coalesce(p.device_name, p.hostname) from user_device_merges m join line l on (l.router_id, l.id) = (m.router_id, m.device_id)
          join user_devices p on p.user_id = $1 and p.id = m.merged_device_id,
          lateral (values (m.merged_at, 'merged'), (m.undone_at, 'merge-undone')) e (at, kind) where m.user_id = $1
        union all select e.at, e.kind, b.id, b.reason from user_blocked_devices b join line l on (l.router_id, l.id) = (b.router_id, b.device_id),
          lateral (values (b.blocked_at, case b.block_type when 'pause' then 'paused' else 'blocked' end),
            (least(b.unblocked_at, b.until), 'unblocked')) e (at, kind) where b.user_id = $1
      )
      select e.at, e.kind, e.id, e.detail, e.micros::text as micros from (
        select at, kind, id, detail, (extract(epoch from at) * 1000000)::bigint as micros from events where at <= now()
      ) e
      where $3::bigint is null or (e.micros, e.kind, e.id) < ($3, $4::text, $5::uuid)
      order by e.micros desc, e.kind desc, e.id desc limit $6`,
    values: [ownerOf(tx), id, after?.micros ?? null, after?.kind ?? null, after?.id ?? null, limit + 1],
  })
  return pageAfter(found, limit, ({ micros, kind, id }) => [micros, kind, id])
}
