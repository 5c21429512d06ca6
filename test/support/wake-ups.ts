/** The wake-ups that an operation causes: what waiting agents, on every server, would receive. */
import type pg from 'pg'
import { inject } from 'vitest'
import { asAdmin } from './database.ts'

/** The payload of a router's wake-ups, as a superuser computes it. */
export const wakeDigestOf = async (superuser: pg.Client, routerId: string): Promise<string> =>
  (
    await superuser.query<{ digest: string }>(
      'select ctx.wake_digest(user_id, id) as digest from user_routers where id = $1',
      [routerId],
    )
  ).rows[0]?.digest ?? ''

/** @returns how often the operation woke the router's agents */
export const wakeUpsOf = (routerId: string, work: () => Promise<unknown>): Promise<number> =>
  asAdmin(inject('database').adminUrl, async (client) => {
    const digest = await wakeDigestOf(client, routerId)
    let wakeUps = 0
    client.on('notification', ({ payload }) => {
      if (payload === digest) wakeUps += 1
    })
    await client.query('listen netpilot_policy')
    await work()
    // PostgreSQL delivers what was committed before with the answer to the next statement at the latest.
    await client.query('select')
    return wakeUps
  })
