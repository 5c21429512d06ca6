/**
 * Shows what a change would do, without storing it. The same repositories make the change in a transaction
 * that is then rolled back. So a preview cannot differ from the change, and no agent wakes, because a
 * rolled-back transaction sends no notification.
 */
import type { Static } from 'typebox'
import { notFound, problem } from '../../http/problem.ts'
import { canonicalIp } from '../../network/ip.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import { changeEntries } from '../access-lists/changes-repository.ts'
import { addBlock, endBlock, lockBlock } from '../blocks/repository.ts'
import { changeDevice, findRouterOf } from '../devices/repository.ts'
import { readMac } from '../devices/values.ts'
import { computePolicy } from '../policy/compute-policy.ts'
import type { PolicyDocument, PolicyEntry } from '../policy/document.ts'
import { changeRouter, lockRouter, lockRouterOf, type RouterValues } from '../routers/repository.ts'
import type { Change, PreviewedOutcome } from './schema.ts'

export type Preview = {
  affected: {
    deviceId: string | null
    macs: string[]
    before: Static<typeof PreviewedOutcome>
    after: Static<typeof PreviewedOutcome>
  }[]
}
/** The change, with its router's fields in their stored form. */
export type ReadChange = Omit<Static<typeof Change>, 'router'> & { router?: RouterValues }

/** Carries the result out of the transaction that must not commit. */
class RolledBack extends Error {
  readonly preview: Preview
  constructor(preview: Preview) {
    super('the preview is done')
    this.preview = preview
  }
}

/** @throws Problem as the change itself would */
export async function previewChange(
  withTransaction: WithTransaction,
  identity: Parameters<WithTransaction>[0],
  routerId: string,
  change: ReadChange,
): Promise<Preview> {
  try {
    return await withTransaction(identity, async (tx) => {
      if (!(await lockRouter(tx, routerId))) throw notFound('/params/id')
      const before = await policyOf(tx, routerId)
      await makeChange(tx, routerId, change)
      throw new RolledBack({ affected: differences(before, await policyOf(tx, routerId)) })
    })
  } catch (error) {
    if (error instanceof RolledBack) return error.preview
    throw error
  }
}

async function policyOf(tx: Tx, routerId: string): Promise<PolicyDocument> {
  const policy = await computePolicy(tx, routerId)
  if (!policy) throw problem('not-found')
  return policy
}

async function makeChange(
  tx: Tx,
  routerId: string,
  { router, devices = [], blocks = [], unblock = [], ...lists }: ReadChange,
): Promise<void> {
  if (router) await changeRouter(tx, routerId, router, 0)
  for (const { deviceId, ...values } of devices) {
    if ((await findRouterOf(tx, deviceId)) !== routerId) throw notFound('/body/change/devices')
    await changeDevice(tx, deviceId, values)
  }
  for (const list of ['whitelist', 'blacklist'] as const) {
    const { add = [], remove = [] } = lists[list] ?? {}
    const entries = add.map(({ deviceId = null, mac = null, ip = null }, index) => ({
      ...{ deviceId, routerId, name: null, note: null, move: true },
      mac: mac === null ? null : readMac(mac, `/body/change/${list}/add/${index}/mac`),
      ip: ip === null ? null : (canonicalIp(ip) ?? ip),
    }))
    const { added } = await changeEntries(tx, list, { add: entries, remove })
    // For a preview, an entry that is already on the list is not an error.
    for (const outcome of added.values())
      if ('code' in outcome && outcome.code === 'not-found') throw notFound(`/body/change/${list}/add`)
  }
  for (const { deviceId, groupId, minutes } of blocks) {
    const target =
      deviceId || groupId ? { ...(deviceId && { deviceId }), ...(groupId && { groupId }) } : { routerId }
    if ((await lockRouterOf(tx, target)) !== routerId) throw notFound('/body/change/blocks')
    const type = minutes === undefined ? 'manual' : 'pause'
    await addBlock(tx, { routerId, deviceId, groupId, type, end: { minutes } })
  }
  for (const id of unblock) {
    if (!(await lockBlock(tx, id))) throw notFound('/body/change/unblock')
    await endBlock(tx, id)
  }
}

/**
 * The devices whose decision, rate or end differs. A device that is new in the policy had the default for
 * unlisted devices before.
 */
function differences(before: PolicyDocument, after: PolicyDocument): Preview['affected'] {
  const keyOf = ({ deviceId, macs }: PolicyEntry) => deviceId ?? macs.join()
  const earlier = new Map(before.devices.map((entry) => [keyOf(entry), entry]))
  const outcomeOf = ({ decision, rate, until, reasons }: PolicyEntry) => ({ decision, rate, until, reasons })
  return after.devices.flatMap((entry) => {
    const was = earlier.get(keyOf(entry)) ?? { ...entry, ...before.default, until: null, reasons: [] }
    const same =
      was.decision === entry.decision &&
      was.rate === entry.rate &&
      was.until?.getTime() === entry.until?.getTime()
    return same
      ? []
      : { deviceId: entry.deviceId, macs: entry.macs, before: outcomeOf(was), after: outcomeOf(entry) }
  })
}
