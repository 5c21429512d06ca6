import { createHash } from 'node:crypto'
import { ownerOf } from '../../rls/mine.ts'
import type { Tx } from '../../rls/session.ts'

/**
 * The revision of what an agent must enforce on its router: a digest of the outcome, so that it changes when the outcome does.
 * Lists, blocks, groups and schedules cannot be written yet, so the outcome of a device follows from the router's mode, action and rates,
 * and from the device being infrastructure, approved, or held.
 */
export async function findPolicyRevision(tx: Tx, routerId: string): Promise<string> {
  const [facts] = await tx.query<{
    mode: string
    action: string
    limitRate: number | null
    fullRate: number | null
    devices: string | null
  }>({
    name: 'find policy facts',
    text: `select r.mode, r.action, r.limit_rate as "limitRate", r.full_rate as "fullRate", (
        select string_agg(concat_ws(' ', i.mac, d.is_infrastructure, d.approval, d.rate), ',' order by i.mac)
        from user_device_interfaces i
        join user_devices d on d.user_id = i.user_id and d.router_id = i.router_id and d.id = i.device_id
        where i.user_id = $1 and d.user_id = $1 and i.router_id = $2 and i.mac is not null
      ) as devices
      from user_routers r where r.user_id = $1 and r.id = $2`,
    values: [ownerOf(tx), routerId],
  })
  return createHash('sha256').update(JSON.stringify(facts)).digest('base64url').slice(0, 22)
}
