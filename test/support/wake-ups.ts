/** Whom a piece of work wakes: what waiting agents, on every server, would be told about. */
import { inject } from 'vitest'
import { asAdmin } from './database.ts'

/** @returns how often the work woke the router */
export const wakeUpsOf = (routerId: string, work: () => Promise<unknown>): Promise<number> =>
  asAdmin(inject('database').adminUrl, async (client) => {
    let wakeUps = 0
    client.on('notification', ({ payload }) => {
      if (payload === routerId) wakeUps += 1
    })
    await client.query('listen netpilot_policy')
    await work()
    // What was committed before is delivered with the answer to the next statement at the latest.
    await client.query('select')
    return wakeUps
  })
